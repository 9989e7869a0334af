"""Questions to objects: what another reader of git's formats finds, and nothing missing or broken ends in another answer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import Repo

from homelab.errors import Failed
from homelab.git.objects import Entry, Objects
from tests.support.world import World

NAMES = ("plain", "two words", "new\nline", "tab\there", "ünïcode", "-option", ".gitattributes", "a/deep/folder/file")


def read(objects: Objects, commit: str) -> object:
    tree = objects.commit(commit).tree
    walked = list(objects.walk(tree))
    return objects.commit(commit).parents, objects.message(commit), walked, [objects.content(tree, path) for path, _ in walked]


def read_by_dulwich(folder: Path, oid: str) -> object:
    with Repo(str(folder)) as repository:
        commit = repository[oid.encode()]
        assert isinstance(commit, Commit)
        walked: list[tuple[str, Entry]] = []
        contents: list[bytes | None] = []

        def walk(tree: bytes, prefix: str) -> None:
            found = repository[tree]
            assert isinstance(found, Tree)
            for name, mode, inner in found.iteritems():
                walked.append((prefix + name.decode(), Entry(mode, inner.decode())))
                blob = repository[inner]
                contents.append(blob.data if isinstance(blob, Blob) and mode != 0o120000 else None)
                if isinstance(blob, Tree):
                    walk(inner, f"{prefix}{name.decode()}/")

        walk(commit.tree, "")
        return tuple(parent.decode() for parent in commit.parents), commit.message.decode(), walked, contents


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_dulwich_and_we_agree_on_every_object(world: World, kind: str) -> None:
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
    assert read(Objects(folder / ".git"), head) == read_by_dulwich(folder, head)
    world.git("gc", "--quiet", cwd=folder)
    objects = Objects(folder / ".git")
    assert read(objects, head) == read_by_dulwich(folder, head)
    listed = world.git("ls-tree", "-r", "-t", "--format=%(objectmode) %(objectname)", head, cwd=folder).split("\n")
    assert sorted(f"{entry.mode:06o} {entry.oid}" for _, entry in objects.walk(objects.commit(head).tree)) == sorted(listed)


def test_a_replaced_object_is_the_real_one(world: World) -> None:
    real = world.git("rev-parse", "HEAD")
    world.git("replace", real, world.git("commit-tree", "HEAD^{tree}", "-m", "another"))
    assert Objects(world.clone / ".git").message(real) == "begin\n"


def test_what_is_missing_or_broken_is_said_and_the_next_question_is_answered(world: World) -> None:
    head, readme = world.git("rev-parse", "HEAD"), world.git("rev-parse", "HEAD:README")
    broken = world.clone / ".git/objects" / readme[:2] / readme[2:]
    broken.chmod(0o644)
    broken.write_bytes(b"no object")
    objects = Objects(world.clone / ".git")
    for oid in ("0" * 39 + "1", readme):
        with pytest.raises(Failed, match="not in this clone"):
            objects.blob(oid)
        assert not objects.has(oid)
    assert objects.commit(head).oid == head


def test_what_comes_later_is_seen(world: World) -> None:
    objects = Objects(world.clone / ".git")
    assert objects.commit(world.git("rev-parse", "HEAD")).parents == ()
    later = world.commit({"x": "1"})
    world.git("gc", "--quiet")
    assert len(objects.commit(later).parents) == 1


def test_the_process_ends_with_who_asked_and_stands_in_no_worktree(world: World) -> None:
    objects = Objects(world.clone / ".git")
    objects.commit(world.git("rev-parse", "HEAD"))
    child = objects._child
    assert isinstance(child, subprocess.Popen) and child.poll() is None
    if Path("/proc/self/cwd").exists():
        assert Path(f"/proc/{child.pid}/cwd").resolve() == world.clone / ".git"
    del objects
    assert child.poll() == 0


def test_a_question_that_is_cut_off_leaves_no_half_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = Objects(world.clone / ".git")
    head, readme = world.git("rev-parse", "HEAD"), world.git("rev-parse", "HEAD:README")
    assert objects.has(head)
    child = objects._child
    assert child is not None and child.stdout is not None

    def interrupted() -> bytes:
        raise KeyboardInterrupt

    cut = type("Cut", (), {"readline": staticmethod(interrupted), "close": child.stdout.close})
    monkeypatch.setattr(child, "stdout", cut())
    with pytest.raises(KeyboardInterrupt):
        objects.blob(readme)
    assert objects.commit(head).oid == head
