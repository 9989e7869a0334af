"""What counts as landed, and what keeps a worktree, on real repositories."""

import shlex
import subprocess
from pathlib import Path

import pytest

from homelab.git.version import git_version
from tests.support.worktrees import gone, kept, land, started
from tests.support.world import World


def test_landed_work_is_removed_and_can_be_undone(world: World) -> None:
    path = started(world)
    tip = world.commit({"mine": "x"}, cwd=path)
    land(world, path)
    world.git("config", "branch.ada/x.description", "text")
    done = world.homelab("work", "clean", "x")
    assert done.returncode == 0, done.stderr
    gone(world, path)
    assert world.git("config", "--get-regexp", r"^branch\.ada", check=False) == ""
    undo = next(line for line in done.stderr.splitlines() if "undo: " in line).partition("undo: ")[2]
    world.run(*shlex.split(undo))
    assert world.git("rev-parse", "ada/x") == tip


def squash(world: World, path: Path) -> None:
    diff = world.run("git", "diff", "--binary", "origin/master...HEAD", cwd=path).stdout
    other = world.root / "other"
    world.publish({"apart": "x"})
    world.run("git", "apply", "--index", cwd=other, input=diff)
    world.git("commit", "--quiet", "-m", "squashed (#1)", cwd=other)
    world.git("push", "--quiet", "origin", "HEAD:master", cwd=other)


def rebase(world: World, path: Path) -> None:
    other = world.root / "other"
    world.publish({"apart": "x"})
    world.git("fetch", "--quiet", world.clone, "ada/x", cwd=other)
    world.git("cherry-pick", "master..FETCH_HEAD", cwd=other)
    world.git("push", "--quiet", "origin", "HEAD:master", cwd=other)


def merge(world: World, path: Path) -> None:
    other = world.root / "other"
    world.publish({"apart": "x"})
    world.git("fetch", "--quiet", world.clone, "ada/x", cwd=other)
    world.git("merge", "--quiet", "--no-ff", "-m", "merge", "FETCH_HEAD", cwd=other)
    world.git("push", "--quiet", "origin", "HEAD:master", cwd=other)


@pytest.mark.slow
@pytest.mark.parametrize("how", [squash, rebase, merge])
@pytest.mark.parametrize("later", [False, True])
def test_every_way_of_landing_is_recognised(world: World, how: "object", later: bool) -> None:
    path = started(world)
    world.commit({"a": "".join(f"{n}\n" for n in range(9))}, cwd=path)
    world.commit({"b": "2"}, cwd=path)
    assert callable(how)
    how(world, path)
    if later:
        world.publish({"a": "all else\n"})
    done = world.homelab("work", "clean", "--landed")
    assert done.returncode == 0, done.stderr
    gone(world, path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ({"f.yaml": "a:\n    b: 1\n"}, {"f.yaml": "a:\nb: 1\n"}),
        ({"bin": b"\0\1\2"}, {"bin": b"\0\1\3"}),
        ({"a": "1", "b": "2"}, {"a": "1"}),
    ],
)
def test_what_only_looks_alike_is_not_landed(world: World, mine: dict[str, str], theirs: dict[str, str]) -> None:
    path = started(world)
    world.commit(mine, cwd=path)
    world.publish(theirs)
    kept(world, path, world.homelab("work", "clean", "x"), "unlanded: 1 commit not on origin/master")


@pytest.mark.slow
def test_a_merge_driver_that_keeps_ours_proves_nothing(world: World) -> None:
    world.commit({".gitattributes": "lock merge=ours\n", "lock": "1"})
    world.git("push", "--quiet", "origin", "master")
    world.git("config", "merge.ours.driver", "true")
    path = started(world)
    world.commit({"lock": "mine"}, cwd=path)
    world.publish({"lock": "theirs"})
    kept(world, path, world.homelab("work", "clean", "x"), "unlanded")


@pytest.mark.slow
def test_every_reason_is_told_at_once_each_on_its_line(world: World) -> None:
    path = started(world)
    world.commit({"mine": "x", ".gitignore": ".env\nnode_modules/\n"}, cwd=path)
    world.write({"README": "changed", "new file": "x", ".env": "secret", "node_modules/m/i.js": "x"}, cwd=path)
    world.git("worktree", "lock", "--reason", "busy\nbee", path)
    world.git("worktree", "add", "-q", "--detach", path / "inner")
    sleeper = subprocess.Popen(["sleep", "60"], cwd=path)
    try:
        done = world.homelab("work", "clean", "x")
    finally:
        sleeper.kill()
        sleeper.wait()
    kept(world, path, done)
    lines = done.stderr.splitlines()
    for words in (
        "  uncommitted: README",
        "  untracked: ",
        "  ignored: .env",
        "  unlanded: 1 commit not on origin/master: ",
        f"  in use: process {sleeper.pid} (sleep)",
        "  locked: busy",
        f"  nested: it holds the worktree {path}/inner",
    ):
        assert sum(line.startswith(f"homelab: {words}") for line in lines) == 1, done.stderr
    assert "node_modules" not in done.stderr
    answer = world.json("work", "clean", "x")
    assert answer["ok"] is False and answer["error"]["kind"] == "refused" and len(answer["kept"][0]["reasons"]) == 6


def test_work_that_is_pushed_but_not_landed_is_kept(world: World) -> None:
    path = started(world)
    world.commit({"mine": "x"}, cwd=path)
    world.git("push", "--quiet", "-u", "origin", "HEAD", cwd=path)
    kept(world, path, world.homelab("work", "clean", "x"), "pushed as origin/ada/x")


@pytest.mark.slow
def test_rebuildable_folders_do_not_keep_a_worktree(world: World) -> None:
    path = started(world)
    world.commit({".gitignore": "target/\n.terraform\n*.pyc\n__pycache__/\n"}, cwd=path)
    land(world, path)
    world.write({"target/a": "", "s/.terraform/x": "", "p/__pycache__/m.pyc": "", "m.pyc": ""}, cwd=path)
    (path / "target/readonly").mkdir(mode=0o555)
    assert world.homelab("work", "clean", "x").returncode == 0
    gone(world, path)


def test_a_local_state_in_a_cache_keeps_a_worktree(world: World) -> None:
    path = started(world)
    world.commit({".gitignore": ".terragrunt-cache\n"}, cwd=path)
    land(world, path)
    world.write({".terragrunt-cache/a/b/terraform.tfstate": "{}"}, cwd=path)
    kept(world, path, world.homelab("work", "clean", "x"), "ignored: .terragrunt-cache/")


@pytest.mark.slow
def test_what_only_a_clone_in_a_rebuildable_folder_has_keeps_a_worktree(world: World) -> None:
    """The kind: a repository below a folder that tools make again, with a commit, a stash or a file that is nowhere else."""
    path = started(world)
    world.commit({".gitignore": "build/\n.terraform/\n"}, cwd=path)
    land(world, path)
    fetched = path / ".terraform/modules/vpc"
    world.git("clone", "--quiet", world.remote, fetched, cwd=path)
    world.git("tag", "v1", world.git("commit-tree", "HEAD^{tree}", "-m", "beside", cwd=path), cwd=path)
    world.git("push", "--quiet", "--no-verify", "origin", "v1", cwd=path)
    world.git("clone", "--quiet", "--depth=1", "--branch=v1", f"file://{world.remote}", path / "build/tagged", cwd=path)
    (path / "build/package/.git").mkdir(parents=True)
    assert world.homelab("work", "clean", "x").returncode == 0, "what tools have cloned keeps nothing"
    gone(world, path)

    path = started(world)
    committed, stashed, edited, bare = (path / "build" / name for name in ("deep/committed", "stashed", "edited", "bare.git"))
    for clone in (committed, stashed, edited):
        world.git("clone", "--quiet", world.remote, clone, cwd=path)
    world.commit({"own": "x"}, cwd=committed)
    world.write({"README": "mine"}, cwd=stashed)
    world.git("stash", "--quiet", cwd=stashed)
    world.write({"notes": "mine"}, cwd=edited)
    world.git("clone", "--quiet", "--bare", committed, bare, cwd=path)
    kept(
        world, path, world.homelab("work", "clean", "x"),
        "clone build/deep/committed:", "clone build/stashed:", "untracked: build/edited/notes", "clone build/bare.git:",
    )  # fmt: skip
    assert world.homelab("work", "clean", "x", "--force").returncode == 0
    gone(world, path)


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_was_told_not_to_see_is_seen(world: World, flag: str) -> None:
    path = started(world)
    world.git("update-index", flag, "README", cwd=path)
    assert world.homelab("work", "list").returncode == 0
    world.write({"README": "mine"}, cwd=path)
    kept(world, path, world.homelab("work", "clean", "x"), "uncommitted: README")


def test_detached_commits_keep_a_worktree(world: World) -> None:
    path = started(world)
    world.git("checkout", "--quiet", "--detach", cwd=path)
    world.commit({"mine": "x"}, cwd=path)
    kept(world, path, world.homelab("work", "clean", "x"), "unlanded: 1 commit")


#: What leaves each of git's commands begun, in a worktree whose work has landed; how many end as failed is git's matter.
BEGUN = {
    "rebase": [["git", "-c", "sequence.editor=sed -i 1ibreak", "rebase", "-i", "HEAD~1"]],
    "am": [["sh", "-c", "git format-patch -1 --stdout | git am"]],
    "cherry-pick": [["git", "cherry-pick", "HEAD"]],
    "cherry-pick of several": [["git", "cherry-pick", "HEAD~1", "HEAD"], ["git", "commit", "--allow-empty", "-m", "by hand"]],
    "revert": [["git", "revert", "--no-commit", "HEAD"]],
    "merge": [["git", "merge", "--no-commit", "--no-ff", "origin/side"]],
    "bisect": [["git", "bisect", "start", "HEAD", "HEAD~1"]],
}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["files", "reftable"])
def test_what_git_has_begun_keeps_a_worktree(world: World, form: str) -> None:
    if form != "files":
        if git_version() < (2, 46):
            pytest.skip("`git refs migrate` came with 2.46")
        world.git("refs", "migrate", f"--ref-format={form}")
    world.git("push", "--quiet", "origin", f"{world.commit({'side': 'x'})}:refs/heads/side")
    path = started(world)
    world.commit({"mine": "x"}, cwd=path)
    land(world, path)
    for words, commands in BEGUN.items():
        name = words.split(" ")[0]
        for command in commands:
            world.run(*command, cwd=path, check=False)
        kept(world, path, world.homelab("work", "clean", "x"), f" {name} is under way")
        assert world.json("status", cwd=path)["here"]["operation"] == name, words
        landed = world.json("work", "land", cwd=path)
        if name not in ("merge", "bisect"):
            assert landed["error"]["next"] == f"git {name} --continue", words
        assert not landed["ok"] or name == "bisect", words
        world.run("git", name, "reset" if name == "bisect" else "--abort", cwd=path)
        world.git("reset", "--quiet", "--hard", "origin/master", cwd=path)
    assert world.homelab("work", "clean", "x").returncode == 0


def submodule(world: World) -> Path:
    inner = world.root / "inner"
    world.git("init", "--quiet", inner)
    world.commit({"i": "x"}, cwd=inner)
    world.git("config", "--global", "protocol.file.allow", "always")
    world.git("submodule", "--quiet", "add", str(inner), "sub")
    world.git("commit", "--quiet", "-m", "sub")
    world.git("push", "--quiet", "origin", "master")
    path = started(world)
    world.git("submodule", "--quiet", "update", "--init", cwd=path)
    return path


def test_clean_submodules_go_with_their_worktree(world: World) -> None:
    path = submodule(world)
    done = world.homelab("work", "clean", "x")
    assert done.returncode == 0, done.stderr
    gone(world, path)


@pytest.mark.slow
def test_what_only_a_submodule_has_keeps_a_worktree(world: World) -> None:
    path = submodule(world)
    world.write({"sub/new": "x"}, cwd=path)
    kept(world, path, world.homelab("work", "clean", "x"), "sub/new")
    world.git("-C", "sub", "stash", "-u", cwd=path)
    kept(world, path, world.homelab("work", "clean", "x"), "submodule sub: ")


@pytest.mark.slow
def test_what_only_a_clone_that_was_added_has_keeps_a_worktree(world: World) -> None:
    """It is a gitlink like a submodule's, whose objects lie in the worktree and not in the clone's git directory."""
    path = started(world)
    world.git("clone", "--quiet", world.remote, path / "vendored", cwd=path)
    world.commit({"own": "x"}, cwd=path / "vendored")
    world.git("add", "vendored", cwd=path)
    world.git("commit", "--quiet", "-m", "vendored", cwd=path)
    land(world, path)
    kept(world, path, world.homelab("work", "clean", "x"), "clone vendored: 1 commits")
    world.git("push", "--quiet", "origin", "HEAD:refs/heads/vendored", cwd=path / "vendored")
    world.write({"own": "mine"}, cwd=path / "vendored")
    world.git("stash", "--quiet", cwd=path / "vendored")
    kept(world, path, world.homelab("work", "clean", "x"), "clone vendored: 2 commits")
    world.git("stash", "drop", "--quiet", cwd=path / "vendored")
    assert world.homelab("work", "clean", "x").returncode == 0
    gone(world, path)


@pytest.mark.slow
def test_a_ref_of_the_worktree_alone_keeps_it_unless_a_branch_has_its_commit(world: World) -> None:
    path = started(world)
    commit = world.git("commit-tree", "HEAD^{tree}", "-m", "beside", cwd=path)
    world.git("update-ref", "refs/worktree/kept", commit, cwd=path)
    kept(world, path, world.homelab("work", "clean", "x"), "refs of this worktree alone: refs/worktree/kept")
    world.git("branch", "beside", commit)
    assert world.homelab("work", "clean", "x").returncode == 0
    gone(world, path)
