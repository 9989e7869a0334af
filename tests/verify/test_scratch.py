"""Slots: a free one is used again, a taken one never, and whatever happened to one is healed by the next checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from homelab.errors import Failed
from homelab.git.repository import discover
from homelab.verify import scratch
from homelab.verify.checkout import Checkout
from tests.support.checkouts import files, fresh, slot, state
from tests.support.waiting import eventually
from tests.support.world import World


def test_two_slots_at_a_time_are_two_folders_and_a_free_one_is_used_again(world: World) -> None:
    with slot(world) as one, slot(world) as two:
        assert one.path != two.path
        first = one.path
    with slot(world) as again:
        assert again.path == first


def test_a_slot_is_taken_as_long_as_a_child_has_its_lock(world: World) -> None:
    with slot(world) as one:
        copy = os.dup(one.lock_fd)
    with slot(world) as two:
        assert two.path != one.path
    os.close(copy)
    with slot(world) as three:
        assert three.path == one.path


@pytest.mark.slow
def test_a_damaged_slot_heals(world: World) -> None:
    first = world.commit({"t": "x\n"})
    second = world.commit({"t": "y\n"})
    with slot(world) as made:
        for damage in (
            "rm -rf tree", "rm -rf git", "rm git/HEAD", "rm git/config", "rm git/base", "rm -rf git/objects", "rm git/index",
            "rm -rf tree; touch tree", "rm -rf tree; ln -s /etc tree", "touch git/index.lock", "echo '{' >state", "rm state",
            "mkdir new; touch new/x", "echo x >notes", "rm -rf tree/.git; ln -s /etc tree/.git", "echo x >git/config",
            "mkdir -p compare/x", "echo '[]' >state", "echo '{}' >state", "echo '{\"commit\":\"x\",\"filters\":\"\"}' >state",
        ):  # fmt: skip
            made.checkout(first)
            world.run("sh", "-c", damage, cwd=made.path.parent)
            made.checkout(second)
            assert files(made.path) == fresh(world, second), damage
            assert made.changed() == made.leftovers() == ()


def test_a_cache_that_cannot_be_used_is_named(world: World) -> None:
    (world.root / "file").write_text("")
    env = {**world.env, "XDG_CACHE_HOME": str(world.root / "file")}
    with (
        pytest.raises(Failed, match=r"file/.*not a directory") as caught,
        scratch.slot(discover(world.clone), env=env),
    ):
        pass
    assert "XDG_CACHE_HOME" in (caught.value.hint or "")


def test_a_relative_cache_home_is_ignored(world: World) -> None:
    with scratch.slot(discover(world.clone), env={**world.env, "XDG_CACHE_HOME": "here"}) as made:
        assert made.path.is_relative_to(world.root / "home" / ".cache")


def test_slots_of_a_clone_that_is_gone_are_removed_when_another_clone_comes(world: World) -> None:
    with slot(world) as made:
        made.checkout(world.git("rev-parse", "HEAD"))
        gone = made.path
        moved = world.root / "moved"
        world.clone.rename(moved)
        with slot(world, moved):
            assert gone.exists()
    third = world.root / "third"
    moved.rename(third)
    with slot(world, third) as made:
        assert not gone.exists()
        assert made.path.exists() is False


PROGRAM = """
import sys
from pathlib import Path
from homelab.git.repository import discover
from homelab.verify import scratch
with scratch.slot(discover(Path(sys.argv[1]))) as made:
    print(made.path, flush=True)
    for _ in range(int(sys.argv[2])):
        for commit in sys.argv[3:]:
            made.checkout(commit)
            assert made.changed() == made.leftovers() == ()
"""


def _many(world: World) -> tuple[str, str]:
    many = {f"d{number % 9}/f{number}": "1\n" for number in range(300)}
    first = world.commit(many)
    second = world.commit({**dict.fromkeys(list(many)[::2], "22\n"), ".gitattributes": "*0 eol=crlf\n"})
    return first, second


@contextmanager
def slot_zero(world: World) -> Iterator[Checkout]:
    """The first slot, as soon as the last git of a killed program has ended."""
    for _ in range(1000):
        with slot(world) as made:
            if made.path.parent.name == "0":
                yield made
                return
        time.sleep(0.01)
    raise AssertionError("the first slot stays taken")


@pytest.mark.slow
def test_a_kill_at_any_moment_is_healed_by_the_next_checkout(world: World) -> None:
    first, second = _many(world)
    for number in range(30):
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(world.clone), "9", first, second], env=world.env, stdout=subprocess.PIPE
        )
        with child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.013 * number)
            child.kill()
        with slot_zero(world) as made:
            made.checkout(second if number % 2 else first)
            assert files(made.path) == fresh(world, second if number % 2 else first)


@pytest.mark.slow
def test_many_at_a_time_each_have_their_slot(world: World) -> None:
    first, second = _many(world)
    before = state(world.clone)
    command = [sys.executable, "-c", PROGRAM, str(world.clone), "2", first, second]
    children = [subprocess.Popen(command, env=world.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(12)]
    results = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0] * 12, results
    assert state(world.clone) == before


SUITE = """
import os, sys
from pathlib import Path
from homelab.git.repository import discover
from homelab.system import supervise as supervision
from homelab.verify import scratch
with scratch.slot(discover(Path(sys.argv[1]))) as made:
    made.checkout(sys.argv[2])
    log = made.path.parent / "log"
    supervision.run("sleep 600; :", cwd=made.path, env=os.environ, log=log, timeout=60, keep_fds=[made.lock_fd])
"""


@pytest.mark.slow
def test_the_slot_of_a_killed_program_is_free_when_its_suite_has_ended(world: World) -> None:
    commit = world.commit({"t": "x\n"})
    with slot(world) as made:
        log = made.path.parent / "log"
    for _ in range(5):
        log.unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, "-c", SUITE, str(world.clone), commit], env=world.env) as child:
            eventually(log.exists)
            child.kill()
        with slot_zero(world) as made:
            made.checkout(commit)
            assert files(made.path) == fresh(world, commit)


def test_the_folder_of_a_checkout_is_named_after_clone_and_slot(world: World) -> None:
    with slot(world) as one, slot(world) as two:
        names = {one.path.name, two.path.name}
    assert len(names) == 2 and all(name.startswith(f"{world.clone.name}-") for name in names)
