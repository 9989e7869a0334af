"""Not knowing the rules is no permission: whatever remotes and refs a clone has, a red commit reaches no protected branch."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.world import SUITE, World

RULES = '[gate]\nprotect = ["release/*"]\n' + SUITE


@pytest.fixture
def trunk(world: World) -> World:
    """A remote whose default branch and protected pattern nobody can guess; `root/clone` is of no use here."""
    oid = world.publish({"homelab.toml": RULES})
    for name in ("trunk", "release/1"):
        world.git("update-ref", f"refs/heads/{name}", oid, cwd=world.remote)
    world.git("symbolic-ref", "HEAD", "refs/heads/trunk", cwd=world.remote)
    world.git("update-ref", "-d", "refs/heads/master", cwd=world.remote)
    return world


Made = tuple[Path, tuple[str, ...]]


def clone(world: World, *options: str) -> Path:
    folder = world.root / "made"
    world.git("clone", "--quiet", *options, f"file://{world.remote}", folder, cwd=world.root)
    return folder


def other_names(world: World) -> Made:
    folder = clone(world, "-o", "company")
    world.git("remote", "add", "fork", "/nowhere", cwd=folder)
    return folder, ("push", "company")


def better_name_beside(world: World) -> Made:
    folder = clone(world)
    elsewhere = world.root / "forgejo.git"
    world.git("init", "--quiet", "--bare", "--initial-branch=main", elsewhere, cwd=world.root)
    world.git("remote", "add", "forgejo", elsewhere, cwd=folder)
    return folder, ("push", "origin")


def remote_by_option(world: World) -> Made:
    return clone(world), ("-c", "remote.forgejo.url=/nowhere", "push", "origin")


def remote_by_configuration(world: World) -> Made:
    folder = clone(world)
    world.git("config", "remote.again.url", f"file://{world.remote}", cwd=folder)
    world.git("remote", "remove", "origin", cwd=folder)
    return folder, ("push", "again")


def only_option(world: World) -> Made:
    folder = clone(world)
    world.git("remote", "remove", "origin", cwd=folder)
    return folder, ("-c", f"remote.again.url=file://{world.remote}", "push", "again")


def address(world: World) -> Made:
    folder = clone(world)
    world.git("remote", "remove", "origin", cwd=folder)
    return folder, ("push", f"file://{world.remote}")


def single_branch(world: World) -> Made:
    return clone(world, "--single-branch", "--branch=release/1"), ("push", "origin")


def shallow(world: World) -> Made:
    return clone(world, "--depth=1", "--branch=release/1"), ("push", "origin")


def without_head(world: World) -> Made:
    folder = clone(world)
    world.git("remote", "set-head", "origin", "--delete", cwd=folder)
    return folder, ("push", "origin")


def dangling_head(world: World) -> Made:
    folder = clone(world)
    world.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone", cwd=folder)
    return folder, ("push", "origin")


def renamed_and_pruned(world: World) -> Made:
    world.git("branch", "-m", "trunk", "old", cwd=world.remote)
    world.git("symbolic-ref", "HEAD", "refs/heads/old", cwd=world.remote)
    folder = clone(world)
    world.git("branch", "-m", "old", "trunk", cwd=world.remote)
    world.git("symbolic-ref", "HEAD", "refs/heads/trunk", cwd=world.remote)
    world.git("fetch", "--quiet", "--prune", cwd=folder)
    return folder, ("push", "origin")


def bare_with_worktree(world: World) -> Made:
    bare, folder = world.root / "bare", world.root / "made"
    world.git("clone", "--quiet", "--bare", f"file://{world.remote}", bare, cwd=world.root)
    world.git("worktree", "add", "--quiet", folder, "trunk", cwd=bare)
    return folder, ("push", "origin")


def moved_here(world: World) -> Made:
    """Before each push the remote-tracking ref is moved to a file that protects less, as if it had been fetched."""
    folder = clone(world)
    weaker = world.commit({"homelab.toml": SUITE}, cwd=folder)
    move = f"!git update-ref refs/remotes/origin/trunk {weaker} && git push"
    return folder, ("-c", f"alias.move={move}", "move", "origin")


WAYS = [
    other_names, better_name_beside, remote_by_option, remote_by_configuration, only_option, address, single_branch, shallow,
    without_head, dangling_head, renamed_and_pruned, bare_with_worktree, moved_here,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_red_commit_reaches_no_protected_branch(trunk: World, way: Callable[[World], Made]) -> None:
    world = trunk
    folder, push = way(world)
    assert world.homelab("hooks", "install", cwd=folder).returncode == 0
    world.git("checkout", "--quiet", "--detach", cwd=folder)
    bad = world.commit({"bad": "1"}, cwd=folder)
    before = world.refs()
    for branch in ("release/1", "trunk", "release/new", "main", "master"):  # the first push makes known what the clone lacks
        done = world.run("git", *push, f"{bad}:refs/heads/{branch}", cwd=folder, check=False)
        assert done.returncode == 1 and world.refs() == before, (branch, done.stderr)
        assert "homelab: hint:" in done.stderr and "Traceback" not in done.stderr
    done = world.run("git", *push, f"{bad}:refs/heads/feature", cwd=folder, check=False)
    assert done.returncode == 0 and world.tip("refs/heads/feature") == bad, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("rules", [SUITE, None, '[gate]\nprotect = ["other/*"]\n' + SUITE])
def test_what_one_remote_protects_is_protected_on_every_other(trunk: World, rules: str | None) -> None:
    world = trunk
    folder, fork, own = clone(world), world.root / "fork.git", world.root / "own"
    world.git("clone", "--quiet", "--bare", world.remote, fork, cwd=world.root)
    world.git("clone", "--quiet", fork, own, cwd=world.root)
    if rules is None:
        world.git("rm", "--quiet", "homelab.toml", cwd=own)
    head = world.commit({"homelab.toml": rules, "x": "1"} if rules else {"x": "1"}, cwd=own)
    world.git("push", "--quiet", "origin", f"{head}:refs/heads/devel", cwd=own)
    world.git("symbolic-ref", "HEAD", "refs/heads/devel", cwd=fork)
    world.git("update-ref", "-d", "refs/heads/trunk", cwd=fork)
    world.git("remote", "add", "fork", fork, cwd=folder)
    world.git("fetch", "--quiet", "fork", cwd=folder)
    world.git("remote", "set-head", "fork", "--auto", cwd=folder)
    assert world.homelab("hooks", "install", cwd=folder).returncode == 0
    weaker = SUITE.replace("test ! -e bad", "true")  # a fork without a file is judged by the rules that work lands by
    bad = world.commit({"bad": "1", "homelab.toml": weaker}, cwd=folder)
    before = world.git("for-each-ref", cwd=fork), world.refs()
    for remote in ("fork", "origin"):
        for branch in ("trunk", "release/new", "devel"):
            done = world.run("git", "push", remote, f"{bad}:refs/heads/{branch}", cwd=folder, check=False)
            assert done.returncode == 1 and (world.git("for-each-ref", cwd=fork), world.refs()) == before, (remote, branch)


@pytest.mark.slow
@pytest.mark.parametrize(("last", "remote"), [("backup", "origin"), ("origin", "backup")])
def test_rules_that_a_remote_has_new_count_there_whichever_was_pushed_to_last(gated: World, last: str, remote: str) -> None:
    world, backup = gated, gated.root / "backup.git"
    world.git("clone", "--quiet", "--bare", world.remote, backup, cwd=world.root)
    world.git("remote", "add", "backup", backup)
    world.git("fetch", "--quiet", "backup")
    world.git("remote", "set-head", "backup", "--auto")
    bad = world.commit({"bad": "1"})
    for name in (remote, last):  # both have the same file, and what was read for one of them says nothing of the other
        world.git("push", "--quiet", name, f"{bad}:refs/heads/feature")
    new = world.publish({"homelab.toml": RULES})
    world.git("push", "--quiet", backup, f"{new}:refs/heads/master", cwd=world.root / "other")
    world.git("fetch", "--quiet", remote)
    assert world.run("git", "push", remote, f"{bad}:refs/heads/release/1", check=False).returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("head", ["refs/heads/nowhere", None])
def test_a_remote_that_does_not_say_is_unknown_until_the_command_that_is_named_was_run(trunk: World, head: str | None) -> None:
    world = trunk
    folder = clone(world)
    world.git("remote", "set-head", "origin", "--delete", cwd=folder)
    if head:
        world.git("symbolic-ref", "HEAD", head, cwd=world.remote)
    else:
        world.git("update-ref", "--no-deref", "HEAD", world.tip("refs/heads/trunk"), cwd=world.remote)
    assert world.homelab("hooks", "install", cwd=folder).returncode == 0
    bad = world.commit({"bad": "1"}, cwd=folder)
    before = world.refs()
    done = world.run("git", "push", "origin", f"{bad}:refs/heads/feature", cwd=folder, check=False)
    assert done.returncode == 1 and world.refs() == before and "not known" in done.stderr
    found = re.search(r"hint: `([^`]*)`", done.stderr)
    assert found
    world.run("sh", "-c", found[1].replace("BRANCH", "trunk"), cwd=folder)
    assert world.run("git", "push", "origin", f"{bad}:refs/heads/feature", cwd=folder, check=False).returncode == 0
    done = world.run("git", "push", "origin", f"{bad}:refs/heads/release/1", cwd=folder, check=False)
    assert done.returncode == 1 and "red" in done.stderr


@pytest.mark.parametrize("door", ["clone", pytest.param("server", marks=pytest.mark.slow)])
def test_the_branch_that_holds_the_rules_is_protected_whatever_they_name_as_target(world: World, door: str) -> None:
    world.publish({"homelab.toml": '[gate]\ntarget = "develop"\n' + SUITE})
    world.git("pull", "--quiet")
    world.git("branch", "-m", "master", "rules", cwd=world.remote)  # no name that is protected anyway
    world.git("fetch", "--quiet", "--prune")
    world.git("remote", "set-head", "origin", "rules")
    if door == "server":
        assert world.homelab("hooks", "install", "--server", world.remote).returncode == 0
    else:
        assert world.homelab("hooks", "install").returncode == 0
    bad = world.commit({"bad": "1"})
    before = world.refs()
    for branch in ("rules", "develop", "master"):
        assert world.run("git", "push", "origin", f"{bad}:refs/heads/{branch}", check=False).returncode == 1
        assert world.refs() == before


def narrowed(world: World) -> Made:
    folder = clone(world)
    world.git("remote", "set-branches", "origin", "release/1", cwd=folder)
    return folder, ("push", "origin")


def mirror(world: World) -> Made:
    return clone(world, "--mirror"), ("-c", "remote.origin.mirror=false", "push", "origin")


@pytest.mark.slow
@pytest.mark.parametrize("way", [single_branch, narrowed, mirror])
def test_rules_that_no_fetch_brings_are_asked_for_at_each_push(trunk: World, way: Callable[[World], Made]) -> None:
    world = trunk
    folder, push = way(world)
    assert world.homelab("hooks", "install", cwd=folder).returncode == 0
    blob = world.git("hash-object", "-w", "--stdin", input="1", cwd=folder)
    tree = world.git("mktree", input=f"100644 blob {blob}\tbad", cwd=folder)
    bad = world.git("commit-tree", "-m", "bad", "-p", world.tip("refs/heads/trunk"), tree, cwd=folder)
    for _ in range(2):
        assert world.run("git", *push, f"+{bad}:refs/heads/stable/1", cwd=folder, check=False).returncode == 0
    other = world.root / "other"
    world.commit({"homelab.toml": '[gate]\nprotect = ["stable/*"]\n' + SUITE}, cwd=other)
    world.git("push", "--quiet", "origin", "HEAD:trunk", cwd=other)
    world.git("fetch", "--quiet", cwd=folder)
    assert world.run("git", *push, f"{bad}:refs/heads/stable/2", cwd=folder, check=False).returncode == 1
    assert not world.tip("refs/heads/stable/2")


def test_a_protection_that_a_landed_file_drops_is_dropped(trunk: World) -> None:
    world = trunk
    folder = clone(world)
    assert world.homelab("hooks", "install", cwd=folder).returncode == 0
    other = world.root / "other"
    dropped = world.commit({"homelab.toml": SUITE}, cwd=other)
    world.git("push", "--quiet", "--no-verify", "origin", f"{dropped}:trunk", cwd=other)
    world.git("fetch", "--quiet", cwd=folder)
    bad = world.commit({"bad": "1"}, cwd=folder)
    assert world.run("git", "push", "origin", f"{bad}:refs/heads/release/2", cwd=folder, check=False).returncode == 0
    assert world.run("git", "push", "origin", f"{bad}:refs/heads/trunk", cwd=folder, check=False).returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("door", ["clone", "server"])
@pytest.mark.parametrize("kind", ["120000 blob", "040000 tree", "160000 commit"])
def test_a_file_of_rules_that_is_no_plain_file_drops_no_protection(trunk: World, kind: str, door: str) -> None:
    world, folder = trunk, clone(trunk)
    where = ("--server", world.remote) if door == "server" else ()
    assert world.homelab("hooks", "install", *where, cwd=folder).returncode == 0
    blob = world.git("hash-object", "-w", "--stdin", input="rules.toml", cwd=folder)
    bad = world.git("mktree", input=f"100644 blob {blob}\tbad", cwd=folder)
    oid = {"blob": blob, "tree": bad, "commit": world.git("rev-parse", "HEAD", cwd=folder)}[kind[7:]]
    odd = world.git("mktree", input=f"{kind} {oid}\thomelab.toml", cwd=folder)
    for name, tree in (("odd", odd), ("bad", bad)):
        world.git("branch", name, world.git("commit-tree", "-m", name, "-p", "HEAD", tree, cwd=folder), cwd=folder)
    world.git("fetch", "--quiet", folder, "odd:trunk", cwd=world.remote)  # past every hook, as by a forge's web editor
    world.git("fetch", "--quiet", cwd=folder)
    before = world.refs()
    for branch in ("release/1", "trunk"):
        done = world.run("git", "push", "origin", f"bad:refs/heads/{branch}", cwd=folder, check=False)
        assert done.returncode == 1 and world.refs() == before, (branch, done.stderr)


@pytest.mark.slow
def test_doctor_asks_the_remote_whether_its_default_branch_is_still_the_same(world: World) -> None:
    assert world.homelab("hooks", "install").returncode == 0
    world.git("update-ref", "refs/heads/devel", world.tip(), cwd=world.remote)
    world.git("symbolic-ref", "HEAD", "refs/heads/devel", cwd=world.remote)
    found = {row["id"]: row for row in world.json("doctor")["findings"]}
    assert "head-moved" in found and found
    assert world.run("sh", "-c", found["head-moved"]["repair"]).returncode == 0
    assert "head-moved" not in str(world.json("doctor"))


def test_start_does_not_advise_to_bring_a_renamed_branch_back(world: World) -> None:
    world.git("branch", "-m", "master", "trunk", cwd=world.remote)
    done = world.homelab("work", "start", "x")
    assert done.returncode == 3 and "set-head origin --auto" in done.stderr and "git push" not in done.stderr
    world.run("sh", "-c", "git fetch origin && git remote set-head origin --auto")
    assert world.homelab("work", "start", "x").returncode == 0


@pytest.mark.slow
def test_a_backup_that_has_no_default_branch_yet_takes_what_is_green_and_is_known_then(world: World) -> None:
    assert world.homelab("hooks", "install").returncode == 0
    backup = world.root / "backup.git"
    world.git("init", "--quiet", "--bare", backup, cwd=world.root)
    world.git("remote", "add", "backup", backup)
    good = world.git("rev-parse", "HEAD")
    bad = world.commit({"bad": "1", "homelab.toml": '[[suite]]\nname = "check"\nrun = "true"\n'})

    def push(spec: str) -> int:
        shutil.rmtree(
            world.clone / ".git/homelab/gate", ignore_errors=True
        )  # what the shell may pass by itself is another test's
        return world.run("git", "push", "backup", spec, check=False).returncode

    assert push(f"{bad}:refs/heads/feature") == 0
    assert push(f"{bad}:refs/heads/another") == 1  # with a branch but no HEAD it may protect any
    assert push(f"{bad}:refs/heads/master") == 1
    assert push(f"{good}:refs/heads/master") == 0
    assert push(f"{bad}:refs/heads/another") == 0


@pytest.mark.slow
def test_rules_that_cannot_be_read_stop_a_start_and_are_mended_by_the_words(world: World) -> None:
    world.publish({"homelab.toml": '[work]\nbranch = "{topic}"\n[gaet]\n' + SUITE})
    world.git("fetch", "--quiet")
    done = world.homelab("work", "start", "x")
    assert done.returncode == 2 and "did you mean `gate`" not in done.stdout and "unknown key 'gaet'" in done.stderr
    assert not world.git("branch", "--list", "*x") and not (world.clone / ".worktrees").exists()
    world.git("switch", "--quiet", "-c", "repair", "origin/master")
    world.commit({"homelab.toml": '[work]\nbranch = "{topic}"\n' + SUITE})
    landed = world.json("work", "land", "--no-verify")
    assert landed["status"] == "landed", landed
    assert world.homelab("work", "start", "x").returncode == 0 and world.git("branch", "--list", "x")
