"""What `homelab work start` and `list` leave behind, on real repositories."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from homelab.worktrees import names
from tests.support.waiting import eventually
from tests.support.worktrees import branches, worktrees
from tests.support.world import BIN, World


def untouched(world: World) -> None:
    """Nothing stands there but the main worktree."""
    assert branches(world) == "master"
    assert worktrees(world) == [str(world.clone)]
    assert not (world.clone / ".worktrees").exists()
    assert world.git("status", "--porcelain") == ""


def test_a_start_makes_a_worktree_on_a_branch_off_the_fetched_target(world: World) -> None:
    tip = world.publish({"new": "x"})
    done = world.homelab("work", "start", "fix-dns")
    path = world.clone / ".worktrees" / "fix-dns"
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    assert world.git("rev-parse", "HEAD", cwd=path) == tip
    assert world.git("branch", "--show-current", cwd=path) == "ada/fix-dns"
    assert world.git("status", "--porcelain", cwd=path) == ""
    assert world.git("config", "--get-regexp", r"^branch\.ada", check=False) == ""
    assert world.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_the_folder_is_ignored_once_and_no_tracked_file_is_touched(world: World) -> None:
    exclude = world.clone / ".git/info/exclude"
    exclude.write_text("mine")
    for name in ("a", "b"):
        world.homelab("work", "start", name)
    assert exclude.read_text() == "mine\n.worktrees/\n"
    assert world.git("status", "--porcelain") == ""


def test_a_second_start_gives_the_path_again(world: World) -> None:
    first = world.json("work", "start", "feat/x")
    second = world.json("work", "start", "feat/x")
    assert first == {
        "ok": True,
        "topic": "feat/x",
        "path": str(world.clone / ".worktrees/feat/x"),
        "branch": "ada/feat/x",
        "base": world.tip(),
        "created": True,
    }
    assert second["path"] == first["path"] and second["created"] is False


@pytest.mark.slow
@pytest.mark.parametrize("place", ["sub/deep", ".worktrees/one", ".worktrees/one/sub", ".git"])
def test_a_start_from_anywhere_never_nests(world: World, place: str) -> None:
    world.homelab("work", "start", "one")
    cwd = world.clone / place
    cwd.mkdir(parents=True, exist_ok=True)
    done = world.homelab("work", "start", "two", cwd=cwd)
    assert done.stdout == f"{world.clone}/.worktrees/two\n", done.stderr


@pytest.mark.slow
def test_a_bare_layout_gets_its_worktrees_beside_the_git_file(world: World) -> None:
    root = world.root / "bare"
    root.mkdir()
    world.git("clone", "--quiet", "--bare", world.remote, root / ".bare", cwd=root)
    (root / ".git").write_text("gitdir: ./.bare\n")
    assert world.homelab("work", "start", "x", cwd=root).stdout == f"{root}/.worktrees/x\n"
    done = world.homelab("work", "start", "y", cwd=root / ".worktrees/x")
    assert done.stdout == f"{root}/.worktrees/y\n"
    assert world.git("status", "--porcelain", cwd=root / ".worktrees/y") == ""


@pytest.mark.slow
def test_a_git_directory_that_stands_apart_hides_nothing(world: World) -> None:
    root = world.root / "apart"
    world.git("clone", "--quiet", "--separate-git-dir", world.root / "gitdir", world.remote, root)
    assert world.homelab("work", "start", "x", cwd=root).stdout == f"{root}/.worktrees/x\n"
    assert world.homelab("work", "start", "y", cwd=root / ".worktrees/x").stdout == f"{root}/.worktrees/y\n"


def test_a_path_that_is_no_utf8_can_be_changed_into(world: World) -> None:
    clone = world.root / os.fsdecode(b"B\xfcro")
    world.git("clone", "--quiet", world.remote, clone)
    world.run("sh", "-c", 'cd "$(homelab work start x)" && test -e homelab.toml', cwd=clone)


@pytest.mark.slow
def test_a_moved_clone_is_told_how_to_be_repaired_and_loses_nothing(world: World) -> None:
    world.json("work", "start", "x")
    moved = world.root / "moved"
    world.clone.rename(moved)
    for command in ("start", "clean"):
        done = world.homelab("work", command, "x", cwd=moved)
        assert done.returncode == 3 and f"`git worktree repair {moved}/.worktrees/x`" in done.stderr
    world.git("worktree", "repair", moved / ".worktrees/x", cwd=moved)
    assert world.homelab("work", "start", "x", cwd=moved).stdout == f"{moved}/.worktrees/x\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["y", "y/z"])
def test_a_worktree_that_was_moved_among_the_started_ones_keeps_its_registration(world: World, name: str) -> None:
    path, moved = Path(world.json("work", "start", "x")["path"]), world.clone / ".worktrees" / name
    world.write({"new": "x"}, cwd=path)
    world.git("add", "new", cwd=path)
    moved.parent.mkdir(exist_ok=True)
    path.rename(moved)
    for words in (["start", "x"], ["start", name], ["clean", "x"]):
        done = world.homelab("work", *words)
        assert done.returncode == 3 and f"`git worktree repair {moved}`" in done.stderr, done.stderr
    world.git("worktree", "repair", moved)
    assert world.git("status", "--short", cwd=moved) == "A  new"
    assert world.homelab("work", "start", name).stdout == f"{moved}\n"


@pytest.mark.slow
def test_a_linked_folder_of_worktrees_is_followed_and_ignored(world: World) -> None:
    (world.root / "ext").mkdir()
    (world.clone / ".worktrees").symlink_to(world.root / "ext")
    assert world.homelab("work", "start", "x").stdout == f"{world.root}/ext/x\n"
    assert world.git("status", "--porcelain") == ""
    assert world.json("work", "list")[1]["topic"] == "x"


def test_a_relative_git_dir_in_the_environment_does_not_mislead(world: World) -> None:
    other = world.root / "elsewhere"
    world.git("init", "--quiet", other)
    done = world.homelab("work", "start", "x", env={"GIT_DIR": str(other / ".git")})
    assert done.stdout == f"{world.clone}/.worktrees/x\n"


BAD = ["../x", "x/../y", "-x", "feat/-x", "--help-me", "", "a b", "a\nb", "a\x1b[31mb", "a..b", "x.lock", ".hidden", "HEAD"]


@pytest.mark.parametrize("name", [*BAD, "x" * 300, "/x", "x/", "a//b", "a:b", "@", "a@{u}", "\\x", "x.", "a\x7fb", "a\tb"])
def test_a_topic_that_is_no_name_is_refused_with_its_rule(world: World, name: str) -> None:
    done = world.homelab("work", "start", "--", name)
    assert done.returncode == 2
    assert "is no topic: " in done.stderr and "hint: " in done.stderr and "\x1b" not in done.stderr
    assert done.stdout == ""
    untouched(world)


@pytest.mark.parametrize("name", ["fix-dns", "feat/x", "größe", "日本", "x" * 200, "v1.2", "con", "a_b+c"])
def test_a_topic_that_is_a_name_is_taken(name: str) -> None:
    assert names.check(name) == name


@pytest.mark.parametrize(
    ("user", "part"),
    [
        ("ada", "ada"), ("john doe", "john-doe"), ("DOMAIN\\user", "DOMAIN-user"), ("root", "root"), ("..", "user"),
        ("a..b.lock", "a-b-lock"), ("-x", "x"), ("@", "user"), ("a/b", "a-b"), ("x\n", "x"), ("jörg", "jörg"),
    ],
)  # fmt: skip
def test_a_user_is_made_fit_for_a_ref(user: str, part: str) -> None:
    assert names.fit(user) == part


def test_without_a_user_the_system_names_one(world: World) -> None:
    env = {k: v for k, v in world.env.items() if k != "USER"}
    done = World(world.root, env).homelab("work", "start", "x")
    assert done.returncode == 0, done.stderr
    assert branches(world).endswith("/x") or "/x\n" in branches(world)


def test_an_existing_branch_is_attached_and_never_forked(world: World) -> None:
    world.git("branch", "ada/x")
    world.publish({"new": "x"})
    before = world.git("rev-parse", "ada/x")
    answer = world.json("work", "start", "x")
    assert (answer["base"], answer["created"]) == (None, True)
    assert world.git("rev-parse", "ada/x") == before == world.git("rev-parse", "HEAD", cwd=Path(answer["path"]))


def test_a_branch_that_only_the_remote_has_is_attached(world: World) -> None:
    world.git("push", "--quiet", "origin", "master:ada/x")
    other = world.root / "other"
    world.git("clone", "--quiet", "--branch", "ada/x", world.remote, other)
    tip = world.commit({"more": "x"}, cwd=other)
    world.git("push", "--quiet", "origin", "HEAD:ada/x", cwd=other)
    answer = world.json("work", "start", "x")
    assert world.git("rev-parse", "HEAD", cwd=Path(answer["path"])) == tip
    assert world.git("config", "--get-regexp", r"^branch\.ada", check=False) == ""


@pytest.mark.slow
def test_from_names_another_start(world: World) -> None:
    first = world.git("rev-parse", "HEAD")
    world.commit({"local": "x"})
    answer = world.json("work", "start", "x", "--from", "HEAD~1")
    assert answer["base"] == first
    assert world.homelab("work", "start", "y", "--from", "nothing").returncode == 2
    assert world.homelab("work", "start", "y", "--from", "^HEAD").returncode == 2
    assert "ada/y" not in branches(world)


@pytest.mark.slow
def test_an_unreachable_remote_leaves_nothing(world: World) -> None:
    world.remote.rename(world.root / "gone")
    done = world.homelab("work", "start", "x", "--json")
    assert done.returncode == 7
    assert json.loads(done.stdout)["error"]["kind"] == "unreachable"
    untouched(world)
    assert world.homelab("work", "start", "x", "--from", "HEAD").returncode == 0


def test_a_remote_without_the_target_is_refused(world: World) -> None:
    world.git("update-ref", "-d", "refs/heads/master", cwd=world.remote)
    done = world.homelab("work", "start", "x")
    assert done.returncode == 3 and "has no branch master" in done.stderr
    untouched(world)


def test_no_remote_is_refused_and_from_works(world: World) -> None:
    world.git("remote", "remove", "origin")
    assert world.homelab("work", "start", "x").returncode == 3
    untouched(world)
    assert world.homelab("work", "start", "x", "--from", "HEAD").returncode == 0


@pytest.mark.slow
def test_a_refusing_post_checkout_hook_leaves_nothing(world: World) -> None:
    hook = world.clone / ".git/hooks/post-checkout"
    hook.write_text('#!/bin/sh\necho "$@" >> "$HOME/hook"; echo not today >&2; exit 1\n')
    hook.chmod(0o755)
    for _ in range(2):
        done = world.homelab("work", "start", "x")
        assert done.returncode == 1 and "not today" in done.stderr
        untouched(world)
    assert (Path(world.env["HOME"]) / "hook").read_text().split()[:3] == ["0" * 40, world.tip(), "1"]


def test_a_failing_smudge_filter_leaves_nothing(world: World) -> None:
    world.commit({".gitattributes": "secret filter=broken\n", "secret": "x"})
    world.git("push", "--quiet", "origin", "master")
    world.git("config", "filter.broken.smudge", "false")
    world.git("config", "filter.broken.clean", "cat")
    world.git("config", "filter.broken.required", "true")
    done = world.homelab("work", "start", "feat/x")
    assert done.returncode == 1 and "smudge" in done.stderr
    untouched(world)


def test_a_folder_in_the_way_is_kept_and_refused(world: World) -> None:
    place = world.clone / ".worktrees/x"
    world.write({".worktrees/x/precious": "1"})
    done = world.homelab("work", "start", "x")
    assert done.returncode == 3 and "not empty" in done.stderr
    assert (place / "precious").read_text() == "1" and branches(world) == "master"
    (place / "precious").unlink()
    assert world.homelab("work", "start", "x").returncode == 0


def test_a_file_where_the_folder_should_be_is_refused(world: World) -> None:
    world.write({".worktrees": "x"})
    assert world.homelab("work", "start", "x").returncode == 3
    assert branches(world) == "master"


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [("feat/x", "feat"), ("feat", "feat/x")])
def test_a_topic_inside_another_is_refused(world: World, first: str, second: str) -> None:
    world.homelab("work", "start", first)
    done = world.homelab("work", "start", second)
    assert done.returncode == 3 and "nested" in done.stderr
    assert branches(world) == f"ada/{first}\nmaster"


def test_a_branch_in_the_way_of_the_name_is_refused(world: World) -> None:
    world.git("branch", "ada")
    done = world.homelab("work", "start", "x")
    assert done.returncode == 3 and "beside ada" in done.stderr


def test_a_vanished_folder_is_made_again_on_the_same_branch(world: World) -> None:
    path = Path(world.json("work", "start", "x")["path"])
    tip = world.commit({"mine": "x"}, cwd=path)
    world.run("rm", "-rf", path)
    world.git("worktree", "add", "-q", "--detach", world.root / "stays")
    world.run("mv", world.root / "stays", world.root / "moved")
    answer = world.json("work", "start", "x")
    assert answer["created"] and world.git("rev-parse", "HEAD", cwd=path) == tip
    assert str(world.root / "stays") in worktrees(world), "other registrations are none of our business"


def test_a_vanished_and_locked_folder_is_told_and_left(world: World) -> None:
    path = Path(world.json("work", "start", "x")["path"])
    world.git("worktree", "lock", "--reason", "on a stick", path)
    world.run("rm", "-rf", path)
    done = world.homelab("work", "start", "x")
    assert done.returncode == 3 and "on a stick" in done.stderr and not path.exists()
    assert str(path) in worktrees(world)


def test_a_branch_that_the_main_worktree_has_is_not_given_away(world: World) -> None:
    world.git("switch", "--quiet", "-c", "ada/x")
    done = world.homelab("work", "start", "x")
    assert done.returncode == 3 and "main worktree" in done.stderr


def test_prepare_runs_in_the_worktree_and_is_narrated(world: World) -> None:
    world.commit({"homelab.toml": '[work]\nprepare = "echo preparing; pwd > where; sleep 3 & true"\n'})
    world.git("push", "--quiet", "origin", "master")
    done = world.homelab("work", "start", "x")
    path = world.clone / ".worktrees/x"
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    assert "| preparing" in done.stderr and (path / "where").read_text() == f"{path}\n"


@pytest.mark.slow
def test_a_failing_prepare_is_said_and_the_worktree_stays(world: World) -> None:
    world.commit({"homelab.toml": '[work]\nprepare = "exit 9"\n'})
    world.git("push", "--quiet", "origin", "master")
    done = world.homelab("work", "start", "x", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["path"] == str(world.clone / ".worktrees/x")
    assert (world.clone / ".worktrees/x/README").exists()
    assert world.homelab("work", "start", "x").returncode == 0


def test_the_configured_folder_and_branch_are_used(world: World) -> None:
    world.commit({"homelab.toml": '[work]\ndirectory = "wt/here"\nbranch = "wip-{topic}"\n'})
    world.git("push", "--quiet", "origin", "master")
    answer = world.json("work", "start", "x")
    assert (answer["path"], answer["branch"]) == (str(world.clone / "wt/here/x"), "wip-x")
    assert world.git("status", "--porcelain") == ""


def launch(world: World, *args: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [BIN / "homelab", *args], cwd=world.clone, env=world.env, stdout=-1, stderr=-1, text=True, start_new_session=True
    )


@pytest.mark.slow
def test_many_starts_at_once_all_succeed(world: World) -> None:
    running = [launch(world, "work", "start", f"t{n}") for n in range(24)]
    ended = [child.communicate() for child in running]
    assert [child.returncode for child in running] == [0] * 24, ended
    assert len(worktrees(world)) == 25
    assert all(world.git("status", "--porcelain", cwd=Path(path)) == "" for path in worktrees(world))


@pytest.mark.slow
def test_many_starts_of_one_topic_give_one_whole_worktree(world: World) -> None:
    running = [launch(world, "work", "start", "same", "--json") for _ in range(8)]
    answers = [json.loads(child.communicate()[0]) for child in running]
    assert sorted(answer["created"] for answer in answers) == [False] * 7 + [True]
    assert len({answer["path"] for answer in answers}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("pause", [0.2, 0.4, 0.6, 0.8])
def test_an_interrupted_start_leaves_nothing_or_is_finished_by_the_next(world: World, signum: int, pause: float) -> None:
    world.commit({".gitattributes": "slow filter=slow\n", "slow": "x", "z": "z"})
    world.git("push", "--quiet", "origin", "master")
    world.git("config", "filter.slow.smudge", "sleep 0.6; cat")
    child = launch(world, "work", "start", "x")
    time.sleep(pause)
    os.killpg(child.pid, signum)
    said = child.communicate()[1]
    if child.returncode != 0 and signum != signal.SIGKILL:
        if (world.clone / ".worktrees/x/z").exists():  # it was done, and the signal met the farewell
            assert world.git("status", "--porcelain", cwd=world.clone / ".worktrees/x") == ""
        else:
            assert branches(world) == "master", said
            untouched(world)
    done = world.homelab("work", "start", "x")
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert world.git("status", "--porcelain", cwd=path) == "" and (path / "z").exists()


def test_a_remote_without_a_branch_is_told_with_what_leads_on(world: World) -> None:
    world.git("init", "--quiet", "--bare", "--initial-branch", "master", world.root / "empty.git")
    place = world.root / "begun"
    world.git("clone", "--quiet", world.root / "empty.git", place)
    world.commit({"README": "1"}, cwd=place)
    done = world.homelab("work", "start", "x", cwd=place)
    assert done.returncode == 3 and "has no branch master to start from" in done.stderr
    world.run("sh", "-c", done.stderr.partition("hint: ")[2].split("`")[1], cwd=place)
    assert world.homelab("work", "start", "x", cwd=place).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_us_alone_while_a_hook_runs_leaves_nothing(world: World, signum: int) -> None:
    hook = world.clone / ".git/hooks/post-checkout"
    hook.write_text("#!/bin/sh\ntouch ../../hooked; sleep 1; echo late > late\n")
    hook.chmod(0o755)
    child = launch(world, "work", "start", "x")
    eventually((world.clone / "hooked").exists)
    os.kill(child.pid, signum)
    child.communicate()
    (world.clone / "hooked").unlink()
    assert child.returncode == 128 + signum
    time.sleep(1)
    untouched(world)
