"""What `homelab work clean` removes and what it keeps, on real repositories."""

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.test_start import branches, worktrees
from tests.support.world import BIN, SUITE, World


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


@pytest.mark.slow
def test_fresh_work_goes_only_when_it_is_named(world: World) -> None:
    path = started(world)
    world.publish({"new": "x"})
    done = world.homelab("work", "clean", "--landed")
    assert done.returncode == 0 and path.exists() and "fresh" in done.stderr
    assert world.homelab("work", "clean", "x").returncode == 0
    gone(world, path)


@pytest.mark.slow
def test_the_sweep_takes_what_has_landed_and_leaves_the_rest(world: World) -> None:
    done, dirty, open_ = started(world, "done"), started(world, "dirty"), started(world, "open")
    for path in (done, dirty):
        world.commit({path.name: "x"}, cwd=path)
        world.git("fetch", "--quiet", cwd=path)
        world.git("rebase", "--quiet", "origin/master", cwd=path)
        land(world, path)
    world.write({"left": "x"}, cwd=dirty)
    world.commit({"more": "x"}, cwd=open_)
    answer = world.json("work", "clean", "--landed")
    assert [one["topic"] for one in answer["removed"]] == ["done"]
    assert {one["topic"] for one in answer["kept"]} == {"dirty", "open"}
    assert dirty.exists() and open_.exists() and not done.exists()


@pytest.mark.slow
def test_the_sweep_leaves_permanent_worktrees_and_what_it_did_not_make(world: World) -> None:
    """The target's, a protected branch's, and any other that `work start` did not make: they go by name alone."""
    world.publish({"homelab.toml": SUITE + '[gate]\nprotect = ["release/*"]\n'})
    world.git("fetch", "--quiet")
    world.git("switch", "--quiet", "-c", "aside", "origin/master")
    made = {"master": "master", "staging": "staging", ".worktrees/r": "release/1", "old": "ada/old", ".worktrees/in": "in"}
    for place, branch in made.items():
        world.git("worktree", "add", "--quiet", "-B", branch, world.clone / place, "origin/master")
        world.commit({f"of-{branch.replace('/', '-')}": "x"}, cwd=world.clone / place)
        world.git("push", "--quiet", "--no-verify", "origin", f"+HEAD:{branch}", cwd=world.clone / place)
        world.git("merge", "--quiet", "--no-edit", branch)
    world.git("push", "--quiet", "--no-verify", "origin", "HEAD:master")
    done = world.json("work", "clean", "--landed")
    assert {one["branch"] for one in done["removed"]} == {"ada/old", "in"}, "in the folder, or of the pattern"
    assert {"master", "staging", "release/1"} <= set(branches(world).split())
    assert world.homelab("work", "clean", "staging").returncode == 0
    assert "staging" not in branches(world).split()


@pytest.mark.parametrize(("directory", "pattern"), [("..", "{user}/{topic}"), (".", "{topic}"), ("..", "{topic}")])
def test_the_sweep_is_not_misled_by_a_folder_or_a_pattern_that_holds_everything(
    world: World, directory: str, pattern: str
) -> None:
    world.publish({"homelab.toml": SUITE + f'[work]\ndirectory = "{directory}"\nbranch = "{pattern}"\n'})
    world.git("fetch", "--quiet")
    world.git("worktree", "add", "--quiet", "-B", "develop", world.root / "develop", "origin/master")
    world.commit({"mine": "x"}, cwd=world.root / "develop")
    land(world, world.root / "develop")
    assert world.json("work", "clean", "--landed")["removed"] == []
    assert (world.root / "develop/mine").exists()


@pytest.mark.slow
def test_named_work_goes_all_or_none(world: World) -> None:
    first, second = started(world, "x"), started(world, "y")
    world.write({"left": "x"}, cwd=second)
    kept(world, first, world.homelab("work", "clean", "x", "y"), "y is not removed", "untracked: left")


@pytest.mark.slow
def test_from_inside_it_is_refused_even_by_force(world: World) -> None:
    path = started(world)
    for option in ([], ["--force"]):
        (path / "sub").mkdir(exist_ok=True)
        done = world.homelab("work", "clean", "x", *option, cwd=path / "sub")
        kept(world, path, done, "you are in it", f"`cd {world.clone}`")


def test_the_main_worktree_is_never_removed(world: World) -> None:
    for name in (str(world.clone), "master"):
        assert world.homelab("work", "clean", "--force", name).returncode == 3
    assert (world.clone / "README").exists() and branches(world) == "master"


@pytest.mark.parametrize("name", ["dns", "ix-dns", "worktrees/fix-dns", ".", "..", "", "-x", "fix-dns/", "nothing", "a\nb"])
def test_nothing_is_matched_by_a_part_of_its_name(world: World, name: str) -> None:
    path = started(world, "fix-dns")
    assert world.homelab("work", "clean", "--force", "--", name).returncode == 2
    assert path.exists()


def test_force_destroys_what_is_named(world: World) -> None:
    path = started(world)
    world.commit({"mine": "x"}, cwd=path)
    world.write({"left": "x"}, cwd=path)
    world.git("worktree", "lock", path)
    done = world.homelab("work", "clean", "x", "--force")
    assert done.returncode == 0 and "undo: git branch ada/x " in done.stderr
    gone(world, path)


@pytest.mark.slow
def test_force_takes_an_inner_worktree_only_when_it_is_named_too(world: World) -> None:
    path = started(world)
    world.git("worktree", "add", "-q", "--detach", path / "inner")
    kept(world, path, world.homelab("work", "clean", "x", "--force"), f"holds the worktree {path}/inner")
    assert world.homelab("work", "clean", "x", str(path / "inner"), "--force").returncode == 0
    gone(world, path)


@pytest.mark.slow
def test_an_unreachable_remote_removes_nothing(world: World) -> None:
    path = started(world)
    world.remote.rename(world.root / "away")
    done = world.homelab("work", "clean", "x")
    assert done.returncode == 7 and path.exists()
    assert world.homelab("work", "clean", "x", "--force").returncode == 0
    gone(world, path)


def test_detached_commits_keep_a_worktree(world: World) -> None:
    path = started(world)
    world.git("checkout", "--quiet", "--detach", cwd=path)
    world.commit({"mine": "x"}, cwd=path)
    kept(world, path, world.homelab("work", "clean", "x"), "unlanded: 1 commit")


def test_a_rebase_under_way_keeps_a_worktree(world: World) -> None:
    path = started(world)
    world.commit({"mine": "x"}, cwd=path)
    land(world, path)
    world.git("-c", "sequence.editor=sed -i 1ibreak", "rebase", "-i", "HEAD~1", cwd=path)
    kept(world, path, world.homelab("work", "clean", "x"), "unfinished: a rebase")


@pytest.mark.slow
def test_a_vanished_worktree_is_cleaned_by_its_branch(world: World) -> None:
    path = started(world)
    world.commit({"mine": "x"}, cwd=path)
    world.run("rm", "-rf", path)
    done = world.homelab("work", "clean", "x")
    assert done.returncode == 3 and "unlanded" in done.stderr and "ada/x" in branches(world)
    world.git("push", "--quiet", "origin", "ada/x:master")
    assert world.homelab("work", "clean", "x").returncode == 0
    gone(world, path)


def test_a_branch_that_lost_its_worktree_is_cleaned(world: World) -> None:
    path = started(world)
    world.commit({"mine": "x"}, cwd=path)
    land(world, path)
    world.git("worktree", "remove", path)
    assert world.homelab("work", "clean", "x").returncode == 0
    gone(world, path)


def test_a_folder_whose_git_file_is_gone_is_not_taken_for_the_main_worktree(world: World) -> None:
    path = started(world)
    (path / ".git").unlink()
    world.write({"precious": "x"}, cwd=path)
    done = world.homelab("work", "clean", "x")
    assert done.returncode == 3 and (path / "precious").exists()


def test_a_worktree_on_the_target_keeps_the_branch(world: World) -> None:
    world.git("switch", "--quiet", "-c", "aside")
    world.git("worktree", "add", "-q", world.root / "elsewhere", "master")
    assert world.homelab("work", "clean", str(world.root / "elsewhere")).returncode == 0
    assert "master" in branches(world).split()


def test_what_a_killed_run_left_in_the_trash_is_emptied_by_the_next(world: World) -> None:
    path = started(world)
    world.write({".git/homelab/trash/abc/deep/file": "x"})
    world.homelab("work", "clean", "x")
    gone(world, path)


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
def test_the_list_tells_how_each_stands(world: World) -> None:
    path = started(world)
    world.commit({"mine": "x"}, cwd=path)
    world.write({"left": "x"}, cwd=path)
    vanished = started(world, "feat/y")
    world.git("worktree", "lock", "--reason", "stick", vanished)
    world.run("rm", "-rf", vanished)
    world.publish({"new": "x"})
    world.git("fetch", "--quiet")
    rows = {row["topic"]: row for row in world.json("work", "list", cwd=path)}
    assert set(rows) == {None, "x", "feat/y"}
    mine = rows["x"]
    assert (mine["branch"], mine["path"], mine["ahead"], mine["behind"]) == ("ada/x", str(path), 1, 1)
    assert (mine["dirty"], mine["landed"], mine["verified"], mine["claims"], mine["missing"]) == (
        True,
        False,
        False,
        [],
        False,
    )
    assert (rows["feat/y"]["missing"], rows["feat/y"]["locked"], rows["feat/y"]["dirty"]) == (True, "stick", None)
    land_less = world.homelab("work", "list").stdout
    assert "\n   x  " in land_less and "(main)" in land_less


@pytest.mark.slow
def test_the_list_works_without_remote_commit_or_network(world: World) -> None:
    world.remote.rename(world.root / "away")
    assert world.json("work", "list")[0]["ahead"] == 0
    world.git("remote", "remove", "origin")
    assert world.json("work", "list")[0]["ahead"] is None
    empty = world.root / "empty"
    world.git("init", "--quiet", empty)
    assert world.json("work", "list", cwd=empty)[0]["landed"] is None


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.15 + n * 0.02 for n in range(20)])
def test_killed_anywhere_the_same_command_ends_the_job(world: World, pause: float) -> None:
    path = started(world)
    world.commit({"mine": "x"}, cwd=path)
    land(world, path)
    child = subprocess.Popen(
        [BIN / "homelab", "work", "clean", "x"], cwd=world.clone, env=world.env, stderr=-3, stdout=-3, start_new_session=True
    )
    time.sleep(pause)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    done = world.homelab("work", "clean", "x")
    assert done.returncode == 0 or "there is no worktree or branch" in done.stderr, done.stderr
    world.homelab("work", "clean", "--landed")
    gone(world, path)
    assert json.loads(world.homelab("work", "list", "--json").stdout)[0]["main"]


@pytest.mark.slow
def test_a_lock_is_named_with_the_command_that_opens_it_and_a_path_that_is_gone_is_no_topic(world: World) -> None:
    path = started(world)
    world.git("worktree", "lock", "--reason", "agent", path)
    done = world.homelab("work", "clean", "x")
    kept(world, path, done, "locked: agent", f"git worktree unlock {path}")
    assert "--force" not in done.stderr
    gone_path = world.homelab("work", "clean", f"{world.clone}/.worktrees/gone")
    assert gone_path.returncode == 2 and "there is no worktree at" in gone_path.stderr


@pytest.mark.slow
def test_a_worktree_whose_clone_was_moved_says_so(world: World) -> None:
    path = world.root / "outside"
    world.git("worktree", "add", "--quiet", "-b", "ada/x", path)
    world.clone.rename(world.root / "moved")
    for words in (["verify"], ["work", "list"], ["work", "land"], ["doctor"]):
        done = world.homelab(*words, cwd=path)
        assert done.returncode == 2, done.stderr
        assert f"is no longer at {world.clone}/.git" in done.stderr and "worktree repair" in done.stderr
