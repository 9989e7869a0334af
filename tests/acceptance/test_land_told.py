"""What a landing tells: the tip that was pushed, what CI will make of it, the rule that was broken, and the journal."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forge import Forge, Run, serving
from tests.support.landings import Crowd, branch, land
from tests.support.push_scene import forge
from tests.support.world import SUITE, World


def message(world: World) -> str:
    return world.git("log", "-1", "--format=%B", world.tip(), cwd=world.remote)


@pytest.mark.slow
def test_each_of_a_batch_is_told_the_tip_that_was_pushed(world: World) -> None:
    crowd = Crowd(world, ["a", "b", "c"])
    for name, path in crowd.places.items():
        world.commit({name: "1"}, cwd=path)
    answers = crowd.land(queued=True)
    assert {answer["pushed"] for answer in answers.values()} == {world.tip()}
    assert len({answer["commit"] for answer in answers.values()}) == 3
    assert {row["pushed"] for row in world.json("work", "log")} == {world.tip()}
    told = world.homelab("work", "log").stdout.splitlines()
    assert sum(f"with {world.tip()[:7]}" in row for row in told) == 2 and sum("1 ran" in row for row in told) == 1
    waited = "".join((world.root / f"{name}.err").read_text() for name in crowd.places)
    assert world.tip()[:12] in waited and "waiting for " in waited


def test_a_merge_says_what_it_brings(world: World) -> None:
    branch(world)
    for n in range(22):
        world.git("commit", "--quiet", "--allow-empty", "-m", f"step {n}\n\nwith a body")
    world.git("commit", "--quiet", "--allow-empty", "-m", "schön")
    world.publish({"theirs": "1"})
    world.git("config", "merge.log", "false")
    world.git("config", "i18n.commitEncoding", "latin1")  # which says nothing of the words that are ours
    land(world, 0)
    rows = message(world).splitlines()
    assert (
        rows[:5] == ["Merge branch 'ada/x'", "", "* ada/x:", "  schön", "  step 21"]
        and "  ..." in rows
        and "with a body" not in rows
    )
    assert rows[-1].startswith("Homelab-Verified: check ")
    assert world.git("interpret-trailers", "--parse", input=message(world)).startswith("Homelab-Verified: check ")


WORDS = ["[ci skip]", "[skip ci]", "[CI SKIP]", "[no ci]", "[skip actions]", "[actions skip]", "[ci-skip]"]


@pytest.mark.slow
@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_one_commit_does_not_keep_ci_from_the_others(world: World, word: str) -> None:
    branch(world)
    world.git("commit", "--quiet", "--allow-empty", "-m", f"typo {word}")
    world.publish({"theirs": "1"})
    _, said = land(world, 0)
    assert "Merge branch" in message(world) and "typo [" in message(world) and word not in message(world)
    assert "CI applies on push" in said and world.tip()[:12] in said


@pytest.mark.slow
def test_where_every_commit_skips_ci_the_push_skips_it_and_that_is_said(world: World) -> None:
    branch(world)
    world.git("commit", "--quiet", "--amend", "-m", "docs [ci skip]")
    world.publish({"theirs": "1"})
    _, said = land(world, 0)
    assert "docs [ci skip]" in message(world)
    assert "nothing is applied" in said and "CI applies" not in said
    branch(world, "y")
    world.git("commit", "--quiet", "--amend", "-m", "alone [skip ci]")
    assert "nothing is applied" in land(world, 0)[1]


RULES = {
    "merge commits": ("- This branch must not contain merge commits.", "git rebase origin/master"),
    "linear history": ("- Cannot change this branch: linear history is required.", "git rebase origin/master"),
    "signatures": ("- Commits must have verified signatures.", "-S"),
    "a pattern": ("- Commit message must match a given regex pattern.", "git rebase -i origin/master"),
    "GitLab's pattern": ("GitLab: Commit message does not follow the pattern 'JIRA-'", "git rebase -i origin/master"),
}


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_about_the_commits_is_told_with_the_way_out_and_nothing_is_pushed(world: World, rule: str) -> None:
    said, command = RULES[rule]
    branch(world)
    world.publish({"theirs": "1"})
    before = world.refs()
    forge(world, "pre-receive hook declined", *(["error: GH006: Protected branch update failed."] * said.startswith("-")), said)
    answer, _ = land(world, 3)
    assert world.refs() == before and answer["status"] == "refused"
    assert said.removeprefix("- ") in answer["error"]["message"] or said in answer["error"]["message"]
    assert command in answer["error"]["next"] and command in answer["error"]["hint"]


def test_a_rebase_gets_past_a_rule_against_merges(world: World) -> None:
    branch(world)
    world.publish({"theirs": "1"})
    world.server_hook("update", 'test -z "$(git rev-list --merges $2..$3)" || { echo "- This branch must not contain merge '
                      'commits." >&2; exit 1; }')  # fmt: skip
    answer, _ = land(world, 3)
    world.run("sh", "-c", answer["error"]["next"])
    land(world, 0)


def test_a_rule_that_a_review_satisfies_is_the_reason_of_the_review(world: World) -> None:
    head = branch(world)
    forge(world, "protected branch hook declined", "error: GH006: Protected branch update failed for refs/heads/master.",
          "", "- Changes must be made through a pull request.", "- This branch must not contain merge commits.")  # fmt: skip
    answer, _ = land(world, 6)
    assert world.tip("refs/heads/ada/x") == head
    assert "Changes must be made through a pull request." in answer["error"]["message"]
    assert answer["pushed"] == head


@pytest.mark.parametrize("setting", ["refuse", "updateInstead"])
def test_a_remote_with_a_worktree_is_told_as_that(world: World, setting: str) -> None:
    place = world.root / "place"
    world.git("clone", "--quiet", world.remote, place, cwd=world.root)
    world.git("config", "receive.denyCurrentBranch", setting, cwd=place)
    world.write({"README": "edited there\n"}, cwd=place)
    world.git("remote", "set-url", "origin", str(place))
    branch(world)
    before = world.git("for-each-ref", cwd=place)
    answer, _ = land(world, 3)
    assert world.git("for-each-ref", cwd=place) == before
    assert "is checked out" in answer["error"]["message"] and "switch --detach" in answer["error"]["hint"]


@pytest.mark.slow
def test_a_second_address_that_stays_behind_is_named_with_what_brings_it_up(world: World) -> None:
    mirror = world.root / "mirror.git"
    world.git("clone", "--quiet", "--mirror", world.remote, mirror, cwd=world.root)
    world.publish({"theirs": "1"})  # to the first alone
    for address in (world.remote, mirror):
        world.git("remote", "set-url", "--add", "--push", "origin", str(address))
    branch(world)
    for topic in ("x", "y"):
        _, said = land(world, 0)
        [row] = [row for row in said.splitlines() if str(mirror) in row]
        assert "stale info" in row and "git ended with" not in said
        branch(world, f"{topic}2")
    world.run("sh", "-c", row.split("`")[1])
    assert world.git("rev-parse", "master", cwd=mirror) == world.tip()


def test_a_landing_without_verification_that_did_not_land_leaves_no_grant(gated: World) -> None:
    head = branch(gated, files={"bad": "1"})
    gated.server_hook("pre-receive", "echo no >&2; exit 1")
    assert gated.homelab("work", "land", "--no-verify").returncode in (3, 6)
    (gated.remote / "hooks/pre-receive").unlink()
    before = gated.refs()
    assert gated.run("git", "push", "origin", f"{head}:refs/heads/master", check=False).returncode == 1
    assert gated.refs() == before


def test_a_target_that_keeps_moving_is_busy_and_the_way_out_is_named(world: World, tmp_path: Path) -> None:
    other = world.root / "other"
    world.git("clone", "--quiet", world.remote, other, cwd=world.root)
    move = (
        f"cd {other} && echo >> moved && git add moved && git -c user.name=o -c user.email=o@o commit -q -m move && "
        "git push -q --no-verify origin HEAD:master"
    )
    world.publish({"homelab.toml": f'[land]\nattempts = 2\n[[suite]]\nname = "s"\nrun = "{move}"\n'})
    world.git("pull", "--quiet", cwd=other)
    world.git("fetch", "--quiet")
    branch(world)
    answer, _ = land(world, 4)
    assert (answer["status"], answer["error"]["kind"]) == ("busy", "busy") and "`inputs`" in answer["error"]["hint"]


def many(world: World, deleted: int) -> None:
    """The target has thirty files more, of which a branch deletes so many."""
    world.publish({f"f{n}": str(n) for n in range(30)})
    world.git("fetch", "--quiet")
    branch(world)
    world.git("rm", "--quiet", *(f"f{n}" for n in range(deleted)))
    world.git("commit", "--quiet", "-m", "less")


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--no-verify",), ("--verify-cmd", "true")])
def test_a_change_that_deletes_most_of_the_target_wants_a_word(gated: World, options: tuple[str, ...]) -> None:
    many(gated, 25)
    before = gated.refs()
    answer = gated.json("work", "land", *options)
    assert (answer["status"], answer["deleted"]) == ("refused", 25) and "--allow-deletions" in answer["error"]["hint"]
    assert gated.refs() == before
    assert gated.json("work", "land", "--allow-deletions", *options)["status"] == "landed"
    [row] = [row for row in gated.json("work", "log") if row["status"] == "landed"]
    assert row["allow_deletions"] is True


@pytest.mark.slow
def test_the_word_for_deletions_is_gone_with_a_landing_that_did_not_land(gated: World) -> None:
    many(gated, 25)
    gated.server_hook("pre-receive", "echo no >&2; exit 1")
    assert gated.homelab("work", "land", "--allow-deletions").returncode in (3, 6)
    (gated.remote / "hooks/pre-receive").unlink()
    refused = gated.run("git", "push", "origin", "HEAD:master", check=False)
    command = refused.stderr.partition("hint: `")[2].partition("`")[0]
    assert refused.returncode == 1 and len(re.findall(r"^ f\d+ ", gated.run("sh", "-c", command).stdout, re.M)) == 25
    assert gated.homelab("work", "land").returncode == 3


@pytest.mark.slow
def test_a_topic_lands_from_anywhere(world: World) -> None:
    place = Path(world.homelab("work", "start", "dns").stdout.strip())
    head = world.commit({"dns": "1"}, cwd=place)
    (world.clone / "sub").mkdir()
    answer = world.json("work", "land", "dns", cwd=world.clone / "sub")
    assert answer["status"] == "landed" and world.tip() == head == answer["commit"]
    answer, _ = land(world, 2, args=("dsn",))
    assert answer["status"] == "refused"
    assert land(world, 2, cwd=world.root)[0]["status"] == "refused", "outside a repository too"


@pytest.mark.slow
def test_the_clean_main_worktree_is_brought_forward_and_no_other(world: World) -> None:
    def land_one(name: str) -> str:
        place = Path(world.homelab("work", "start", name).stdout.strip())
        world.commit({name: "1"}, cwd=place)
        assert world.homelab("work", "land", cwd=place).returncode == 0
        return world.git("rev-parse", "HEAD")

    assert land_one("a") == world.tip() and (world.clone / "a").exists()
    (world.clone / "README").write_text("edited\n")
    before = world.git("rev-parse", "HEAD")
    assert land_one("b") == before != world.tip()
    world.git("checkout", "--quiet", "README")
    (world.clone / "c").write_text("untracked\n")  # which the landing has too
    assert land_one("c") == before and (world.clone / "c").read_text() == "untracked\n"
    (world.clone / "c").unlink()
    (world.clone / ".git/index.lock").touch()
    assert land_one("d") == before and world.git("status", "--porcelain") == ""
    (world.clone / ".git/index.lock").unlink()
    mine = world.commit({"mine": "1"})
    assert land_one("e") == mine
    world.git("reset", "--quiet", "--hard", "HEAD^")
    world.git("switch", "--quiet", "-c", "elsewhere")
    assert land_one("f") == before
    world.git("switch", "--quiet", "master")
    assert land_one("g") == world.tip()


@pytest.mark.slow
def test_what_is_ignored_in_the_main_worktree_is_in_the_way_of_what_landed(world: World) -> None:
    world.git("config", "branch.master.mergeOptions", "--squash")
    place, before = Path(world.homelab("work", "start", "a").stdout.strip()), world.git("rev-parse", "HEAD")
    world.commit({"made": "1", "secret.env": "1"}, cwd=place)
    with (world.clone / ".git/info/exclude").open("a") as file:
        file.write("made\n*.env\n")
    ignored = {"made/precious": "mine", "secret.env": "mine"}  # git merges over it in silence, a whole folder too
    world.write(ignored)
    assert world.homelab("work", "land", cwd=place).returncode == 0 and world.git("rev-parse", "HEAD") == before
    assert {name: (world.clone / name).read_text() for name in ignored} == ignored and world.git("status", "--porcelain") == ""
    shutil.rmtree(world.clone / "made")
    (world.clone / "secret.env").unlink()
    world.commit({"b": "1"}, cwd=place)
    assert world.homelab("work", "land", cwd=place).returncode == 0 and world.git("rev-parse", "HEAD") == world.tip()


def record(number: int, **more: object) -> dict[str, object]:
    suites = [{"name": "s", "dir": f"stacks/{n}", "result": "passed", "seconds": 1.0} for n in range(2)]
    return {
        "id": f"{number:032x}", "started": "2026-11-25T12:00:00Z", "user": "ada", "host": "h", "session": "s",
        "branch": "ada/x", "remote": "origin", "target": "master", "head": "a" * 40, "base": "b" * 40, "tree": "c" * 40,
        "commit": f"{number:040x}",
        "verified": True, "suites": suites, "counts": {"passed": 2, "cached": 153}, "status": "landed",
        "finished": "2026-11-25T12:01:00Z", "reason": None, "attempts": 1, "pushed": f"{number:040x}", **more,
    }  # fmt: skip


@pytest.mark.slow
def test_damaged_lines_of_the_journal_are_one_note_and_nothing_stops(world: World) -> None:
    log = world.clone / ".git/homelab/landings.jsonl"
    log.parent.mkdir(exist_ok=True)
    wrong: list[dict[str, object]] = [
        {"user": 3}, {"suites": "x"}, {"suites": [3]}, {"suites": [{"name": []}]}, {"counts": {"passed": "many"}},
        {"verified": "no"}, {"finished": 5}, {"status": None}, {"pushed": []},
    ]  # fmt: skip
    rows = [
        json.dumps(record(1)),
        *(json.dumps(record(2, **each)) for each in wrong),
        '{"id": 1',
        "[]",
        "\x00\xff",
        "[" * 100_000,
    ]
    log.write_text("\n".join(rows) + "\n", encoding="latin-1")
    done = world.homelab("work", "log")
    assert done.returncode == 0 and done.stdout.count("\n") == 1 and "2 ran, 153 cached" in done.stdout
    assert done.stderr.count("note: 13 lines of ") == 1
    assert len(world.json("work", "log")) == 1
    branch(world)
    assert world.json("work", "land")["status"] == "landed"
    assert len(world.json("work", "log")) == 2
    assert world.homelab("status").returncode == 0


def test_a_record_of_before_the_counts_is_still_listed_and_one_of_no_moment(world: World) -> None:
    log = world.clone / ".git/homelab/landings.jsonl"
    log.parent.mkdir(exist_ok=True)
    old = record(1)
    del old["counts"], old["pushed"]
    moments = ("yesterday", "99999-01-01T00:00:00Z", "0001-01-01T00:00:00", "")
    log.write_text("\n".join(json.dumps(each) for each in (old, *(record(n + 2, finished=m) for n, m in enumerate(moments)))))
    done = world.homelab("work", "log")
    assert done.returncode == 0 and done.stdout.count("2 ran") == 5


@pytest.mark.slow
def test_a_landing_of_many_stacks_takes_kilobytes_in_the_journal(world: World) -> None:
    world.publish({"homelab.toml": '[[suite]]\nname = "s"\neach = "stacks/*"\nrun = "true"\n'}
                  | {f"stacks/s{n}/main.tf": "1" for n in range(40)})  # fmt: skip
    world.git("fetch", "--quiet")
    branch(world)
    world.homelab("verify")
    branch(world, "y", {"stacks/s1/main.tf": "2"})
    answer = world.json("work", "land")
    assert len(answer["suites"]) == 40  # the answer is whole
    last = (world.clone / ".git/homelab/landings.jsonl").read_text().splitlines()[-1]
    assert len(last) < 2048
    row = world.json("work", "log")[0]
    assert [suite["dir"] for suite in row["suites"]] == ["stacks/s1"] and row["counts"] == {"passed": 1, "cached": 39}
    assert "1 ran, 39 cached" in world.homelab("work", "log").stdout


@pytest.mark.slow
def test_ten_thousand_landings_slow_nothing_down(world: World) -> None:
    log = world.clone / ".git/homelab/landings.jsonl"
    log.parent.mkdir(exist_ok=True)
    branch(world)

    def took(*verb: str) -> float:
        """Return the seconds of the processor, which a loaded machine does not change."""
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        world.homelab("work", *verb)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime

    empty = min(took("land") for _ in range(5))  # already landed but for the first
    log.write_text("".join(json.dumps(record(n)) + "\n" for n in range(10_000)))
    assert world.homelab("work", "log").stdout.count("\n") == 10_000
    assert min(took("log") for _ in range(3)) < 1.5
    assert min(took("land") for _ in range(5)) < 2 * empty


@pytest.fixture
def followed(world: World) -> Iterator[Forge]:
    """A Woodpecker that the target's file names; a push's checks are the empty name's."""
    world.env |= {"HOMELAB_CI_PACE": "0.01", "HOMELAB_CI_TOKEN": "t0ken"}
    with serving("woodpecker") as made:
        world.publish({"homelab.toml": f"{made.config()}{SUITE}"})
        world.git("fetch", "--quiet", "origin")
        yield made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "code", "verdict"),
    [("success", 0, "green"), ("failure", 8, "red"), ("blocked", 8, "asks"), ("skipped", 9, "skipped")],
)
def test_ci_of_the_pushed_tip_is_followed_and_it_stays_landed(
    world: World, followed: Forge, word: str, code: int, verdict: str
) -> None:
    head = branch(world)
    followed.now(head, Run("apply", word))
    answer, _ = land(world, code)
    assert world.tip() == head and answer["status"] == "landed" and answer["pushed"] == head
    assert (answer["ok"], answer["ci"]["verdict"], answer["ci"]["commit"]) == (code == 0, verdict, head)
    assert [(row["status"], row["ci"]["verdict"]) for row in world.json("work", "log")] == [("landed", verdict)]
    assert f"CI {verdict}" in world.homelab("work", "log").stdout
    assert world.json("status")["landings"][0]["ci"]["verdict"] == verdict, "the page shows it"
    branch(world, "y")
    done = world.homelab("work", "land", "--no-watch")
    assert done.returncode == 0 and "CI applies on push" in done.stderr


@pytest.mark.slow
def test_the_answer_is_given_before_ci_is_and_a_ci_that_is_away_is_seven(world: World, followed: Forge) -> None:
    head = branch(world)
    followed.now(head, Run("apply", "failure"))
    done = world.homelab("work", "land")
    assert done.returncode == 8 and f"landed ada/x as {head}" in done.stdout
    assert "CI is red" in done.stderr and "hint:" in done.stderr
    branch(world, "y")
    with contextlib.suppress(OSError):
        world.env["HOMELAB_CI_TOKEN"] = "t0ken"
    followed.says[""] = lambda: (_ for _ in ()).throw(RuntimeError)
    world.publish({"homelab.toml": followed.config().replace(followed.url, "http://127.0.0.1:9") + SUITE})
    world.git("fetch", "--quiet", "origin")
    branch(world, "z")
    answer = world.json("work", "land")
    assert (answer["status"], answer["error"]["kind"]) == ("landed", "unreachable")


@pytest.mark.slow
def test_a_landing_holds_until_ci_is_idle_on_the_target(world: World, followed: Forge) -> None:
    world.publish({"homelab.toml": f"[land]\nhold = true\nwatch = false\n{followed.config()}{SUITE}"})
    world.git("fetch", "--quiet", "origin")
    before = world.tip()
    asked: list[str] = []

    def says() -> list[Run]:
        asked.append(world.tip())
        return [Run("apply", "running" if len(asked) < 4 else "success", number=7)]

    followed.says[before] = says
    head = branch(world)
    _, said = land(world, 0)
    assert set(asked[:4]) == {before} and world.tip() == head and "holding for CI" in said
    followed.now(head, Run("apply", "running", number=8))
    second = branch(world, "y")
    land_now = world.homelab("work", "land", "--no-hold")
    assert land_now.returncode == 0 and world.tip() == second
