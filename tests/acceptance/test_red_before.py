"""A change answers for what it changes: red before, unable, nothing ran, and what detection may demand."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import World

# A suite that is red where a file says so, counts its runs in a file outside, and is scoped to its folder.
EACH = """
[[suite]]
name = "stack"
each = "stacks/*"
run = "echo run >> {root}/runs; test ! -e red"
"""


def results(world: World, *args: str, **options: Any) -> dict[str, str]:
    return {suite["dir"]: suite["result"] for suite in world.json(*args, **options)["suites"]}


@pytest.fixture
def stacks(world: World) -> World:
    """A target with two stacks, of which `old` is red."""
    rules = EACH.format(root=world.root)
    world.commit({"homelab.toml": rules, "stacks/old/red": "", "stacks/new/f": ""})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    world.git("switch", "--quiet", "-c", "topic")
    return world


def runs(world: World) -> int:
    try:
        return (world.root / "runs").read_text().count("run")
    except FileNotFoundError:
        return 0


@pytest.mark.slow
def test_what_is_red_on_the_target_with_the_same_content_is_told_and_lands(stacks: World) -> None:
    stacks.commit({"stacks/new/f": "2"})
    done = stacks.homelab("verify")
    assert done.returncode == 0 and "stacks/old" in done.stderr and "target" in done.stderr
    who = f"last changed in {stacks.git('rev-parse', '--short', 'origin/master')} by Ada "
    told = f"red before, and not by this change: stack (stacks/old); {who}"
    assert told in done.stderr and "first seen red" in done.stderr
    count = runs(stacks)
    assert results(stacks, "verify", "--json") == {"stacks/old": "red-before", "stacks/new": "cached"}
    assert runs(stacks) == count, "known for a day"
    assert stacks.homelab("hooks", "install").returncode == 0
    assert stacks.homelab("verify").stderr.count(told) == 1
    landed = stacks.homelab("work", "land", "--json")
    answer = json.loads(landed.stdout)
    assert landed.returncode == 0 and answer["status"] == "landed" and told in landed.stderr
    assert f"itself is red: stack (stacks/old); {who}" in stacks.homelab("doctor").stdout
    assert {suite["dir"]: suite["result"] for suite in answer["suites"]}["stacks/old"] == "red-before"
    assert "stacks/old" not in stacks.git("log", "-1", "--format=%B", answer["pushed"])
    assert not any("stacks/old" in path.read_text() for path in (stacks.clone / ".git/homelab/receipts").rglob("*.json"))


def test_a_plain_push_passes_too_and_is_judged_anew_each_time(stacks: World) -> None:
    assert stacks.homelab("hooks", "install").returncode == 0
    commit = stacks.commit({"stacks/new/f": "2"})
    stacks.git("push", "--quiet", "origin", "HEAD:master")
    assert stacks.tip() == commit
    assert not list((stacks.clone / ".git/homelab/gate").rglob(f"*-{commit}"))


@pytest.mark.slow
def test_what_a_change_touches_is_its_own_doing(stacks: World) -> None:
    stacks.commit({"stacks/old/f": "touched"})
    assert stacks.homelab("verify").returncode == 1
    stacks.commit({"stacks/new/red": ""})
    assert stacks.homelab("work", "land").returncode == 1


def test_what_the_target_contains_already_stays_red(stacks: World) -> None:
    assert results(stacks, "verify", "origin/master", "--json")["stacks/old"] == "failed"
    assert stacks.homelab("verify", "origin/master").returncode == 1


@pytest.mark.slow
def test_a_day_later_it_is_run_again_and_a_green_target_counts(stacks: World) -> None:
    stacks.commit({"stacks/new/f": "2"})
    assert stacks.homelab("verify").returncode == 0
    (record,) = (stacks.clone / ".git/homelab/red-before").rglob("?" * 64)
    document = json.loads(record.read_text())
    record.write_text(json.dumps({**document, "at": time.time() - 90_000}))
    count = runs(stacks)
    assert stacks.homelab("verify").returncode == 0 and runs(stacks) == count + 2
    assert json.loads(record.read_text())["since"] == document["since"], "as old as when it was first seen"
    for damaged in (
        "",
        "[]",
        '{"key": 1}',
        *(json.dumps({**document, each: value}) for each, value in (("at", "x"), ("since", 7), ("origin", []))),
    ):
        record.write_text(damaged)
        assert stacks.homelab("verify").returncode == 0, damaged


@pytest.mark.slow
def test_refuse_makes_it_a_red_again(world: World) -> None:
    rules = '[gate]\nred_before = "refuse"\n' + EACH.format(root=world.root)
    world.commit({"homelab.toml": rules, "stacks/old/red": "", "stacks/new/f": ""})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    world.commit({"stacks/new/f": "2"})
    assert results(world, "verify", "--json")["stacks/old"] == "failed"
    assert world.homelab("verify").returncode == 1


@pytest.mark.slow
def test_green_on_the_target_and_red_here_under_one_key_is_told_blocks_and_is_not_kept(world: World) -> None:
    rules = '[[suite]]\nname = "s"\ndir = "a"\ninputs = ["a"]\nrun = "test ! -e ../red"\n'
    world.commit({"homelab.toml": rules, "a/f": ""})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    world.git("switch", "--quiet", "-c", "topic")
    world.commit({"red": ""})
    done = world.homelab("verify")
    assert done.returncode == 1 and "more than its `inputs`" in done.stderr
    for rev, result in (("origin/master", "passed"), ("origin/master", "passed"), ("HEAD", "failed")):
        assert results(world, "verify", rev, "--json") == {"a": result}, "run on every commit"
    world.commit({"homelab.toml": rules.replace('["a"]', '["a", "red"]'), "red": ""})
    world.git("rm", "--quiet", "red")
    world.commit({"homelab.toml": rules.replace("inputs", 'timeout = "1m"\ninputs')})
    assert world.homelab("verify").returncode == 0


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("nothere-cmd x", "nothere-cmd"),
        ("sh -c 'nothere-cmd x'", "nothere-cmd"),
        ("bash -c 'nothere-cmd x'", "nothere-cmd"),
        ("/nowhere/nothere-cmd", "nothere-cmd"),
        ("make -s all", "nothere-cmd"),
        ("python3 -m nothere_module", "nothere_module"),
        ("true && env nothere-cmd", "nothere-cmd"),
        ("echo 'Could not resolve host: forge' >&2; exit 6", "network"),
        ("echo 'Cannot connect to the Docker daemon at unix:///x' >&2; exit 1", "docker"),
    ],
)
def test_what_cannot_run_here_is_no_red(world: World, command: str, missing: str) -> None:
    rules = f"[[suite]]\nname = 's'\nrun = '''{command}'''\n"
    world.commit({"homelab.toml": rules, "Makefile": "all:\n\tnothere-cmd\n"})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    world.git("switch", "--quiet", "-c", "topic")
    world.commit({"f": ""})
    done = world.homelab("verify", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 3 and answer["error"]["kind"] == "refused"
    assert answer["suites"][0]["result"] == "unable"
    assert missing in answer["error"]["message"] and "nothing in" in answer["error"]["message"]


def test_what_can_run_on_the_target_and_not_here_is_a_red(world: World) -> None:
    world.commit({"homelab.toml": "[[suite]]\nname = 's'\nrun = 'sh tool'\n", "tool": "true\n"})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    world.commit({"tool": "nothere-cmd\n"})
    done = world.homelab("verify", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["suites"][0]["result"] == "failed"


def test_a_red_beside_it_wins(world: World) -> None:
    world.commit({"homelab.toml": "[[suite]]\nname = 's'\nrun = 'nothere-cmd'\n[[suite]]\nname = 'r'\nrun = 'test ! -e f'\n"})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    world.commit({"f": ""})
    done = world.homelab("verify", "--json")
    assert done.returncode == 1
    assert [suite["result"] for suite in json.loads(done.stdout)["suites"]] == ["unable", "failed"]


@pytest.mark.slow
def test_the_gate_and_landing_refuse_what_cannot_run_here_with_what_to_install(world: World) -> None:
    world.homelab("hooks", "install")
    world.commit({"homelab.toml": "[[suite]]\nname = 's'\nrun = 'nothere-cmd'\n"})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    before = world.tip()
    world.git("switch", "--quiet", "-c", "topic")
    world.commit({"f": ""})
    landed = world.homelab("work", "land", "--json")
    answer = json.loads(landed.stdout)
    assert landed.returncode == 3 and answer["status"] == "refused" and "nothere-cmd" in answer["error"]["message"]
    (row,) = world.json("work", "log")
    assert (row["status"], row["verified"], row["suites"][0]["result"]) == ("refused", False, "unable")
    assert "cannot run here: s" in (log := world.homelab("work", "log").stdout) and "--no-verify" not in log
    pushed = world.run("git", "push", "origin", "HEAD:master", check=False)
    assert pushed.returncode != 0 and "install nothere-cmd" in pushed.stderr and "homelab verify" not in pushed.stderr
    assert world.tip() == before


def test_nothing_ran_is_nothing_verified(world: World) -> None:
    world.homelab("hooks", "install")
    world.commit({"homelab.toml": EACH.format(root=world.root), "stacks/a/f": ""})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    before = world.tip()
    world.git("mv", "stacks", "stack")
    world.commit({})
    done = world.homelab("verify", "--json")
    assert done.returncode == 3 and "stacks/*" in json.loads(done.stdout)["error"]["message"]
    assert world.run("git", "push", "origin", "HEAD:master", check=False).returncode != 0 and world.tip() == before


@pytest.mark.slow
def test_an_each_that_matches_nothing_and_an_input_that_is_missing_are_told_every_time(world: World) -> None:
    world.homelab("hooks", "install")
    rules = EACH.format(root=world.root).replace("stacks/*", "stakcs/*") + (
        '[[suite]]\nname = "t"\nrun = "true"\n[[suite]]\nname = "u"\ninputs = ["typo"]\nrun = "test -d ."\n'
    )
    world.commit({"homelab.toml": rules})
    for _ in range(2):
        done = world.homelab("verify")
        assert done.returncode == 0 and "stakcs/*" in done.stderr and "typo" in done.stderr
    pushed = world.run("git", "push", "origin", "HEAD:master")
    assert "stakcs/*" in pushed.stderr and "typo" in pushed.stderr
    world.commit({"unrelated": ""})
    assert {"t": "passed", "u": "passed"}.items() <= {
        suite["name"]: suite["result"] for suite in world.json("verify")["suites"]
    }.items(), "a missing input makes the whole tree the input"


@pytest.mark.slow
@pytest.mark.parametrize(("detected", "code"), [("exit 1", 0), ("exit 0", 1)])
def test_what_was_detected_binds_the_first_file_only_where_it_is_green_on_the_target(
    world: World, detected: str, code: int
) -> None:
    world.git("rm", "--quiet", "homelab.toml")
    world.commit({"Makefile": f"test:\n\t@echo 1 passed in 1s; {detected}\n"})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    world.git("switch", "--quiet", "-c", "topic")
    world.commit({"homelab.toml": '[[suite]]\nname = "s"\nrun = "true"\n', "Makefile": "test:\n\t@exit 1\n"})
    assert world.homelab("verify").returncode == code
    assert world.homelab("work", "land").returncode == code


@pytest.mark.slow
def test_a_fresh_red_forgets_the_green_and_its_marker(world: World) -> None:
    world.homelab("hooks", "install")
    world.commit({"homelab.toml": f"[[suite]]\nname = 's'\nrun = 'test ! -e {world.root}/flag'\n"})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    before = world.tip()
    world.commit({"f": ""})
    assert world.homelab("verify").returncode == 0
    Path(world.root / "flag").touch()
    assert world.homelab("verify", "--fresh").returncode == 1
    assert world.run("git", "push", "origin", "HEAD:master", check=False).returncode != 0 and world.tip() == before


@pytest.mark.slow
def test_where_nothing_is_detected_the_first_file_alone_decides_its_landing(world: World) -> None:
    world.git("rm", "--quiet", "homelab.toml")
    world.commit({"notes": ""})
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    world.homelab("hooks", "install")
    before = world.tip()
    first, second = (Path(world.homelab("work", "start", topic).stdout.strip()) for topic in ("first", "second"))
    world.commit({"homelab.toml": '[[suite]]\nname = "s"\nrun = "test ! -e red"\n', "red": ""}, cwd=first)
    world.commit({"other": ""}, cwd=second)
    assert world.homelab("work", "land", cwd=first).returncode == 1, "its own rules decide"
    refused = world.homelab("work", "land", cwd=second)
    assert refused.returncode == 3 and "homelab init" in refused.stderr, "and nobody else's"
    for cwd in (first, second):
        assert world.run("git", "push", "origin", "HEAD:master", cwd=cwd, check=False).returncode != 0
    assert world.tip() == before
    world.git("rm", "--quiet", "red", cwd=first)
    world.git("commit", "--quiet", "--message", "Mend", cwd=first)
    for cwd in (first, second):  # the second is judged by what the first has brought
        answer = world.json("work", "land", cwd=cwd)
        assert (answer["status"], [suite["name"] for suite in answer["suites"]]) == ("landed", ["s"])
        assert world.tip() == answer["pushed"]
    world.commit({"red": ""}, cwd=second)
    assert world.homelab("work", "land", cwd=second).returncode == 1 and world.tip() == answer["pushed"]
