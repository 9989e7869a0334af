"""Questions to objects: dulwich and git's pipe give one answer, and nothing that is missing or broken ends in another."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from homelab.errors import Failed
from homelab.git.objects import Objects
from tests.support.world import World

NAMES = ("plain", "two words", "new\nline", "tab\there", "ünïcode", "-option", ".gitattributes", "a/deep/folder/file")


def both(git_dir: Path) -> tuple[Objects, Objects]:
    return Objects(git_dir), Objects(git_dir, piped={})


def everything(objects: Objects, commit: str) -> object:
    tree = objects.commit(commit).tree
    walked = list(objects.walk(tree))
    return objects.commit(commit), objects.message(commit), walked, [objects.content(tree, path) for path, _ in walked]


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_dulwich_and_git_agree_on_every_object(world: World, kind: str) -> None:
    folder = world.root / kind
    world.git("init", "--quiet", f"--object-format={kind}", folder)
    world.write({name: f"of {name}\n" for name in NAMES}, cwd=folder)
    world.write({"binary": bytes(range(256)) * 40, "empty": b""}, cwd=folder)
    (folder / "link").symlink_to("plain")
    (folder / "plain").chmod(0o755)
    world.git("add", "--all", cwd=folder)
    world.git("commit", "--quiet", "-m", "all kinds\n\nof it", cwd=folder)
    world.git("commit", "--quiet", "--allow-empty", "-m", "next", cwd=folder)
    head = world.git("rev-parse", "HEAD", cwd=folder)
    one, other = both(folder / ".git")
    assert everything(one, head) == everything(other, head)
    world.git("gc", "--quiet", cwd=folder)
    one, other = both(folder / ".git")
    listed = world.git("ls-tree", "-r", "-t", "--format=%(objectmode) %(objectname)", head, cwd=folder).split("\n")
    assert sorted(f"{entry.mode:06o} {entry.oid}" for _, entry in one.walk(one.commit(head).tree)) == sorted(listed)
    assert everything(one, head) == everything(other, head)


def test_a_replaced_object_is_the_real_one_either_way(world: World) -> None:
    real = world.git("rev-parse", "HEAD")
    world.git("replace", real, world.git("commit-tree", "HEAD^{tree}", "-m", "another"))
    one, other = both(world.clone / ".git")
    assert one.message(real) == other.message(real) == "begin\n"


def test_what_is_missing_or_broken_is_said_and_the_next_question_is_answered(world: World) -> None:
    head, readme = world.git("rev-parse", "HEAD"), world.git("rev-parse", "HEAD:README")
    broken = world.clone / ".git/objects" / readme[:2] / readme[2:]
    broken.chmod(0o644)
    broken.write_bytes(b"no object")
    for objects in both(world.clone / ".git"):
        for oid in ("0" * 39 + "1", readme):
            with pytest.raises(Failed, match="not in this clone"):
                objects.blob(oid)
            assert not objects.has(oid)
        assert objects.commit(head).oid == head


def test_what_comes_later_is_seen(world: World) -> None:
    _, piped = both(world.clone / ".git")
    assert piped.commit(world.git("rev-parse", "HEAD")).parents == ()
    later = world.commit({"x": "1"})
    world.git("gc", "--quiet")
    assert len(piped.commit(later).parents) == 1


def test_the_pipe_ends_with_who_asked(world: World) -> None:
    _, piped = both(world.clone / ".git")
    piped.commit(world.git("rev-parse", "HEAD"))
    child = piped._pipe._child
    assert isinstance(child, subprocess.Popen) and child.poll() is None
    del piped
    assert child.poll() == 0
