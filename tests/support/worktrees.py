"""Worktrees that were started, and what became of them."""

import subprocess
from pathlib import Path

from tests.support.world import World


def started(world: World, name: str = "x") -> Path:
    return Path(world.json("work", "start", name)["path"])


def land(world: World, path: Path) -> None:
    """Put the worktree's commit on the remote's master, past every hook."""
    world.git("push", "--quiet", "--no-verify", "origin", "HEAD:master", cwd=path)


def gone(world: World, path: Path, branch: str = "ada/x") -> None:
    assert not path.exists() and str(path) not in worktrees(world) and branch not in branches(world).split()
    trash = world.clone / ".git/homelab/trash"
    assert not trash.exists() or list(trash.iterdir()) == []


def kept(world: World, path: Path, done: "subprocess.CompletedProcess[str]", *reasons: str) -> None:
    assert done.returncode == 3, done.stderr
    assert path.exists() and str(path) in worktrees(world) and "ada/x" in branches(world).split()
    for reason in reasons:
        assert reason in done.stderr, done.stderr


def branches(world: World) -> str:
    return world.git("for-each-ref", "--format=%(refname:short)", "refs/heads")


def worktrees(world: World) -> list[str]:
    rows = world.git("worktree", "list", "--porcelain").splitlines()
    return [row.removeprefix("worktree ") for row in rows if row.startswith("worktree ")]


def bare_layout(world: World) -> Path:
    """Return a folder with a bare clone in `.bare`, which a `.git` file names, and that fetches as a plain clone does."""
    root = world.root / "layout"
    root.mkdir()
    world.git("clone", "--quiet", "--bare", world.remote, root / ".bare", cwd=root)
    (root / ".git").write_text("gitdir: ./.bare\n")
    world.git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*", cwd=root)
    world.git("fetch", "--quiet", cwd=root)
    return root
