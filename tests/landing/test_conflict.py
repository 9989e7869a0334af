"""Merges of the target in a worktree: whatever git left half done, nobody's landed files leave the target by it."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.world import World


@pytest.fixture
def conflicting(world: World) -> World:
    """The clone has a branch that conflicts in README; others have landed a file of their own as well."""
    world.git("switch", "--quiet", "--no-track", "-c", "ada/x", "origin/master")
    world.commit({"README": "mine\n"})
    world.publish({"README": "theirs\n", "precious": "1\n"})
    return world


def left(world: World) -> tuple[bool, bool, str]:
    """Return whether a merge is under way, what is unmerged, and what differs from HEAD."""
    underway = (world.clone / ".git/MERGE_HEAD").exists()
    return underway, bool(world.git("ls-files", "--unmerged")), world.git("status", "--porcelain", "--untracked-files=no")


@pytest.mark.slow
def test_a_merge_over_a_locked_index_is_taken_away_again_and_names_the_lock(conflicting: World) -> None:
    lock = conflicting.clone / ".git/index.lock"
    lock.touch()
    for _ in range(2):  # and again: the first left nothing that leads on to a commit
        answer = conflicting.json("work", "land")
        assert (answer["status"], answer["error"]["kind"]) == ("busy", "busy")
        assert str(lock) in answer["error"]["message"] and "git commit" not in answer["error"]["hint"]
        assert left(conflicting) == (False, False, "")
    lock.unlink()
    assert conflicting.homelab("work", "land").returncode == 5
    assert left(conflicting)[:2] == (True, True)
    conflicting.commit({"README": "both\n"})
    assert conflicting.json("work", "land")["status"] == "landed"
    assert conflicting.git("show", f"{conflicting.tip()}:precious", cwd=conflicting.remote) == "1"


@pytest.mark.slow
def test_a_lock_that_is_freed_meanwhile_only_delays_the_merge(conflicting: World) -> None:
    lock = conflicting.clone / ".git/index.lock"
    lock.touch()
    timer = threading.Timer(0.6, lock.unlink)
    timer.start()
    assert conflicting.homelab("work", "land").returncode == 5
    timer.join()
    assert left(conflicting)[:2] == (True, True)


def test_a_merge_is_not_begun_over_what_is_ignored_here_and_tracked_there(conflicting: World) -> None:
    """git overwrites what is ignored without a word, a folder by a file and a file by a folder too."""
    world = conflicting
    world.git("rm", "--quiet", "--cached", "homelab.toml")  # what the merge takes away as well is in nobody's way
    world.git("commit", "--quiet", "-m", "kept apart")
    (world.clone / ".git/info/exclude").write_text("ignored*\nhomelab.toml\n")
    world.write({"ignored.env": "mine", "ignored/a/b": "mine", "ignored-file": "mine"})
    world.publish({"ignored.env": "1", "ignored": "1", "ignored-file/x/y": "1"})
    answer = world.json("work", "land")
    assert answer["status"] == "refused" and left(world) == (False, False, "")
    assert answer["uncommitted"] == ["ignored-file", "ignored.env", "ignored/a/b"]
    shutil.rmtree(world.clone / "ignored")
    for name in ("ignored.env", "ignored-file"):
        assert (world.clone / name).read_text() == "mine"
        (world.clone / name).unlink()
    assert world.json("work", "land")["status"] == "conflict" and (world.clone / "ignored-file/x/y").exists()


@pytest.mark.slow
def test_what_somebody_stages_while_the_merge_is_made_stays_staged(conflicting: World) -> None:
    """A driver of merges runs in the middle of one: it stands in for whoever works in the worktree at that moment."""
    conflicting.write({"other": "staged\n"})
    conflicting.git("config", "merge.stages.driver", "unset GIT_INDEX_FILE; git add other; exit 1")
    (conflicting.clone / ".git/info/attributes").write_text("README merge=stages\n")
    answer = conflicting.json("work", "land")
    assert answer["error"]["kind"] == "busy" and left(conflicting)[0] is False
    assert conflicting.git("show", ":other") == "staged" and conflicting.git("ls-files", "--unmerged") == ""


@pytest.mark.slow
def test_what_git_left_half_begun_is_never_to_be_committed(conflicting: World) -> None:
    conflicting.git("fetch", "--quiet")
    for name, text in (("MERGE_HEAD", conflicting.tip() + "\n"), ("MERGE_MSG", "Merge\n"), ("MERGE_MODE", "no-ff")):
        (conflicting.clone / ".git" / name).write_text(text)
    answer = conflicting.json("work", "land")
    assert answer["status"] == "conflict" and answer["error"]["next"] == "git merge --abort"
    assert "git commit" not in answer["error"]["hint"]
    conflicting.git("merge", "--abort")
    assert conflicting.homelab("work", "land").returncode == 5
    assert left(conflicting)[:2] == (True, True)


#: How somebody gets a merge that has nothing of what it merged.
DROPPING = {
    "the strategy ours": ["git merge -q -s ours -m m origin/master"],
    "an index that git never wrote": [
        "cp .git/index saved", "git merge -q origin/master; true", "mv saved .git/index", "git checkout -q -f HEAD -- .",
        "git commit -q -m m",
    ],
    "and a resolution of the conflict": [
        "git merge -q origin/master; true", "git checkout -q HEAD -- . ; git rm -q --cached precious; true",
        "echo both > README; git add README", "git commit -q -m m",
    ],
    "and work on top of it": ["git merge -q -s ours -m m origin/master", "echo 1 > more; git add more; git commit -q -m n"],
    "the other way round": [
        "git switch -q -c tmp origin/master", "git merge -q -s ours -m m ada/x; git read-tree -u --reset ada/x",
        "git commit -q --amend --no-edit", "git switch -q -C ada/x",
    ],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("how", DROPPING)
@pytest.mark.parametrize("options", [(), ("--no-verify",)])
def test_a_merge_that_reverts_what_others_landed_is_refused_although_it_was_committed(
    conflicting: World, how: str, options: tuple[str, ...]
) -> None:
    conflicting.git("fetch", "--quiet")
    for command in DROPPING[how]:
        conflicting.run("sh", "-c", command)
    assert conflicting.git("ls-tree", "HEAD", "precious") == ""
    before = conflicting.refs()
    answer = conflicting.json("work", "land", *options)
    assert (answer["status"], answer["reverted"]) == ("refused", ["precious"])
    assert conflicting.refs() == before
    (conflicting.clone / "precious").unlink(missing_ok=True)
    conflicting.run("sh", "-c", answer["error"]["next"])  # takes the merge out, and keeps what is ours
    assert conflicting.homelab("work", "land").returncode == 5


@pytest.mark.slow
def test_merges_that_keep_others_work_land(conflicting: World) -> None:
    conflicting.git("fetch", "--quiet")
    conflicting.git("merge", "--quiet", "-X", "ours", "-m", "m", "origin/master")  # ours where both changed, theirs elsewhere
    assert conflicting.json("work", "land")["status"] == "landed"
    conflicting.git("switch", "--quiet", "--no-track", "-C", "ada/y", "origin/master")
    conflicting.commit({"README": "again mine\n"})
    conflicting.publish({"README": "again theirs\n"})
    conflicting.git("fetch", "--quiet")
    conflicting.git("merge", "--quiet", "-s", "ours", "-m", "m", "origin/master")  # both changed nothing but that file
    assert conflicting.json("work", "land")["status"] == "landed"
    conflicting.git("switch", "--quiet", "--no-track", "-C", "ada/z", "origin/master")
    conflicting.publish({"late": "1\n"})
    conflicting.git("fetch", "--quiet")
    conflicting.git("merge", "--quiet", "-s", "ours", "-m", "m", "origin/master")
    conflicting.git("checkout", "--quiet", "origin/master", "--", "late")  # noticed, and brought back
    conflicting.commit({"z": "1"})
    assert conflicting.json("work", "land")["status"] == "landed"


@pytest.mark.slow
def test_a_resolution_that_rerere_remembers_is_left_to_be_committed(conflicting: World) -> None:
    conflicting.git("config", "rerere.enabled", "true")
    conflicting.git("config", "rerere.autoUpdate", "true")
    assert conflicting.homelab("work", "land").returncode == 5
    conflicting.commit({"README": "both\n"})
    conflicting.git("reset", "--quiet", "--hard", "HEAD^")
    assert conflicting.homelab("work", "land").returncode == 5
    assert left(conflicting)[:2] == (True, False)
    assert "resolved but not committed" in conflicting.homelab("work", "land").stderr
    conflicting.git("commit", "--quiet", "--no-edit")
    assert conflicting.json("work", "land")["status"] == "landed"
    assert conflicting.git("show", f"{conflicting.tip()}:precious", cwd=conflicting.remote) == "1"


@pytest.mark.parametrize(
    "setting",
    [
        "pull.twohead=ours",
        "merge.ff=only",
        *(f"branch.ada/x.mergeOptions={how}" for how in ("-s ours", "--squash", "--ff-only")),
    ],
)
def test_a_setting_for_merges_does_not_change_how_a_conflict_is_left(conflicting: World, setting: str) -> None:
    conflicting.git("config", *setting.split("=", 1))
    assert conflicting.homelab("work", "land").returncode == 5
    assert left(conflicting)[:2] == (True, True)


def test_no_lock_of_the_index_is_told_where_git_cannot_begin_for_another_reason(conflicting: World, tmp_path: Path) -> None:
    (conflicting.clone / "precious").write_text("untracked\n")
    answer = conflicting.json("work", "land")
    assert (answer["status"], answer["uncommitted"]) == ("refused", ["precious"])
    assert left(conflicting)[0] is False


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_programs_that_look_at_the_worktree_all_the_time_cost_nobody_a_file(conflicting: World) -> None:
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            conflicting.run("sh", "-c", "touch -c README; git status; git diff", check=False)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for n in range(6):
            conflicting.publish({"README": f"theirs {n}\n", f"precious{n}": "1\n"})
            while (done := conflicting.homelab("work", "land")).returncode == 4:
                pass
            assert done.returncode == 5, done.stderr
            assert left(conflicting)[:2] == (True, True)
            conflicting.write({"README": f"both {n}\n"})
            for command in (("add", "README"), ("commit", "--quiet", "--no-edit")):
                while conflicting.run("git", *command, check=False).returncode:  # these meet the lock too
                    pass
            assert conflicting.homelab("work", "land").returncode == 0
            while conflicting.run("git", "commit", "-qam", f"mine {n}", check=False).returncode:
                conflicting.write({"README": f"mine {n}\n"})
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    names = conflicting.git("ls-tree", "--name-only", conflicting.tip(), cwd=conflicting.remote).split()
    assert {f"precious{n}" for n in range(6)} <= set(names)


@pytest.mark.slow
def test_a_merge_whose_lander_was_killed_is_finished_by_the_next(conflicting: World) -> None:
    """Killed at each moment between git's merge and the index's place: before the lock, holding it, and after."""
    conflicting.git("fetch", "--quiet")
    folder = conflicting.clone / ".git"
    for held in (False, True):
        (folder / "homelab-merge-index").write_bytes((folder / "index").read_bytes())
        own = {"GIT_INDEX_FILE": str(folder / "homelab-merge-index")}
        assert conflicting.run("git", "merge", "--no-commit", "origin/master", check=False, env=own).returncode == 1
        if held:
            (folder / "index.lock").hardlink_to(folder / "homelab-merge-index")
        assert conflicting.homelab("work", "land").returncode == 5
        assert left(conflicting)[:2] == (True, True) and not (folder / "index.lock").exists()
        conflicting.git("merge", "--abort")
        assert left(conflicting) == (False, False, "")


@pytest.mark.slow
def test_a_merge_that_only_this_worktree_can_make_is_left_to_be_committed(conflicting: World) -> None:
    conflicting.commit({".gitattributes": "README merge=union\n"})  # the target has none, and its own count
    answer = conflicting.json("work", "land")
    assert answer["status"] == "conflict"
    assert left(conflicting)[:2] in ((True, False), (True, True))
    conflicting.run("sh", "-c", "git add README && git commit -q --no-edit")
    assert conflicting.json("work", "land")["status"] == "landed"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["another branch", "another commit", "gone"])
def test_no_merge_is_begun_in_a_worktree_that_has_moved_on_meanwhile(world: World, how: str) -> None:
    world.publish({"homelab.toml": f'[[suite]]\nname = "s"\nrun = "touch {world.root}/runs; sleep 3"\n'})
    place = Path(world.homelab("work", "start", "x").stdout.strip())
    world.commit({"README": "mine\n"}, cwd=place)
    with ThreadPoolExecutor() as pool:
        landing = pool.submit(world.json, "work", "land", cwd=place)
        while not (world.root / "runs").exists() and not landing.done():
            time.sleep(0.02)
        world.publish({"README": "theirs\n"})
        if how == "gone":
            shutil.rmtree(place)
        else:
            if how == "another branch":
                world.git("switch", "--quiet", "-c", "other", cwd=place)
            world.commit({"more": "1\n"}, cwd=place)
        answer = landing.result()
    if how == "gone":
        assert str(place) in answer["error"]["message"] and "PATH" not in answer["error"]["hint"]
        return
    assert (answer["status"], answer["conflicts"]) == ("conflict", ["README"])
    assert (
        world.git("status", "--porcelain", cwd=place) == ""
        and world.git("rev-parse", "-q", "--verify", "MERGE_HEAD", cwd=place, check=False) == ""
    )
    assert world.run("sh", "-c", answer["error"]["next"], cwd=place, check=False).returncode == 5
    assert world.git("symbolic-ref", "--short", "HEAD", cwd=place) == "ada/x"
    assert world.git("ls-files", "--unmerged", cwd=place)
