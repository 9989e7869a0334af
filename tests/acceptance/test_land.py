"""`homelab work land`, through the program: where the remote's branch is comes first, words second."""

import os
from pathlib import Path

import pytest

from tests.support.landings import branch, land
from tests.support.world import SUITE, World


def test_a_green_branch_lands_as_the_very_commit(world: World) -> None:
    head = branch(world)
    answer = world.json("work", "land")
    assert world.tip() == head == answer["commit"]
    assert (answer["ok"], answer["status"], answer["attempts"]) == (True, "landed", 1)
    assert [(s["name"], s["result"]) for s in answer["suites"]] == [("check", "passed")]


@pytest.mark.slow
def test_the_index_of_the_worktree_is_not_locked_even_to_refresh_it(world: World) -> None:
    branch(world)
    index = world.clone / ".git/index"
    before = index.read_bytes()
    for moment, verb in enumerate((("work", "list"), ("work", "land"), ("work", "clean", "--dry-run"), ("doctor",))):
        os.utime(world.clone / "README", (moment, moment))  # stale in the index, and unchanged
        world.homelab(*verb)
        assert index.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "code", "words"),
    [
        ('red_before = "refuse"', 1, "old is red"),
        ("claims = true", 3, "moving ns1"),
        ('target = "other"', 3, "lands elsewhere now"),
        ("nonsense", 3, "cannot be read"),
    ],
)
def test_settings_of_the_gate_that_were_not_fetched_yet_count(world: World, rule: str, code: int, words: str) -> None:
    suites = SUITE + '[[suite]]\nname = "old"\nrun = "false"\ninputs = ["README"]\n' * rule.startswith("red")
    world.publish({"homelab.toml": suites, "stacks/dns/main.tf": "1"})
    world.git("fetch", "--quiet")
    branch(world, files={"stacks/dns/main.tf": "2"})
    claimed = world.homelab("claim", "stack:dns", "--purpose", "moving ns1", env={"HOMELAB_SESSION": "others"})
    assert claimed.returncode == 0
    tip = world.publish({"homelab.toml": f"[gate]\n{rule}\n{suites}"})
    _, said = land(world, code)
    assert words in said and world.tip() == tip


@pytest.mark.slow
def test_a_red_branch_does_not_land(world: World) -> None:
    before = world.refs()
    branch(world, files={"bad": "1"})
    done = world.homelab("work", "land")
    assert done.returncode == 1 and world.refs() == before
    assert "check is red" in done.stderr and "hint:" in done.stderr
    answer = world.json("work", "land")
    assert answer["status"] == "failed" and answer["error"]["kind"] == "failed"
    assert answer["suites"][0]["result"] == "failed"


@pytest.mark.slow
def test_a_lone_red_is_run_once_and_again_only_when_asked_again(world: World, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    flaky = f"echo run >> {runs}; test $(wc -l < {runs}) -ge 2"
    world.publish({"homelab.toml": f'[[suite]]\nname = "flaky"\nrun = "{flaky}"\n'})
    world.git("pull", "--quiet")
    before = world.refs()
    head = branch(world)
    assert world.homelab("work", "land").returncode == 1 and world.refs() == before
    assert runs.read_text() == "run\n"  # retries = 0: a red is not tried again behind anybody's back
    assert world.homelab("work", "land").returncode == 0 and world.tip() == head


@pytest.mark.slow
def test_a_moved_target_is_merged_and_the_merge_is_verified(world: World) -> None:
    head = branch(world)
    other = world.publish({"theirs": "1"})
    answer = world.json("work", "land")
    assert answer["status"] == "landed"
    assert world.git("log", "-1", "--format=%P", world.tip(), cwd=world.remote) == f"{other} {head}"
    assert "Homelab-Verified: check " in world.git("log", "-1", "--format=%B", world.tip(), cwd=world.remote)
    assert world.git("rev-parse", "HEAD") == head


def test_two_greens_that_are_red_together_do_not_both_land(world: World) -> None:
    world.publish({"homelab.toml": '[[suite]]\nname = "pair"\nrun = "test ! -e a || test ! -e b"\n'})
    world.git("fetch", "--quiet")
    branch(world, "b")
    other = world.publish({"a": "1"})
    assert world.json("work", "land")["status"] == "failed"
    assert world.tip() == other


def test_a_target_that_moves_during_the_verification_is_never_passed_unverified(world: World, tmp_path: Path) -> None:
    # The suite itself publishes, once, what makes the merge red.
    other = world.root / "other"
    world.git("clone", "--quiet", world.remote, other, cwd=world.root)
    script = tmp_path / "race.sh"
    script.write_text(
        f"test -e {tmp_path}/once && exit 0; touch {tmp_path}/once; cd {other} && touch bad && git add bad && "
        "git -c user.name=o -c user.email=o@o commit -qm race && git push -q --no-verify origin HEAD:master\n"
    )
    suite = SUITE.replace("test ! -e bad", f"test ! -e bad && sh {script}")
    world.publish({"homelab.toml": suite})
    world.git("pull", "--quiet", cwd=other)
    world.git("fetch", "--quiet")
    branch(world)
    answer = world.json("work", "land")
    assert answer["status"] == "failed" and answer["attempts"] == 2
    assert world.git("log", "-1", "--format=%s", world.tip(), cwd=world.remote) == "race"


def test_what_is_verified_is_the_commit_not_the_folder(world: World) -> None:
    branch(world, files={"bad": "1"})
    world.git("rm", "--quiet", "--cached", "bad")
    (world.clone / "bad").unlink()
    done = world.homelab("work", "land")
    assert done.returncode == 3 and "uncommitted" in done.stderr


def test_a_commit_made_during_the_verification_stays_behind(world: World, tmp_path: Path) -> None:
    world.publish(
        {
            "homelab.toml": SUITE.replace(
                "test ! -e bad", f"cd {world.clone} && git -c user.name=o -c user.email=o@o commit -q --allow-empty -m late"
            )
        }
    )
    world.git("fetch", "--quiet")
    head = branch(world)
    answer = world.json("work", "land")
    assert answer["status"] == "landed" and world.tip() == head
    assert world.git("rev-parse", "HEAD") != head


@pytest.mark.slow
def test_a_conflict_is_left_to_resolve_and_landing_goes_on_afterwards(world: World) -> None:
    branch(world, files={"README": "mine\n"})
    other = world.publish({"README": "theirs\n"})
    answer = world.json("work", "land")
    assert answer["status"] == "conflict" and answer["error"]["kind"] == "conflict" and "README" in answer["error"]["message"]
    assert world.tip() == other
    assert world.git("diff", "--name-only", "--diff-filter=U") == "README"
    assert world.homelab("work", "land").returncode == 5
    world.write({"README": "both\n"})
    world.git("add", "README")
    world.git("commit", "--quiet", "--no-edit")
    assert world.json("work", "land")["status"] == "landed"
    assert world.git("show", f"{world.tip()}:README", cwd=world.remote) == "both"
    assert world.git("rev-parse", f"{world.tip()}^1", cwd=world.remote) == other


@pytest.mark.slow
def test_nothing_to_do_is_already_landed(world: World) -> None:
    world.git("switch", "--quiet", "-c", "ada/x")
    answer = world.json("work", "land")
    assert (answer["ok"], answer["status"]) == (True, "already-landed")
    branch(world, "y")
    assert world.json("work", "land")["status"] == "landed"
    assert world.json("work", "land")["status"] == "already-landed"


def test_a_verified_tree_is_not_verified_again_for_an_amended_message(world: World) -> None:
    branch(world)
    assert world.json("verify")["suites"][0]["result"] == "passed"
    world.git("commit", "--quiet", "--amend", "-m", "other words")
    answer = world.json("work", "land")
    assert answer["status"] == "landed" and answer["suites"][0]["result"] == "cached"


@pytest.mark.slow
def test_independent_inputs_are_not_verified_again(world: World, tmp_path: Path) -> None:
    count = tmp_path / "count"
    world.publish({
        "homelab.toml": f'[[suite]]\nname = "s"\neach = "stacks/*"\nrun = "basename $PWD >> {count}"\n',
        "stacks/a/f": "1", "stacks/b/f": "1",
    })  # fmt: skip
    world.git("fetch", "--quiet")
    branch(world, "x", {"stacks/a/f": "2"})
    world.publish({"stacks/b/f": "2"})
    assert world.json("work", "land")["status"] == "landed"
    assert sorted(count.read_text().split()) == ["a", "b"]
    branch(world, "y", {"stacks/a/f": "3"})
    world.publish({"stacks/b/f": "2", "other": "1"})
    answer = world.json("work", "land")
    assert answer["status"] == "landed"
    assert sorted(count.read_text().split()) == ["a", "a", "b"]
    assert {(s["dir"], s["result"]) for s in answer["suites"]} == {("stacks/a", "passed"), ("stacks/b", "cached")}


@pytest.mark.slow
def test_nothing_to_verify_with_is_refused_and_names_the_ways_out(world: World) -> None:
    world.git("rm", "--quiet", "homelab.toml")
    world.git("commit", "--quiet", "-m", "drop the rules")
    world.git("push", "--quiet", "origin", "HEAD:master")
    before = world.refs()
    branch(world)
    done = world.homelab("work", "land")
    assert done.returncode == 3 and world.refs() == before
    for words in ("homelab init", "--verify-cmd", "--no-verify"):
        assert words in done.stderr
    assert world.json("work", "land", "--verify-cmd", "false")["status"] == "failed"
    assert world.refs() == before
    assert world.json("work", "land", "--verify-cmd", "test -e x")["status"] == "landed"


@pytest.mark.slow
def test_a_command_of_ones_own_runs_besides_the_suites_never_instead(world: World) -> None:
    branch(world, files={"bad": "1"})
    before = world.refs()
    assert world.homelab("work", "land", "--verify-cmd", "true").returncode == 1
    assert world.refs() == before
    branch(world, "y")
    assert world.homelab("work", "land", "--verify-cmd", "false").returncode == 1
    assert world.refs() == before


@pytest.mark.slow
def test_no_verify_is_said_aloud_and_journaled_and_good_for_one_commit(gated: World) -> None:
    branch(gated, files={"bad": "1"})
    done = gated.homelab("work", "land", "--no-verify")
    assert done.returncode == 0 and "WITHOUT verification" in done.stderr
    assert gated.tip() == gated.git("rev-parse", "HEAD")
    [entry] = gated.json("work", "log")
    assert entry["verified"] is False and entry["user"] == "ada" and entry["status"] == "landed"
    gated.commit({"more": "1"})
    before = gated.refs()
    assert gated.run("git", "push", "origin", "HEAD:master", check=False).returncode == 1
    assert gated.refs() == before


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (["git", "switch", "--quiet", "--detach"], "detached"),
        (["git", "switch", "--quiet", "master"], "itself"),
        (["git", "switch", "--quiet", "--orphan", "new"], "no commit"),
    ],
)
def test_a_worktree_that_cannot_land_is_refused(world: World, prepare: list[str], words: str) -> None:
    branch(world)
    world.run(*prepare)
    answer, _ = land(world, 3)
    # What is wanted is a name that nobody but the person knows, so there is no command to run now.
    assert words in answer["error"]["message"] and "`" in answer["error"]["hint"] and answer["error"]["next"] is None


def test_a_rebase_under_way_is_refused(world: World) -> None:
    branch(world, files={"README": "mine\n"})
    world.publish({"README": "theirs\n"})
    world.git("fetch", "--quiet")
    world.run("git", "rebase", "origin/master", check=False)
    done = world.homelab("work", "land")
    assert done.returncode == 3 and "rebase" in done.stderr


@pytest.mark.slow
def test_a_protected_target_ends_in_a_review(world: World) -> None:
    world.server_hook(
        "update", 'test "$1" != refs/heads/master || { echo "GitLab: You are not allowed to push code to protected branches"; '
        "exit 1; }; echo 'To create a merge request, visit:'; echo '  https://git.example.org/merge_requests/new?b=x'",
    )  # fmt: skip
    head, before = branch(world), world.tip()
    answer = world.json("work", "land")
    assert answer["status"] == "review" and answer["error"]["kind"] == "review"
    assert [suite["result"] for suite in answer["suites"]] == ["passed"]
    assert world.tip() == before and world.tip("refs/heads/ada/x") == head
    assert "https://git.example.org/merge_requests/new?b=x" in answer["error"]["hint"]
    assert world.homelab("work", "land").returncode == 6


@pytest.mark.slow
def test_a_target_that_was_rewound_is_not_brought_back(world: World) -> None:
    before = world.tip()
    world.publish({"leaked": "secret"})
    world.git("fetch", "--quiet")
    branch(world)
    assert world.homelab("work", "land", "--verify-cmd", "false").returncode == 1  # saw the commit that goes now
    world.git("update-ref", "refs/heads/master", before, cwd=world.remote)
    for _ in range(2):
        done = world.homelab("work", "land")
        assert done.returncode == 3 and "rewound" in done.stderr
    assert world.tip() == before


@pytest.mark.slow
def test_a_change_of_the_rules_is_judged_by_the_old_and_the_new(world: World) -> None:
    before = world.refs()
    branch(world, "a", {"bad": "1", "homelab.toml": SUITE.replace("test ! -e bad", "true")})
    assert world.homelab("work", "land").returncode == 1
    branch(world, "b", {"homelab.toml": SUITE.replace("test ! -e bad", "false")})
    assert world.homelab("work", "land").returncode == 1
    assert world.refs() == before
    branch(world, "c", {"homelab.toml": SUITE.replace("test ! -e bad", "test ! -e worse")})
    assert world.homelab("work", "land").returncode == 0


@pytest.mark.parametrize("text", ["[gate\n", "[gaet]\n", "[gate]\ntarget = 3\n", '[[suite]]\nname = "x"\n', "\xff"])
def test_rules_that_cannot_be_read_are_wrong_usage(world: World, text: str) -> None:
    before = world.refs()
    branch(world, files={"homelab.toml": text.encode("latin-1")})
    done = world.homelab("work", "land")
    assert done.returncode == 2 and world.refs() == before and "hint:" in done.stderr


def test_a_remote_that_is_gone_is_unreachable(world: World) -> None:
    branch(world)
    world.git("remote", "set-url", "origin", str(world.root / "nowhere.git"))
    answer = world.json("work", "land")
    assert answer["status"] == "unreachable"
    assert world.homelab("work", "land").returncode == 7


@pytest.mark.slow
def test_nothing_is_left_behind(world: World) -> None:
    branch(world)
    world.publish({"theirs": "1"})
    assert world.homelab("work", "land").returncode == 0
    refs = world.git("for-each-ref", "--format=%(refname)", "refs/homelab/landing/")
    state = world.clone / ".git/homelab"
    assert not refs and not list(state.glob("landing/*")) and not list(state.glob("queue/*.lock"))
