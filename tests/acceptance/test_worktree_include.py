"""What `.worktreeinclude` brings into a started worktree, and that its copies are no loss."""

import os
from pathlib import Path

import pytest

from tests.support.world import World


def started(world: World, topic: str = "work") -> Path:
    done = world.homelab("work", "start", topic)
    assert done.returncode == 0 and done.stdout.count("\n") == 1, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture
def local(world: World) -> World:
    """A clone whose main worktree has ignored files, some of them listed."""
    world.commit(
        {".gitignore": ".env*\nlocal/\n*.link\n", ".worktreeinclude": ".env\nlocal/**\n*.link\n!local/not\nREADME\nloose\n"}
    )
    world.git("push", "--quiet", "origin", "master")
    world.write({".env": "A=1\n", ".env.other": "x", "local/deep/a": "a", "local/not": "n", "loose": "untracked, not ignored"})
    (world.clone / ".env").chmod(0o640)
    return world


def test_listed_and_ignored_files_are_copied_and_nothing_else(local: World) -> None:
    path = started(local)
    assert (path / ".env").read_text() == "A=1\n" and (path / ".env").stat().st_mode & 0o777 == 0o640
    assert (path / "local/deep/a").read_text() == "a"
    assert not any((path / name).exists() for name in (".env.other", "local/not", "loose"))
    assert (path / "README").read_text() == "hello\n"
    assert local.git("status", "--porcelain", cwd=path) == ""


def test_a_link_stays_a_link_and_leads_nothing_in(local: World) -> None:
    secret = local.root / "outside"
    secret.mkdir()
    (secret / "key").write_text("k")
    (local.clone / "key.link").symlink_to(secret / "key")
    (local.clone / "local/folder").symlink_to(secret)
    path = started(local)
    assert (path / "key.link").readlink() == secret / "key"
    assert (path / "local/folder").is_symlink()


def test_nothing_is_written_through_a_link_of_the_new_worktree(local: World) -> None:
    outside = local.root / "outside"
    outside.mkdir()
    other = local.root / "elsewhere"
    local.git("clone", "--quiet", local.remote, other, cwd=local.root)
    (other / "local").symlink_to(outside)
    local.git("add", "--force", "local", cwd=other)
    local.git("commit", "--quiet", "-m", "link", cwd=other)
    local.git("push", "--quiet", "origin", "master", cwd=other)
    path = started(local)
    assert (path / "local").is_symlink() and list(outside.iterdir()) == []


@pytest.mark.slow
def test_what_stands_there_is_not_overwritten(local: World) -> None:
    local.commit({"homelab.toml": '[work]\nprepare = "cat .env; echo mine > .env"\n', "x": "1"})
    local.git("push", "--quiet", "--no-verify", "origin", "master")
    path = started(local)
    assert (path / ".env").read_text() == "mine\n"
    assert started(local) == path
    assert (path / ".env").read_text() == "mine\n"
    local.git("add", "--force", ".env.other")
    local.commit({".worktreeinclude": ".env*\n"})
    local.git("push", "--quiet", "--no-verify", "origin", "master")
    local.write({".env.other": "changed here, tracked"})
    assert (started(local, "two") / ".env.other").read_text() == "x"


@pytest.mark.slow
@pytest.mark.parametrize("lines", ["*\n", "/.worktrees/\n.git/\n", "../outside\n/etc/passwd\n", "**\n"])
def test_no_pattern_reaches_out_or_into_the_other_worktrees(local: World, lines: str) -> None:
    first = started(local, "first")
    (local.root / "outside").write_text("no")
    local.write({".worktreeinclude": lines}, local.clone)
    local.write({".env.first": "not for others"}, first)
    path = started(local, "second")
    names = {os.fspath(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}
    assert not any("worktrees" in name or "outside" in name or "passwd" in name for name in names)
    assert ".env.first" not in names
    assert (path / ".git").is_file()


@pytest.mark.slow
def test_copies_are_no_loss_and_what_differs_is(local: World) -> None:
    path = started(local)
    assert local.homelab("work", "clean", "work").returncode == 0 and not path.exists()
    path = started(local)
    local.write({"local/deep/a": "changed"}, path)
    done = local.homelab("work", "clean", "work")
    assert done.returncode == 3 and "local" in done.stderr and path.exists()
    local.write({"local/deep/a": "a", "local/deep/new": "n"}, path)
    assert local.homelab("work", "clean", "work").returncode == 3
    (path / "local/deep/new").unlink()
    local.write({".env": "A=2\n"})
    done = local.homelab("work", "clean", "work")
    assert done.returncode == 3 and ".env" in done.stderr


def test_a_pipe_and_a_file_that_cannot_be_read_stop_nothing(local: World) -> None:
    os.mkfifo(local.clone / "local/pipe")
    assert not (started(local) / "local/pipe").exists()  # opening a pipe for reading waits for ever


@pytest.mark.parametrize("content", ["", "\0\xff\n", "[\n***\n"])
def test_an_odd_list_stops_nothing(local: World, content: str) -> None:
    local.write({".worktreeinclude": content.encode("latin-1")})
    assert (started(local) / "README").exists()
