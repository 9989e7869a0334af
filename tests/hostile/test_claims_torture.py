"""Random kills, long queues, crossed labels: no overlap, no leak, fences that only grow, no deadlock."""

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.claimants import Claimants
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SECONDS = 20
STACKS = ("one", "two", "three")

# Holds a kernel lock of its own while it runs: whoever finds it taken has proved an overlap.
APPLY = """
exec python3 -S -c '
import fcntl, os, sys, time
stack = os.environ["STACK"]
lock = os.open(stack + ".lock", os.O_CREAT | os.O_RDWR)
log = os.open(stack + ".log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    os.write(log, b"OVERLAP\\n")
    sys.exit(1)
os.write(log, os.environ["HOMELAB_CLAIM_FENCE"].encode() + b"\\n")
time.sleep(0.15)
'
"""


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill_something(child: Any) -> None:
    """Kill homelab, or with it its whole group, or its keeper alone."""
    with contextlib.suppress(OSError):
        dice = random.random()
        if dice < 0.7:
            os.kill(child.pid, signal.SIGKILL)
        elif dice < 0.9:
            os.killpg(child.pid, signal.SIGKILL)
        elif keepers := children(child.pid):
            os.kill(keepers[0], signal.SIGKILL)


def test_random_kills_leave_no_overlap_and_no_claim(claimants: Claimants) -> None:
    script = claimants.script("apply", APPLY)
    stop = time.monotonic() + SECONDS
    runs = kills = 0

    def client(number: int) -> None:
        nonlocal runs, kills
        while time.monotonic() < stop:
            stack = random.choice(STACKS)
            child = claimants.start(
                "claim", f"stack:{stack}", "--purpose", "torture", "--", script, session=str(number), env={"STACK": stack}
            )
            runs += 1
            if random.random() < 0.7:
                time.sleep(random.uniform(0.02, 0.6))
                if child.poll() is None:
                    kills += 1
                    kill_something(child)
            child.wait()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: claimants.board() == [], 45)
    granted = 0
    for stack in STACKS:
        path = claimants.root / f"{stack}.log"
        lines = path.read_text().split() if path.exists() else []
        assert "OVERLAP" not in lines
        fences = [int(line) for line in lines]
        assert fences == sorted(set(fences))
        granted += len(fences)
    assert granted > 5 and kills > 5
    print(f"{runs} runs, {kills} kills, {granted} granted")


def test_fifty_waiters_are_served_in_the_order_in_which_they_came(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a", "--purpose", "first", "--for", "1h")
    script = claimants.script("cmd", "echo $HOMELAB_SESSION >> order; sleep 0.02")
    waiters = []
    for number in range(50):
        waiters.append(
            claimants.start("claim", "stack:a", "--purpose", "x", "--wait", "200s", "--", script, session=str(number))
        )
        if number % 10 == 9:
            eventually(lambda: len(claimants.board()[0]["waiting"]) == len(waiters), 60)
    came = [waiter["session"] for waiter in claimants.board()[0]["waiting"]]
    claimants.ok("release", "stack:a")
    assert [waiter.wait(200) for waiter in waiters] == [0] * 50
    assert (claimants.root / "order").read_text().split() == came
    assert claimants.board() == []


def test_two_that_name_two_labels_in_opposite_order_never_lock_each_other_out(claimants: Claimants) -> None:
    count = 40 if claimants.url.startswith("file") else 12
    once = 'homelab -q claim %s %s --purpose x --wait 60s -- sh -c "mkdir in && rmdir in"'
    loop = f"for i in $(seq %d); do {once} || exit 1; done"
    env = claimants.env
    pair = [
        subprocess.Popen(["sh", "-c", loop % (count, *labels)], cwd=claimants.root, env={**env, "HOMELAB_SESSION": labels[0]})
        for labels in (("stack:a", "node:b"), ("node:b", "stack:a"))
    ]
    assert [child.wait(200) for child in pair] == [0, 0]
    assert claimants.board() == []
