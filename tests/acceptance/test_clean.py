"""What `homelab work clean` removes and what it keeps, on real repositories."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from homelab.git.repository import Repository
from homelab.worktrees import clean, remove
from tests.support.worktrees import branches, gone, kept, land, started
from tests.support.world import BIN, SUITE, World


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
def test_the_sweep_judges_each_when_its_turn_comes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [started(world, name) for name in ("one", "two")]
    for path in paths:
        world.commit({path.name: "x"}, cwd=path)
        world.git("rebase", "--quiet", "origin/master", cwd=path)
        land(world, path)
    real = remove.remove

    def while_somebody_works(*args: Any) -> str | None:
        undo = real(*args)
        for path in filter(Path.exists, paths):
            world.write({"new": "mine"}, cwd=path)
        return undo

    monkeypatch.setattr(remove, "remove", while_somebody_works)
    done = clean.clean(Repository(world.clone / ".git", world.clone / ".git", world.clone), (), sweep=True)
    (kept,) = done.kept
    assert len(done.removed) == 1 and kept.work.path in paths and kept.reasons == ("untracked: new",)
    assert (kept.work.path / "new").exists()


@pytest.mark.slow
def test_a_worktree_on_a_disk_that_is_not_mounted_keeps_its_registration(world: World) -> None:
    disk, away = world.root / "disk", world.root / "away"
    disk.mkdir()
    (world.clone / ".worktrees").symlink_to(disk)
    path = started(world)
    world.commit({"mine": "x"}, cwd=path)
    land(world, path)
    world.write({"staged": "x"}, cwd=path)
    world.git("add", "staged", cwd=path)
    disk.rename(away)
    assert "gone: its folder is not there" in world.homelab("work", "clean", "--landed").stderr
    assert "--landed" not in world.homelab("work", "list").stderr
    done = world.homelab("work", "start", "x")
    assert done.returncode == 3 and f"`mkdir {disk}`" in done.stderr and not disk.exists()
    away.rename(disk)
    assert world.git("status", "--short", cwd=path) == "A  staged"


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


@pytest.mark.slow
@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("words", [["clean", "--landed"], ["clean", "x"], ["start", "x"]], ids=" ".join)
def test_what_a_killed_removal_had_begun_is_ended(world: World, beside: bool, words: list[str]) -> None:
    path, trash = started(world), world.clone / ".git/homelab/trash"
    world.commit({"mine": "x"}, cwd=path)
    land(world, path)
    trash.mkdir()
    to = path.with_name(".homelab-trash-abc") if beside else trash / "abc"
    path.rename(to)
    if beside:
        (trash / "abc.at").write_text(str(to))
    assert world.json("work", *words).get("kept", []) == []
    assert world.homelab("work", "clean", "--landed").returncode == 0 and not to.exists()
    if words[0] == "clean":
        gone(world, path)


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
    if left := [*(world.clone / ".git").glob("*.lock"), *(world.clone / ".git/refs").rglob("*.lock")]:
        assert "File exists" in done.stderr  # git was killed too, and says which file it has left
        left[0].unlink()
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
