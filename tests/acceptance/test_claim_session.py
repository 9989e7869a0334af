"""Who holds a claim: a worktree, a session, a user, a process."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.claimants import Claimants
from tests.support.waiting import eventually


def test_the_next_command_of_the_session_renews_and_another_session_does_not(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:vault", "--purpose", "one")
    (before,) = claimants.board()
    time.sleep(1.1)
    (same,) = claimants.board()
    claimants.ok("manifest")
    (after,) = claimants.board()
    assert same["expires_at"] == before["expires_at"] < after["expires_at"]
    assert after["claimed_at"] == before["claimed_at"]


def test_a_linked_worktree_is_a_session_of_its_own(claimants: Claimants) -> None:
    main, linked = claimants.root / "main", claimants.root / "linked"
    (main / ".git/worktrees/linked").mkdir(parents=True)
    linked.mkdir()
    (linked / ".git").write_text(f"gitdir: {main}/.git/worktrees/linked\n")
    (linked / "sub").mkdir()
    claimants.ok("claim", "stack:a", "--purpose", "there", session="", cwd=linked)
    assert claimants.run("claim", "stack:a", "--purpose", "here", session="", cwd=main).returncode == 4
    claimants.ok("claim", "stack:a", "--purpose", "again", session="", cwd=linked / "sub")
    assert claimants.board()[0]["holder"]["session"].endswith(str(linked))


def git(claimants: Claimants, *args: str | Path, cwd: Path) -> None:
    allow = ["-c", "protocol.file.allow=always"]
    subprocess.run(["git", *allow, *map(str, args)], cwd=cwd, env=claimants.env, check=True, capture_output=True)


def clone_with_worktrees(claimants: Claimants, name: str) -> Path:
    """Return a clone with a submodule, and beside it the linked worktrees `NAME-one` and `NAME-two`, which have it too."""
    inner, top = claimants.root / f"{name}-inner", claimants.root / name
    for path in (inner, top):
        git(claimants, "init", "-q", path, cwd=claimants.root)
        git(claimants, "commit", "-q", "--allow-empty", "-m", "begin", cwd=path)
    git(claimants, "submodule", "add", "-q", inner, "sub", cwd=top)
    git(claimants, "commit", "-q", "-m", "submodule", cwd=top)
    for worktree in ("one", "two"):
        path = claimants.root / f"{name}-{worktree}"
        git(claimants, "worktree", "add", "-q", "-b", worktree, path, cwd=top)
        git(claimants, "submodule", "update", "-q", "--init", cwd=path)
    return top


@pytest.mark.slow
def test_a_session_is_the_same_in_a_submodule_after_a_move_and_under_another_host_name(claimants: Claimants) -> None:
    top = clone_with_worktrees(claimants, "c")
    one, two = claimants.root / "c-one", claimants.root / "c-two"
    claimants.ok("claim", "host:nas", "--purpose", "x", session="", cwd=one / "sub")
    assert claimants.run("claim", "host:nas", "--purpose", "x", session="", cwd=two / "sub").returncode == 4
    assert claimants.run("claim", "host:nas", "--purpose", "x", session="", cwd=top / "sub").returncode == 4
    renamed = {"HOMELAB_HOST": "elsewhere"}
    claimants.ok("claim", "host:nas", "--purpose", "x", session="", cwd=one, env=renamed)
    one.rename(claimants.root / "moved")  # `git worktree move` refuses where there are submodules
    git(claimants, "worktree", "repair", claimants.root / "moved", cwd=top)
    claimants.ok("claim", "host:nas", "--purpose", "x", session="", cwd=claimants.root / "moved")
    assert [claim["holder"]["session"] for claim in claimants.board()] == [str(claimants.root / "moved")]
    claimants.ok("release", "host:nas", session="", cwd=claimants.root / "moved/sub", env=renamed)
    assert claimants.board() == []


def test_worktrees_of_one_name_in_two_clones_are_two_sessions(claimants: Claimants) -> None:
    folders = []
    for name in ("a", "b"):
        top = claimants.root / name
        git(claimants, "init", "-q", top, cwd=claimants.root)
        git(claimants, "commit", "-q", "--allow-empty", "-m", "begin", cwd=top)
        git(claimants, "worktree", "add", "-q", "-b", "dns", top / ".worktrees/dns", cwd=top)
        folders.append(top / ".worktrees/dns")
    claimants.ok("claim", "host:nas", "--purpose", "x", session="", cwd=folders[0])
    assert claimants.run("claim", "host:nas", "--purpose", "x", session="", cwd=folders[1]).returncode == 4


@pytest.mark.slow
def test_without_a_worktree_the_user_is_the_session_on_one_machine_and_user_and_host_on_many(claimants: Claimants) -> None:
    claimants.ok("claim", "host:nas", "--purpose", "x", session="", env={"USER": "ada", "HOMELAB_HOST": "vm"})
    assert claimants.board()[0]["holder"]["session"] == "ada@vm"
    other = claimants.run("claim", "host:nas", "--purpose", "x", session="", env={"USER": "ada", "HOMELAB_HOST": "pi"})
    assert other.returncode == (0 if claimants.url.startswith("file") else 4)
    assert claimants.run("claim", "host:nas", "--purpose", "x", session="", env={"USER": "bob"}).returncode == 4


def test_a_lease_renewed_from_another_host_says_so(claimants: Claimants) -> None:
    claimants.ok("claim", "host:nas", "--purpose", "x", env={"HOMELAB_HOST": "vm"})
    done = claimants.run("claim", "host:nas", "--purpose", "x", env={"HOMELAB_HOST": "pi"})
    assert done.returncode == 0 and "vm" in done.stderr


@pytest.mark.slow
def test_a_process_can_hold_a_label_itself_and_loses_it_with_its_life(claimants: Claimants) -> None:
    code = """
import pathlib, time
from homelab.claims import operations as taking
with taking.holding(["infra:land"], "landing", None):
    pathlib.Path("ready").touch()
    while not pathlib.Path("stop").exists():
        time.sleep(0.02)
"""
    for kill in (False, True):
        argv = [sys.executable, "-c", code]
        child = subprocess.Popen(argv, cwd=claimants.root, env=claimants.env)
        eventually((claimants.root / "ready").exists)
        assert claimants.held() == ["infra:land"]
        assert claimants.run("claim", "infra:land", "--purpose", "y", session="b").returncode == 4
        if kill and claimants.url.startswith("file"):
            child.kill()
        else:
            (claimants.root / "stop").touch()
        child.wait()
        assert claimants.board() == []
        for name in ("ready", "stop"):
            (claimants.root / name).unlink(missing_ok=True)
