"""A push whose worktree is somewhere else: the repository that pushes is asked, and no other.

`GIT_WORK_TREE`, `--work-tree`, `core.worktree` and a bare `--git-dir` give any folder as worktree, another repository's too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.sealed import RULES
from tests.support.world import BIN, World

Way = tuple[list[str], Path, dict[str, str]]


def variable(world: World, elsewhere: Path) -> Way:
    return ["git"], world.clone, {"GIT_WORK_TREE": str(elsewhere)}


def option(world: World, elsewhere: Path) -> Way:
    return ["git", f"--work-tree={elsewhere}"], world.clone, {}


def configured(world: World, elsewhere: Path) -> Way:
    world.git("config", "core.worktree", str(elsewhere))
    return ["git"], world.clone, {}


def both(world: World, elsewhere: Path) -> Way:
    return ["git", f"--git-dir={world.clone / '.git'}", f"--work-tree={elsewhere}"], world.root, {}


def alone(world: World, elsewhere: Path) -> Way:
    return ["git", f"--git-dir={world.clone / '.git'}"], elsewhere, {}


def linked(world: World, elsewhere: Path) -> Way:
    world.git("worktree", "add", "--quiet", "--detach", world.root / "linked")
    return ["git"], world.root / "linked", {"GIT_WORK_TREE": str(elsewhere)}


def dotfiles(world: World, elsewhere: Path) -> Way:
    world.git("config", "core.bare", "true")
    world.git("config", "safe.bareRepository", "explicit")
    return ["git", f"--git-dir={world.clone / '.git'}", f"--work-tree={elsewhere}"], elsewhere, {}


WAYS = [variable, option, configured, both, alone, linked, dotfiles]


def another(world: World) -> Path:
    """A repository whose rules protect nothing that is pushed here."""
    folder = world.root / "www"
    world.git("init", "--quiet", folder, cwd=world.root)
    world.git("remote", "add", "origin", "x", cwd=folder)
    world.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/foo", cwd=folder)
    return folder


def empty(world: World) -> Path:
    folder = world.root / "empty"
    folder.mkdir()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("place", [another, empty])
@pytest.mark.parametrize("way", WAYS)
def test_the_pushing_repository_is_judged_wherever_its_worktree_is(
    world: World, way: Callable[[World, Path], Way], place: Callable[[World], Path]
) -> None:
    world.git("branch", "trunk", "master", cwd=world.remote)
    world.git("symbolic-ref", "HEAD", "refs/heads/trunk", cwd=world.remote)
    world.git("fetch", "--quiet")
    world.git("remote", "set-head", "origin", "trunk")
    assert world.homelab("hooks", "install").returncode == 0
    good = world.git("rev-parse", "HEAD")
    bad = world.commit({"bad": "1"})
    world.git("checkout", "--quiet", good)
    secret = world.commit({".gitattributes": RULES, "secrets/db": "password=hunter2"})
    green = world.git("commit-tree", f"{good}^{{tree}}", "-p", good, "-m", "green")
    git, cwd, env = way(world, place(world))
    before = world.refs()
    for spec in (f"{bad}:refs/heads/trunk", f"{secret}:refs/heads/feature"):
        done = world.run(*git, "push", "origin", spec, cwd=cwd, env=env, check=False)
        assert done.returncode == 1 and "homelab: hint:" in done.stderr, done
        assert world.refs() == before
    done = world.run(*git, "push", "origin", f"{green}:refs/heads/trunk", cwd=cwd, env=env, check=False)
    assert done.returncode == 0 and world.tip("refs/heads/trunk") == green, done.stderr


@pytest.mark.parametrize("place", [another, empty])
def test_hook_ids_ask_the_repository_that_git_names(world: World, place: Callable[[World], Path]) -> None:
    world.publish({".gitattributes": RULES, "stacks/vault/main.tf": "", "terragrunt.hcl": ""})
    world.git("pull", "--quiet")
    claimed = world.homelab("claim", "stack:vault", "--purpose", "rotate", env={"HOMELAB_SESSION": "b"})
    assert claimed.returncode == 0
    commit = world.commit({"secrets/db": "password=hunter2", "stacks/vault/main.tf": "mine\n"})
    env = {
        "GIT_DIR": str(world.clone / ".git"),
        "GIT_WORK_TREE": str(place(world)),
        "HOMELAB_SESSION": "a",
        "PRE_COMMIT_FROM_REF": world.git("rev-parse", "HEAD~"),
        "PRE_COMMIT_TO_REF": commit,
        "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/master",
        "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/feature",
        "PRE_COMMIT_REMOTE_NAME": "origin",
        "PRE_COMMIT_REMOTE_URL": str(world.remote),
    }
    for program in ("homelab-claimed-stacks", "homelab-git-crypt-sealed"):
        done = world.run(BIN / program, env=env, check=False)
        assert done.returncode == 3, (program, done.stderr)
