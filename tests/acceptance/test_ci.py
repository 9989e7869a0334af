"""`homelab ci` as people and programs use it: exit codes, the document, who is asked, and where the token goes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.forge import KINDS, Answer, Forge, Run, serving
from tests.support.terminal import terminal
from tests.support.waiting import eventually
from tests.support.world import BIN, SUITE, World

TOKEN = "s3cret-t0ken"
ENV = {"HOMELAB_CI_PACE": "0.02", "HOMELAB_CI_TOKEN": TOKEN}


@pytest.fixture(params=KINDS)
def forge(request: pytest.FixtureRequest, world: World) -> Iterator[Forge]:
    yield from serve(request.param, world)


@pytest.fixture
def forgejo(world: World) -> Iterator[Forge]:
    yield from serve("forgejo", world)


def serve(kind: str, world: World) -> Iterator[Forge]:
    with serving(kind) as made:
        world.publish({"homelab.toml": f"{made.config()}{SUITE}"})
        world.git("fetch", "--quiet", "origin")
        yield made


def word(kind: str, state: str) -> Run:
    """Return a check of a kind with a word of GitHub's, as that kind says it."""
    spelled = {
        "gitlab": {"failure": "failed", "waiting": "manual"},
        "woodpecker": {"waiting": "blocked", "cancelled": "canceled"},
    }
    shown = spelled.get(kind, {}).get(state, state)
    shown = "canceled" if shown == "cancelled" and kind == "gitlab" else shown
    name = "ci/x" if kind in ("forgejo", "github") else f"{shown}:x"
    return Run(name, shown, log="first\nthe last line")


def asked(world: World, *args: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    done = world.homelab("ci", *args, "--json", env={**ENV, **(env or {})})
    assert TOKEN not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "code", "verdict", "kind"),
    [
        ("success", 0, "green", None),
        ("failure", 8, "red", "ci-red"),
        ("splendid", 8, "unknown", "ci-red"),
        ("skipped", 9, "skipped", "ci-silent"),
    ],
)
def test_the_verdict_is_the_exit_code_and_the_document(
    forgejo: Forge, world: World, state: str, code: int, verdict: str, kind: str | None
) -> None:
    tip, forge = world.tip(), forgejo
    forge.now(tip, word(forge.kind, state))
    for command in ("status", "watch"):
        found, document = asked(world, command)
        assert (found, document["ok"], document["verdict"], document["commit"]) == (code, code == 0, verdict, tip)
        assert set(document) >= {"ok", "commit", "verdict", "checks", "url", "waited"}
        assert [set(check) for check in document["checks"]] == [{"name", "word", "verdict", "url"}] * len(document["checks"])
        assert document.get("error", {}).get("kind") == kind
    assert {request.headers.get("Authorization", "").split()[-1] for request in forge.requests} == {TOKEN}


@pytest.mark.slow
def test_a_run_is_running_when_asked_once_and_waited_for_when_watched(forgejo: Forge, world: World) -> None:
    tip = world.tip()
    forgejo.now(tip, Run("ci/x", "pending"))
    code, document = asked(world, "status", tip[:10])
    assert (code, document["verdict"], document["error"]["kind"]) == (9, "running", "ci-silent")
    code, document = asked(world, "watch", "--timeout", "1s")
    assert (code, document["verdict"], document["error"]["kind"]) == (9, "running", "ci-silent")
    assert "time was up" in document["error"]["message"]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 200])
def test_a_terminal_shows_one_line_that_lives_while_ci_runs(forgejo: Forge, world: World, columns: int) -> None:
    tip = world.tip()
    forgejo.now(tip, Run("ci/x", "pending"))
    with terminal(BIN / "homelab", "ci", "watch", cwd=world.clone, env={**world.env, **ENV}, columns=columns) as shown:
        shown.until(lambda lines: any(re.match(r". 0:0[1-9]  Forgejo at 127", line) for line in lines))
        assert len(shown.lines()) == 1, "it is drawn in place"
        forgejo.now(tip, Run("ci/x", "success"))
        lines = shown.ended()
    assert shown.program.returncode == 0
    told = " ".join(" ".join(lines).split())
    assert re.fullmatch(rf"Forgejo at \S+ is green for {tip[:12]}: ci/x", told), "only the answer stays"


def test_what_waits_for_somebody_asks(world: World) -> None:
    for made in serve("woodpecker", world):
        made.now(world.tip(), word("woodpecker", "waiting"))
        code, document = asked(world, "watch")
        assert (code, document["verdict"]) == (8, "asks")


@pytest.mark.slow
def test_no_pipeline_is_none_and_a_silent_server_too(forgejo: Forge, world: World) -> None:
    assert [asked(world, "watch")[0], asked(world, "status")[1]["verdict"]] == [9, "none"]


def test_what_its_message_skips_is_not_waited_for(forgejo: Forge, world: World) -> None:
    world.publish({"a": "1"}, "change [skip ci]")
    code, document = asked(world, "watch")
    assert (code, document["verdict"]) == (9, "skipped") and len(forgejo.requests) < 4


def test_a_later_push_is_followed_and_said_once(forgejo: Forge, world: World) -> None:
    old = world.tip()
    tip = world.publish({"later": "1"})
    forgejo.now(old, Run("ci/woodpecker/push/x", "failure", "Pipeline was canceled"))
    forgejo.now(tip, Run("ci/woodpecker/push/x", "success"))
    done = world.homelab("ci", "watch", old, "--json", env=ENV)
    document = json.loads(done.stdout)
    assert (done.returncode, document["verdict"], document["commit"], document["followed"]) == (0, "green", old, tip)
    assert done.stderr.count("superseded") == 1


def test_the_last_lines_of_the_failing_step_are_shown_where_there_are_any(forge: Forge, world: World) -> None:
    forge.now(world.tip(), word(forge.kind, "failure"))
    done = world.homelab("ci", "status", env=ENV)
    assert done.returncode == 8 and "x" in done.stderr and "http" in done.stderr
    assert ("  | the last line" in done.stderr) == (forge.kind in ("gitlab", "woodpecker"))


def test_without_a_token_anybody_is_asked_and_a_refusal_names_the_variable(forgejo: Forge, world: World) -> None:
    forgejo.says[world.tip()] = lambda: Answer(401)
    done = world.homelab("ci", "watch", env={"HOMELAB_CI_PACE": "0.02"})
    assert done.returncode == 7 and "HOMELAB_CI_TOKEN" in done.stderr
    assert forgejo.requests and not any("Authorization" in request.headers for request in forgejo.requests)


def test_a_fine_grained_token_that_may_not_see_checks_sees_runs(world: World) -> None:
    for made in serve("github", world):
        made.now(world.tip(), Run("x", "failure"))
        made.instead |= {end: lambda _: Answer(403, {"message": "no"}) for end in ("/check-runs", "/check-suites")}
        code, document = asked(world, "watch")
        assert (code, document["checks"][0]["name"]) == (8, "workflow 1")


def test_a_token_is_nowhere_on_disk_nor_in_an_argument(forgejo: Forge, world: World, tmp_path: Path) -> None:
    """`ps` is stood in for by a git that notes its arguments."""
    seen = tmp_path / "bin" / "git"
    seen.parent.mkdir()
    real = world.run("sh", "-c", "command -v git").stdout.strip()
    seen.write_text(f'#!/bin/sh\necho "$0 $*" >>{tmp_path}/arguments\nexec {real} "$@"\n')
    seen.chmod(0o755)
    forgejo.now(world.tip(), Run("ci/x", "failure"))
    done = world.homelab("ci", "watch", env={**ENV, "PATH": f"{seen.parent}:{world.env['PATH']}"})
    assert done.returncode == 8 and TOKEN not in done.stdout + done.stderr
    assert TOKEN not in (tmp_path / "arguments").read_text()
    for folder in (world.clone / ".git", Path(world.env["HOME"])):
        assert not [path for path in folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


def test_a_path_is_followed_by_nobody(world: World) -> None:
    done = world.homelab("ci", "watch")
    assert done.returncode == 9 and "nothing known follows CI" in done.stderr
    code, document = asked(world, "status")
    assert (code, document["error"]["kind"], document["verdict"]) == (9, "ci-silent", "none")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["forgejo", "github", "gitlab"])
def test_a_host_that_nobody_knows_is_asked_once_which_it_is(world: World, kind: str) -> None:
    """The remote's URL leads to CI alone: objects come by another way."""
    with serving(kind) as made:
        world.git("config", f"url.{world.remote}.insteadOf", f"{made.url}/none/at/all")
        world.git("remote", "set-url", "origin", f"{made.url}/ada/infra.git")
        made.now(world.git("rev-parse", "HEAD"), word(kind, "success"))
        for _ in range(2):
            code, document = asked(world, "status", "HEAD")
            assert (code, document["verdict"]) == (0, "green")
        asked_for = [request.path for request in made.requests]
        assert len([path for path in asked_for if path.endswith(("/version", "/meta"))]) <= 3
        kinds = [request for request in made.requests if request.path.endswith(("/version", "/meta"))]
        assert not any("Authorization" in request.headers for request in kinds)


@pytest.mark.slow
def test_doctor_says_which_ci_it_found_and_whether_it_answers(forgejo: Forge, world: World) -> None:
    def told() -> list[tuple[str, str]]:
        found = world.json("doctor", env=ENV)["findings"]
        return [(row["severity"], row["message"]) for row in found if row["id"] == "ci"]

    assert told() == [("note", f"CI is Forgejo at {forgejo.url[7:]}, for ada/infra; it answers")]
    forgejo.instead["/ada/infra"] = lambda _: Answer(401)
    ((severity, message),) = told()
    assert severity == "warning" and "does not let us see its CI" in message


def start(world: World, *args: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [BIN / "homelab", *args], cwd=world.clone, env={**world.env, **ENV}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_ctrl_c_ends_a_watch(forgejo: Forge, world: World) -> None:
    forgejo.now(world.tip(), Run("ci/x", "pending"))
    child = start(world, "ci", "watch")
    eventually(lambda: bool(forgejo.requests))
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=30)
    assert child.returncode == 130


@pytest.mark.slow
def test_of_sixteen_who_watch_one_asks_and_another_takes_over_when_it_dies(forgejo: Forge, world: World) -> None:
    tip = world.tip()
    forgejo.now(tip, Run("ci/x", "pending"))
    children = [start(world, "ci", "watch", "--json") for _ in range(16)]
    folder = world.clone / ".git/homelab/ci"
    eventually(lambda: any(request.path.endswith("/statuses") for request in forgejo.requests))
    time.sleep(8)  # all of them are there
    (lock,) = folder.glob(f"{tip}*.lock")
    (asking,) = _holders(lock)
    os.kill(asking, signal.SIGKILL)
    before = len(forgejo.requests)
    eventually(lambda: len(forgejo.requests) > before)
    forgejo.now(tip, Run("ci/x", "success"))
    codes = sorted(child.wait(60) for child in children)
    assert codes == [-9, *[0] * 15]
    for child in children:
        child.communicate()
    alone = len(forgejo.requests)
    # One asks every 15 s at most, here 0.3 s, for some twenty seconds; sixteen would have asked more than five hundred times.
    assert alone < 150


def _holders(lock: Path) -> set[int]:
    """Return the processes that hold a file's lock. Who only tries has it open for a moment, and is none of them."""
    inode = str(lock.stat().st_ino)
    held = (line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" not in line)
    return {int(pid) for _, kind, _, _, pid, file, *_ in held if kind == "FLOCK" and file.rsplit(":", 1)[1] == inode}
