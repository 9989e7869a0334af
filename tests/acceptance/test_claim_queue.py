"""Waiting for a claim: first come first served, seen by everyone, on every store."""

import json
import os
import pty
import signal
from typing import Any

import pytest

from tests.support.claimants import Claimants
from tests.support.waiting import eventually
from tests.support.world import BIN


@pytest.mark.slow
def test_the_queue_is_first_come_first_served_and_on_the_board(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a", "--purpose", "first")
    waiters = []
    for name in ("b", "c"):
        waiters.append(claimants.start("claim", "stack:a", "--purpose", name, "--wait", "30s", session=name))
        eventually(lambda: len(claimants.board()[0]["waiting"]) >= len(waiters))
    assert [waiter["session"] for waiter in claimants.board()[0]["waiting"]] == ["b", "c"]
    claimants.ok("release", "stack:a")
    assert waiters[0].wait(10) == 0
    (claim,) = claimants.board()
    assert claim["holder"]["session"] == "b" and [waiter["session"] for waiter in claim["waiting"]] == ["c"]
    late = claimants.run("claim", "stack:a", "--purpose", "late", session="d")
    assert late.returncode == 4
    claimants.ok("release", "stack:a", session="b")
    assert waiters[1].wait(10) == 0
    assert claimants.board()[0]["holder"]["session"] == "c"


@pytest.mark.slow
def test_a_dead_waiter_is_skipped_and_a_patient_one_gives_up_in_time(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a", "--purpose", "first")
    dead = claimants.start("claim", "stack:a", "--purpose", "dies", "--wait", "30s", session="b")
    eventually(lambda: claimants.board()[0]["waiting"])
    next_one = claimants.start("claim", "stack:a", "--purpose", "next", "--wait", "30s", session="c")
    eventually(lambda: len(claimants.board()[0]["waiting"]) >= 2)
    dead.kill()
    assert claimants.run("claim", "stack:a", "--purpose", "gives up", "--wait", "1s", session="d").returncode == 4
    claimants.ok("release", "stack:a")
    assert next_one.wait(15) == 0
    (claim,) = claimants.board()
    assert claim["holder"]["session"] == "c" and claim["waiting"] == []


@pytest.mark.slow
def test_one_who_waits_says_for_whom_and_again_when_that_changes(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a", "--purpose", "first work")
    with (claimants.root / "said").open("wb") as file:
        waiter = claimants.start("claim", "stack:a", "--purpose", "x", "--wait", "30s", session="b", stderr=file)
        eventually(lambda: "first work" in (claimants.root / "said").read_text())
        claimants.ok("claim", "stack:a", "--purpose", "second work")
        eventually(lambda: "second work" in (claimants.root / "said").read_text())
        claimants.ok("release", "stack:a")
        assert waiter.wait(10) == 0
    lines = (claimants.root / "said").read_text().splitlines()
    assert len([line for line in lines if "waiting" in line]) == 2 and "you are next" in lines[0]


@pytest.mark.slow
def test_a_label_that_is_only_waited_for_is_on_the_board(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:b", "--purpose", "first")
    waiter = claimants.start("claim", "stack:a", "stack:b", "--purpose", "both", "--wait", "30s", session="b")
    (wanted, held) = eventually(lambda: found if len(found := claimants.board()) == 2 else None)
    assert (wanted["label"], wanted["state"], wanted["holder"]) == ("stack:a", "wanted", None)
    assert wanted["waiting"][0]["pid"] == waiter.pid and set(wanted) == set(held)
    assert str(waiter.pid) in claimants.ok("claims")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_waiter_that_is_interrupted_leaves_the_queue(claimants: Claimants, number: int, code: int) -> None:
    claimants.ok("claim", "stack:a", "--purpose", "first")
    waiter = claimants.start("claim", "stack:a", "--purpose", "next", "--wait", "30s", "--", "touch", "ran", session="b")
    eventually(lambda: claimants.board()[0]["waiting"])
    waiter.send_signal(number)
    assert waiter.wait(10) == code
    assert claimants.board()[0]["waiting"] == []
    claimants.ok("release", "stack:a")
    assert claimants.board() == [] and not (claimants.root / "ran").exists()


def test_shared_and_exclusive_waiters_keep_their_order(claimants: Claimants) -> None:
    claimants.ok("claim", "db:main", "--purpose", "read", "--shared")
    writer = claimants.start("claim", "db:main", "--purpose", "write", "--wait", "30s", session="b")
    eventually(lambda: claimants.board()[0]["waiting"])
    late = claimants.run("claim", "db:main", "--purpose", "read too", "--shared", session="c")
    assert late.returncode == 4 and "write" in late.stderr
    claimants.ok("release", "db:main")
    assert writer.wait(10) == 0


def test_watch_shows_every_change_until_it_is_ended(claimants: Claimants) -> None:
    with (claimants.root / "board").open("wb") as file:
        watcher = claimants.start("claims", "--watch", "--json", session="onlooker", stdout=file)

        def boards() -> list[Any]:
            return [json.loads(row) for row in (claimants.root / "board").read_text().splitlines()]

        eventually(lambda: len(boards()) == 1)
        claimants.ok("claim", "stack:a", "--purpose", "x")
        eventually(lambda: len(boards()) == 2)
        watcher.terminate()
        assert watcher.wait(10) == 143
    assert boards()[0] == [] and boards()[1][0]["label"] == "stack:a"


def test_watch_on_a_terminal_shows_the_board_in_place(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a", "--purpose", "rotate keys")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(BIN / "homelab", ["homelab", "claims", "--watch"], claimants.env)
    shown = b""
    while b"rotate keys" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    os.close(terminal)
