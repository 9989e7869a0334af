"""What homelab keeps of a clone, damaged in every file at once: a disk, a full one, or somebody else's program did that.

Nothing ends a command but one clear sentence, nothing red passes, and the next landing lands.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from homelab.ci import last_heard
from homelab.ci.verdict import Verdict
from homelab.ci.watch import Outcome
from homelab.gate import grants
from homelab.git.repository import Repository
from homelab.system import files
from homelab.worktrees import create
from tests.support.world import SUITE, World

HUGE = "1" * 5000
ROUNDS = 12
WRONG: tuple[Any, ...] = ("x", 7, None, [], {}, [1], "\ud800", "\0", float("inf"), 1e300, "HUGE")


def lived_in(world: World) -> None:
    """Verify, push, claim and land; leave behind what kills leave: a ticket, an intent, a start, a try branch."""
    world.publish({"homelab.toml": SUITE + '[verify]\nprepare = "date >c"\ncaches = ["c"]\n'})
    world.git("pull", "--quiet")
    assert world.homelab("hooks", "install").returncode == 0
    world.commit({"bad": "1"}, "red")
    world.homelab("verify")
    world.git("branch", "red")
    world.git("reset", "--quiet", "--hard", "HEAD~")
    for topic in ("landed", "mine"):
        place = world.homelab("work", "start", topic).stdout.strip()
        world.commit({topic: "1"}, cwd=Path(place))
        if topic == "landed":
            assert world.homelab("work", "land", cwd=Path(place)).returncode == 0
    world.homelab("claim", "stack:dns", "--purpose", "try", "--for", "1h")
    git_dir = world.clone / ".git"
    repository, tip = Repository(git_dir, git_dir, world.clone), world.tip()
    for kind in grants.Kind:
        grants.grant(repository, grants.Grant(tip, "master", kind, "ada", "2026-01-01T00:00:00Z", "a" * 64))
    last_heard.remember(repository, f"{tip}-0123456789abcdef", Outcome(tip, Verdict.GREEN))
    last_heard.discount(repository, tip, ["1"])
    record = create.Record(str(world.clone / ".worktrees/begun"), "ada/begun", tip, (str(world.clone / ".worktrees/begun"),))
    row = json.loads((repository.state / "landings.jsonl").read_text().splitlines()[-1])
    made: dict[str, Any] = {
        "ci/kinds.json": {"https://x": "gitlab"},
        "ci/try/a.json": {"remote": "origin", "branch": "homelab/try/x", "commit": tip},
        "landing/a.json": {**row, "id": "a", "status": "pushing"},
        "queue/batch": [1],
        "queue/holding": [1, "x"],
        "queue/7.json": {"number": 7},
        f"starting/{create._digest('begun')}": asdict(record),
        "red-before/aa/aaaa": {"key": "aaaa", "since": "x", "commit": tip, "at": 1.0},
    }  # fmt: skip
    for name, document in made.items():
        files.replace(repository.state / name, json.dumps(document).encode())
    for name in ("queue/7.lock", "landing/a.lock", "ci/try/a.lock"):
        (repository.state / name).touch()


def wrong(content: bytes) -> Iterator[bytes]:
    """Yield the record with each of its fields being each of what it should not be, and missing."""
    try:
        document = json.loads(content.split(b"\n")[0])
    except ValueError:
        return
    for name in document if isinstance(document, dict) else ():
        yield json.dumps({key: value for key, value in document.items() if key != name}).encode()
        for value in WRONG:
            yield json.dumps({**document, name: value}).replace('"HUGE"', HUGE).encode()


def fields(part: int) -> Callable[[Path], None]:
    """Return what makes one field of each record wrong: another one in each of the `ROUNDS` parts."""

    def damage(path: Path) -> None:
        found = list(wrong(path.read_bytes()))
        if path.suffix == ".jsonl":
            path.write_bytes(b"\n".join([path.read_bytes(), *found]))
        elif found:
            path.write_bytes(found[part * len(found) // ROUNDS])

    return damage


def content(damaged: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.write_bytes(damaged)

    return damage


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": content(b""), "half": half, "deep": content(b"[" * 200_000), "digits": content(HUGE.encode()),
    "list": content(b"[]"), "object": content(b"{}"), "bytes": content(b"\xff\xfe\0"), "a device": device, "a pipe": pipe,
    "a folder": folder,
}  # fmt: skip
"""Every kind of damage but a single wrong field."""


def damaged(world: World, damage: Callable[[Path], None]) -> None:
    """Damage every file of the clone's state, but for locks and what suites printed."""
    state, scratch = world.clone / ".git/homelab", world.root / "home/.cache/homelab/scratch"
    places = [path for path in state.rglob("*") if path.is_file() and path.suffix not in (".lock", ".log")]
    places = [path for path in places if path.parent.name != "locks" and path.stat().st_size]
    places += [path for name in ("notes", "state") for path in scratch.glob(f"*/*/{name}")]
    for path in places:
        damage(path)


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("status",), ("work", "list"), ("work", "log"), ("log",), ("work", "start", "begun"), ("verify",), ("status", "--json"),
    ("claims",), ("cache",), ("doctor",), ("work", "clean", "landed"),
)  # fmt: skip


def judged(world: World, commands: tuple[tuple[str, ...], ...] = COMMANDS) -> None:
    """Check that every command says at most that something cannot be, that red stays out, and that a landing lands."""
    place = world.clone / ".worktrees/mine"
    for command in commands:
        done = world.homelab(*command, cwd=place, timeout=20)
        assert done.returncode < 10 and "Traceback" not in done.stderr, (command, done.stdout, done.stderr)
    before = world.tip()
    red = world.run("git", "push", "origin", "red:master", check=False, timeout=20)
    assert red.returncode == 1 and world.tip() == before and "a fault of homelab" not in red.stderr, red.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGES)
def test_no_damage_of_what_is_kept_ends_a_command_or_opens_the_gate(world: World, name: str) -> None:
    lived_in(world)
    damaged(world, DAMAGES[name])
    judged(world)
    landed = world.homelab("work", "land", cwd=world.clone / ".worktrees/mine", timeout=30)
    assert landed.returncode == 0 or (name.startswith("a ") and landed.returncode < 10), landed.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_wrong_field_of_a_record_ends_a_command_or_opens_the_gate(world: World) -> None:
    lived_in(world)
    state = world.clone / ".git/homelab"
    shutil.copytree(state, world.root / "kept")
    for part in range(ROUNDS):
        shutil.rmtree(state)
        shutil.copytree(world.root / "kept", state)
        damaged(world, fields(part))
        judged(world, COMMANDS[:6])
