"""Landing on servers that refuse, die, race or cannot be reached: where the remote's branch is comes first, words second."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.landing.server_cases import SECRET
from tests.landing.transport_cases import unpushed_submodule
from tests.support.landings import branch, land, nothing_left
from tests.support.push_scene import forge
from tests.support.smart_http import serving
from tests.support.waiting import eventually
from tests.support.world import BIN, SUITE, World


def count(world: World) -> str:
    """Let the server count its pushes in the file `pushes`; return the line of shell that does it."""
    return f"echo >> {world.root}/pushes"


def counted(world: World) -> int:
    return len((world.root / "pushes").read_text().splitlines())


def commits(world: World) -> int:
    return int(world.git("rev-list", "--count", "master", cwd=world.remote))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hook", "body"),
    [("post-receive", "kill -9 $PPID; sleep 0.05"), ("reference-transaction", 'test "$1" != committed || kill -9 $PPID')],
)
def test_a_server_that_dies_after_the_update_has_landed_it(world: World, hook: str, body: str) -> None:
    head = branch(world)
    world.server_hook(hook, body)
    answer, _ = land(world, 0)
    assert world.tip() == head and answer["status"] == "landed"
    assert [row["status"] for row in world.json("work", "log")] == ["landed"]


@pytest.mark.slow
def test_a_server_that_dies_once_before_the_update_is_asked_again_and_has_it_once(world: World) -> None:
    head, before = branch(world), commits(world)
    world.server_hook("pre-receive", f"{count(world)}; test $(wc -l < {world.root}/pushes) -gt 1 || kill -9 $PPID")
    answer, said = land(world, 0)
    assert world.tip() == head and commits(world) == before + 1 and counted(world) == 2
    assert answer["attempts"] == 1 and "trying again" in said


def test_a_gateway_that_gives_up_after_the_accept_has_landed_it(world: World) -> None:
    head = branch(world)
    with serving(world.root, world.env) as (address, faults):
        world.git("config", "http.receivepack", "true", cwd=world.remote)
        world.git("remote", "set-url", "origin", f"{address}/remote.git")
        faults.code, faults.after = 504, True
        answer, _ = land(world, 0)
        assert world.tip() == head and answer["status"] == "landed" and len(faults.pushes) == 1


@pytest.mark.slow
def test_a_gateway_that_loses_one_push_gets_it_again(world: World) -> None:
    head = branch(world)
    with serving(world.root, world.env) as (address, faults):
        world.git("config", "http.receivepack", "true", cwd=world.remote)
        world.git("remote", "set-url", "origin", f"{address}/remote.git")
        faults.code, faults.times = 502, 1
        land(world, 0)
        assert world.tip() == head and len(faults.pushes) == 2


def test_a_remote_that_asks_for_a_password_is_unreachable_and_nothing_waits_for_one(world: World) -> None:
    before = world.refs()
    branch(world)
    with serving(world.root, world.env) as (address, faults):
        world.git("config", "http.receivepack", "true", cwd=world.remote)
        world.git("remote", "set-url", "origin", f"{address}/remote.git")
        faults.code, faults.at_once = 401, True
        answer, said = land(world, 7)
    assert world.refs() == before and answer["status"] == "unreachable" and "could not read Username" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("protected branch hook declined", "error: GH006: Protected branch update failed for refs/heads/master."),
        ("push declined due to repository rule violations", "error: GH013: Repository rule violations found"),
        ("pre-receive hook declined", "Gitea: Not allowed to push to protected branch master"),
    ],
)
def test_a_rule_of_a_forge_ends_in_a_review_of_head(world: World, reason: str, said: str) -> None:
    head, before = branch(world), world.tip()
    world.publish({"theirs": "1"})
    theirs = world.tip()
    forge(world, reason, said)
    url = "https://git.example.org/pull/new/ada/x"
    world.server_hook("post-receive", f"grep -q ada/x && echo 'Create a pull request:' && echo '  {url}'")
    answer, words = land(world, 6)
    assert world.tip() == theirs != before and world.tip("refs/heads/ada/x") == head
    assert answer["status"] == "review" and answer["url"] == url and url in answer["error"]["hint"]
    assert said.removeprefix("error: ") in words
    land(world, 6)
    assert world.tip("refs/heads/ada/x") == head


def test_a_secret_is_pushed_to_no_branch(world: World) -> None:
    branch(world)
    before = world.refs()
    forge(world, "push declined due to repository rule violations", *SECRET)
    answer, said = land(world, 3)
    assert world.refs() == before and answer["status"] == "refused" and "cannot contain secrets" in said


def test_a_foreign_hook_that_refuses_runs_once_and_nothing_is_pushed_for_review(world: World) -> None:
    branch(world)
    before = world.refs()
    hook = world.clone / ".git/hooks/pre-push"
    hook.write_text(f"#!/bin/sh\n{count(world)}\necho 'the tests timed out'\nexit 1\n")
    hook.chmod(0o755)
    answer, said = land(world, 3)
    assert world.refs() == before and counted(world) == 1
    assert answer["status"] == "refused" and "a hook of this clone refused the push: the tests timed out" in said


@pytest.mark.slow
def test_a_stale_lock_on_the_server_fails_after_a_while_and_loses_nothing(world: World) -> None:
    head = branch(world)
    before = world.refs()
    lock = world.remote / "refs/heads/master.lock"
    lock.touch()
    answer, _ = land(world, 1)
    assert world.refs() == before and answer["status"] == "failed" and answer["error"]["kind"] == "failed"
    lock.unlink()
    assert land(world, 0)[0]["suites"][0]["result"] == "cached"
    assert world.tip() == head


@pytest.mark.slow
def test_a_push_at_the_same_moment_is_built_upon(world: World) -> None:
    head = branch(world)
    other = world.root / "theirs"
    world.git("clone", "--quiet", world.remote, other, cwd=world.root)
    theirs = world.commit({"theirs": "1"}, cwd=other)
    world.git("push", "--quiet", "origin", "HEAD:refs/heads/other", cwd=other)
    # Between git's question and the server's update, once.
    world.server_hook(
        "update", f"{count(world)}; test -e {world.root}/once || git update-ref $1 {theirs}; touch {world.root}/once"
    )
    answer, _ = land(world, 0)
    assert world.git("log", "-1", "--format=%P", world.tip(), cwd=world.remote) == f"{theirs} {head}"
    assert answer["attempts"] == 2


@pytest.mark.slow
def test_a_remote_that_goes_away_before_the_push_is_unreachable_and_the_next_run_ends_the_job(world: World) -> None:
    head = branch(world)
    away = world.root / "away.git"
    hook = world.clone / ".git/hooks/pre-push"
    # git has asked the remote already when its hook runs: the push itself finds nobody.
    hook.write_text(f"#!/bin/sh\ntest -d {world.remote} && mv {world.remote} {away}\nexit 0\n")
    hook.chmod(0o755)
    world.git("config", "core.sshCommand", "false")
    answer, _ = land(world, 7, timeout=100)
    assert answer["status"] == "unreachable" and answer["error"]["kind"] == "unreachable"
    away.rename(world.remote)
    hook.unlink()
    tip = world.tip()
    answer, said = land(world, 0)
    assert world.tip() == head
    assert (answer["status"], "did reach" in said) == (("already-landed", True) if tip == head else ("landed", False))
    assert [row["status"] for row in world.json("work", "log")] == ["landed"]


@pytest.mark.slow
def test_a_remote_that_goes_away_during_the_verification_is_unreachable(world: World) -> None:
    world.publish({"homelab.toml": SUITE.replace("test ! -e bad", f"mv {world.remote} {world.root}/away.git")})
    world.git("fetch", "--quiet")
    head = branch(world)
    answer, _ = land(world, 7)
    assert answer["status"] == "unreachable" and "could not be pushed to" in answer["error"]["message"]
    (world.root / "away.git").rename(world.remote)
    assert land(world, 0)[0]["suites"][0]["result"] == "cached"
    assert world.tip() == head
    nothing_left(world)


def test_a_review_branch_that_others_moved_is_never_forced(world: World) -> None:
    branch(world)
    forge(world, "protected branch hook declined", "error: GH006: Protected branch update failed")
    other = world.root / "other"
    world.git("clone", "--quiet", world.remote, other, cwd=world.root)
    theirs = world.commit({"theirs": "1"}, cwd=other)
    world.git("push", "--quiet", "origin", "HEAD:refs/heads/ada/x", cwd=other)
    world.git("config", "--add", "remote.origin.push", "+refs/heads/*:refs/heads/*")
    before = world.refs()
    answer, _ = land(world, 3)
    assert world.refs() == before and world.tip("refs/heads/ada/x") == theirs
    assert "never forced" in answer["error"]["message"] and answer["error"]["next"] == "git fetch origin ada/x"


def test_a_server_that_takes_neither_the_target_nor_the_branch_says_so(world: World) -> None:
    branch(world)
    before = world.refs()
    world.server_hook("pre-receive", "echo 'nobody pushes today'; exit 1")
    answer, _ = land(world, 3)
    assert world.refs() == before
    assert "could not be pushed for review: nobody pushes today" in answer["error"]["message"]


def test_a_branch_that_is_protected_itself_is_not_pushed_for_review(world: World) -> None:
    world.publish({"homelab.toml": '[gate]\nprotect = ["release/*"]\n' + SUITE})
    world.git("fetch", "--quiet")
    world.git("switch", "--quiet", "--no-track", "-c", "release/1", "origin/master")
    world.commit({"x": "1"})
    before = world.refs()
    forge(world, "protected branch hook declined", "error: GH006: Protected branch update failed")
    assert "takes verified commits only" in land(world, 3)[0]["error"]["message"]
    assert world.refs() == before


@pytest.mark.slow
def test_a_rule_that_was_bypassed_is_said_and_journaled(world: World) -> None:
    head = branch(world)
    world.server_hook("post-receive", "echo 'Bypassed rule violations for refs/heads/master:'")
    _, said = land(world, 0)
    assert world.tip() == head and "Bypassed rule violations" in said
    assert world.json("work", "log")[0]["reason"] == "Bypassed rule violations for refs/heads/master:"


@pytest.mark.slow
def test_a_submodule_that_no_remote_has_is_refused(world: World) -> None:
    branch(world)
    unpushed_submodule(world)
    before = world.refs()
    answer, _ = land(world, 3)
    assert world.refs() == before and answer["status"] == "refused"
    assert "submodule" in answer["error"]["message"] and answer["error"]["message"].endswith(": sub")


def test_a_signed_push_that_the_server_does_not_know_is_refused(world: World) -> None:
    branch(world)
    before = world.refs()
    world.git("config", "push.gpgSign", "true")
    answer, _ = land(world, 3)
    assert world.refs() == before and "--signed" in answer["error"]["message"]


@pytest.mark.slow
@pytest.mark.parametrize("hook", ["pre-receive", "post-receive"])
@pytest.mark.parametrize("with_git", [False, True])
def test_a_lander_killed_while_the_server_thinks_is_settled_by_the_next(world: World, hook: str, with_git: bool) -> None:
    head = branch(world)
    theirs = world.publish({"theirs": "1"})
    started, go = world.root / "started", world.root / "go"
    world.server_hook(hook, f"touch {started}; while test ! -e {go}; do sleep 0.05; done")
    first = subprocess.Popen(
        [BIN / "homelab", "work", "land"], cwd=world.clone, env=world.env, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    eventually(started.exists)
    pushing = [pid for pid in children(first.pid) if with_git]
    for pid in [first.pid, *pushing]:
        os.kill(pid, signal.SIGKILL)
    first.wait()
    second = subprocess.Popen(
        [BIN / "homelab", "work", "land", "--json"], cwd=world.clone, env=world.env,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if not with_git:
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(2)
    go.touch()
    out, _ = second.communicate(timeout=60)
    assert second.returncode == 0
    assert with_git or json.loads(out)["status"] == "already-landed"
    assert world.git("log", "-1", "--format=%P", world.tip(), cwd=world.remote) == f"{theirs} {head}"
    assert "landed" in [row["status"] for row in world.json("work", "log")] or with_git
    nothing_left(world)


@pytest.mark.slow
def test_a_lander_killed_without_verification_leaves_no_grant(world: World) -> None:
    assert world.homelab("hooks", "install").returncode == 0
    bad = branch(world, files={"bad": "1"})
    started, go = world.root / "started", world.root / "go"
    world.server_hook("pre-receive", f"touch {started}; while test ! -e {go}; do sleep 0.05; done; exit 1")
    first = subprocess.Popen(
        [BIN / "homelab", "work", "land", "--no-verify"], cwd=world.clone, env=world.env, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    eventually(started.exists)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    go.touch()
    world.server_hook("pre-receive", "exit 0")
    world.git("switch", "--quiet", "--create", "nothing", "origin/master")
    assert world.json("work", "land")["status"] == "already-landed"
    before = world.refs()
    done = world.run("git", "push", "origin", f"{bad}:refs/heads/master", check=False)
    assert done.returncode == 1 and world.refs() == before, done.stderr


def children(pid: int) -> list[int]:
    return [int(name) for name in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_an_intent_for_a_remote_that_is_gone_holds_up_nothing(world: World) -> None:
    head = branch(world)
    entry = {
        "id": "x", "started": "2026-01-01T00:00:00Z", "user": "ada", "host": "h", "session": "s", "branch": "b",
        "remote": "gone", "target": "master", "head": head, "base": None, "commit": head, "tree": "t", "verified": True,
    }  # fmt: skip
    world.write({".git/homelab/landing/x.json": json.dumps(entry)})
    land(world, 0)
    assert world.tip() == head
    nothing_left(world)


def test_an_intent_that_was_killed_half_written_is_gone_after_the_next_landing(world: World) -> None:
    folder = world.clone / ".git/homelab/landing"
    folder.mkdir(parents=True)
    identity = "62ec010d2a6b496f92a5cfcd7e63a29c"
    for name in (f"{identity}.lock", f".{identity}.json.u1qe2c4_"):
        (folder / name).touch()
    branch(world)
    land(world, 0)
    assert not list(folder.iterdir())
