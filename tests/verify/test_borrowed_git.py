"""A suite's git directory shows the clone as it is, whatever kind of clone that is, and leads nowhere back into it."""

from __future__ import annotations

import sys

import pytest

from homelab.git.repository import discover
from homelab.verify import scratch
from tests.support.checkouts import files, fresh, slot, state
from tests.support.world import World


def test_a_suite_that_works_on_its_repository_leaves_the_clone_byte_for_byte(world: World) -> None:
    commit = world.commit({"b": "b"})
    world.git("tag", "v1")
    before = state(world.clone)
    everything = """
        set -e
        git config user.email evil@example.org; git config core.hooksPath evil; git config core.bare false
        git tag evil; git branch evil; git remote set-url origin /evil; git remote add evil /evil
        echo x >b; git stash; git stash list | grep -q .; git checkout -q -b other; git commit -q --allow-empty -m evil
        git update-ref refs/heads/master HEAD; git pack-refs --all; git gc -q --prune=now; git worktree add -q ../evil
        git replace -f HEAD HEAD~1; git symbolic-ref HEAD refs/heads/master; git notes add -m x; git tag -d v1
        mkdir sub; cd sub; git init -q; git config user.name evil; git commit -q --allow-empty -m x
    """
    with slot(world) as made:
        made.checkout(commit)
        world.run("sh", "-c", everything, cwd=made.path)
        assert state(world.clone) == before
        made.checkout(commit)
        assert state(world.clone) == before
        assert world.git("rev-parse", "HEAD", "v1^{commit}", "master", cwd=made.path).split() == [commit] * 3
        assert world.git("config", "--get", "user.email", cwd=made.path, check=False) == ""
        assert world.git("status", "--porcelain", "--ignored", cwd=made.path) == ""
        assert world.git("branch", "--list", "evil", cwd=made.path) == ""


def test_a_suite_sees_the_clones_refs_and_remotes(world: World) -> None:
    world.git("tag", "-a", "v1", "-m", "one")
    world.git("stash", "list")
    commit = world.commit({"b": "b"})
    with slot(world) as made:
        made.checkout(commit)
        for question in (["describe"], ["remote", "-v"], ["rev-parse", "origin/master", "origin/HEAD", "v1"], ["tag", "-n"]):
            assert world.git(*question, cwd=made.path) == world.git(*question)
        assert world.git("symbolic-ref", "refs/remotes/origin/HEAD", cwd=made.path) == "refs/remotes/origin/master"
        assert world.git("fsck", cwd=made.path) == ""


def test_the_callers_git_variables_do_not_count(world: World) -> None:
    commit = world.commit({"t": "x\n"})
    env = {
        **world.env,
        "GIT_DIR": str(world.clone / ".git"),
        "GIT_INDEX_FILE": "/evil",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.eol",
        "GIT_CONFIG_VALUE_0": "crlf",
        "GIT_CONFIG_PARAMETERS": "'core.worktree=/evil'",
    }
    before = state(world.clone)
    with scratch.slot(discover(world.clone), env=env) as made:
        made.checkout(commit)
        assert files(made.path) == fresh(world, commit)
        assert made.changed() == ()
    assert state(world.clone) == before


def test_a_suite_hook_configured_for_all_of_the_users_repositories_does_not_run(world: World) -> None:
    hooks = world.root / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {world.root}/ran\n")
        (hooks / name).chmod(0o755)
        world.git("config", "--global", f"hook.mine-{name}.event", name)
        world.git("config", "--global", f"hook.mine-{name}.command", f"touch {world.root}/ran")
    commit = world.commit({"t": "x\n"})
    (world.root / "ran").unlink(missing_ok=True)  # since git 2.54 they run wherever the user's configuration holds
    world.git("config", "--global", "core.hooksPath", hooks)
    with slot(world) as made:
        made.checkout(commit)
        (made.path / "mine").write_text("x")
        world.git("add", "mine", cwd=made.path)
        world.git("commit", "--quiet", "-m", "a suite's own", cwd=made.path)
        assert not (world.root / "ran").exists()


def test_a_clone_that_moved_or_was_packed_is_followed(world: World) -> None:
    first, second = world.commit({"t": "x\n"}), world.commit({"t": "y\n"})
    with slot(world) as made:
        made.checkout(first)
        world.git("gc", "--quiet", "--prune=now")
        made.checkout(second)
    moved = world.root / "moved"
    world.clone.rename(moved)
    with slot(world, moved) as made:
        made.checkout(first)
        assert files(made.path) == fresh(world, first, moved)


def test_a_new_clone_at_the_old_place_is_another_clone(world: World) -> None:
    first = world.commit({"t": "x\n", "only": "here\n"})
    with slot(world) as made:
        made.checkout(first)
    world.clone.rename(world.root / "old")
    for kind in ("sha256", "sha1"):
        world.git("init", "--quiet", f"--object-format={kind}", world.clone, cwd=world.root)
        commit = world.commit({"t": "other\n"})
        with slot(world) as made:
            made.checkout(commit)
            assert files(made.path) == {"t": "0 b'other\\n'"}
            assert world.git("status", "--porcelain", cwd=made.path) == ""
        world.clone.rename(world.root / f"old-{kind}")


@pytest.mark.parametrize("name", ["a\nb", 'a "b', "ü#'", "back\\slash"])
def test_any_name_of_the_clone_will_do(world: World, name: str) -> None:
    commit = world.commit({"t": "x\n"})
    clone = world.root / name
    world.clone.rename(clone)
    with slot(world, clone) as made:
        made.checkout(commit)
        assert files(made.path) == {**files(made.path), "t": "0 b'x\\n'"}
        assert world.git("log", "-1", "--format=%H", cwd=made.path) == commit


def test_a_shallow_clone_works(world: World) -> None:
    world.publish({"t": "1"})
    commit = world.publish({"t": "2"})
    shallow = world.root / "shallow"
    world.git("clone", "--quiet", "--depth=1", f"file://{world.remote}", shallow, cwd=world.root)
    with slot(world, shallow) as made:
        made.checkout(commit)
        assert world.git("log", "--format=%H", cwd=made.path) == commit
        assert world.git("fsck", cwd=made.path) == ""


def test_a_partial_clone_fetches_what_it_lacks(world: World) -> None:
    first = world.publish({"t": "1"})
    second = world.publish({"t": "2"})
    world.git("config", "uploadpack.allowFilter", "true", cwd=world.remote)
    world.git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=world.remote)
    partial = world.root / "partial"
    world.git("clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{world.remote}", partial, cwd=world.root)
    before = state(partial)
    with slot(world, partial) as made:
        for commit, content in ((first, "1"), (second, "2")):
            made.checkout(commit)
            assert (made.path / "t").read_text() == content
            assert world.git("show", "HEAD:t", cwd=made.path) == content
    assert state(partial) == before


def test_submodules_are_empty_folders_again_after_a_suite_filled_them(world: World) -> None:
    inner = world.root / "inner"
    world.git("init", "--quiet", inner, cwd=world.root)
    world.commit({"f": "1"}, cwd=inner)
    world.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner, "sub")
    first = world.commit({"t": "1"})
    world.git("rm", "--quiet", "-f", "sub")
    second = world.commit({"t": "2"})
    with slot(world) as made:
        made.checkout(first)
        assert list((made.path / "sub").iterdir()) == []
        world.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", cwd=made.path)
        assert (made.path / "sub" / "f").exists()
        assert made.changed() == ()
        made.checkout(first)
        assert list((made.path / "sub").iterdir()) == []
        world.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", cwd=made.path)
        made.checkout(second)
        assert files(made.path) == fresh(world, second)


def test_a_clone_that_borrows_itself_works(world: World) -> None:
    commit = world.commit({"t": "1"})
    lender = world.root / "lender"
    world.clone.rename(lender)
    world.git("clone", "--quiet", "--shared", lender, world.clone, cwd=world.root)
    (world.clone / ".git/objects/info/alternates").write_text("../../../lender/.git/objects\n")
    with slot(world) as made:
        made.checkout(commit)
        assert (made.path / "t").read_text() == "1"
        assert world.git("fsck", cwd=made.path) == ""


def test_a_receiving_hook_can_check_out_what_is_not_accepted_yet(world: World) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\n"
        "from homelab.git.repository import discover\nfrom homelab.verify import scratch\n"
        "commit = sys.stdin.read().split()[1]\n"
        "with scratch.slot(discover(from_hook=True)) as made:\n    made.checkout(commit)\n"
        "    print((made.path / 't').read_text())\n    raise SystemExit('no')"
    )
    (world.root / "hook.py").write_text(program)
    world.server_hook("pre-receive", f"exec {sys.executable} {world.root}/hook.py")
    before = world.refs()
    world.commit({"t": "not yet accepted\n"})
    done = world.run("git", "push", "origin", "master", check=False)
    assert world.refs() == before
    assert "not yet accepted" in done.stderr


def test_hooks_can_be_installed_in_a_suites_repository_and_the_users_own_do_not_run_there(world: World) -> None:
    hooks = world.root / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text(f"#!/bin/sh\ntouch {world.root}/ran\n")
    (hooks / "pre-commit").chmod(0o755)
    commit = world.commit({"t": "x\n"})
    for everywhere in (False, True):
        if everywhere:
            world.git("config", "--global", "core.hooksPath", hooks)
        with slot(world) as made:
            made.checkout(commit)
            said = world.run("git", "config", "core.hooksPath", cwd=made.path, check=False)
            assert (said.returncode == 0) == everywhere, "pre-commit, prek and lefthook refuse where it is set"
            world.git("commit", "--quiet", "--allow-empty", "-m", "x", cwd=made.path)
            assert not (world.root / "ran").exists()


def test_a_partial_clone_whose_own_settings_lead_to_its_remote_fetches_by_them(world: World) -> None:
    world.git("config", "uploadpack.allowFilter", "true", cwd=world.remote)
    world.git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=world.remote)
    commit = world.commit({f"d/f{n}": f"{n}\n" for n in range(20)})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    partial = world.root / "partial"
    setting = f"url.file://{world.remote}.insteadOf=forge:infra"
    options = ("--quiet", "--config", setting, "--filter=blob:none", "--no-checkout")
    world.git("clone", *options, "forge:infra", partial, cwd=world.root)
    with slot(world, partial) as made:
        made.checkout(commit)
        assert (made.path / "d/f7").read_text() == "7\n" and made.changed() == ()
