"""`[land] hold`: a landing waits for CI of the target, says so in the queue, and ends nothing that runs."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.support.forge import Forge, Run, serving
from tests.support.waiting import eventually
from tests.support.world import BIN, SUITE, World

ENV = {"HOMELAB_CI_PACE": "0.02", "HOMELAB_CI_TOKEN": "s3cret"}


def held(world: World, forge: Forge) -> str:
    """Return the target's tip, with a branch that is to land and rules that make it hold for CI."""
    world.publish({"homelab.toml": f"{forge.config()}{SUITE}[land]\nhold = true\nwatch = false\n"})
    world.git("fetch", "--quiet", "origin")
    world.git("switch", "--quiet", "-c", "t", "origin/master")
    world.commit({"a": "1"})
    return world.tip()


def landing(world: World) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [BIN / "homelab", "work", "land"], cwd=world.clone, env={**world.env, **ENV}, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_a_landing_holds_is_seen_in_the_queue_and_lands_when_ci_is_idle(world: World) -> None:
    with serving("woodpecker") as forge:
        before = held(world, forge)
        forge.now(before, Run("running:x", "running", number=123))
        child = landing(world)
        eventually(lambda: any(row["holding"] for row in world.json("work", "queue")))
        assert [row["holding"] for row in world.json("work", "queue")] == ["holding for CI #123"]
        assert "holding for CI #123" in world.homelab("work", "queue").stdout
        assert world.tip() == before
        forge.now(before, Run("success:x", "success", number=123))
        assert child.wait(60) == 0 and world.tip() != before
        assert b"holding for CI #123" in child.communicate()[1]


def test_ctrl_c_leaves_off_holding_and_no_hold_lands_all_the_same(world: World) -> None:
    with serving("woodpecker") as forge:
        before = held(world, forge)
        forge.now(before, Run("pending:x", "blocked", number=9))
        child = landing(world)
        eventually(lambda: forge.requests)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
        assert child.returncode == 130 and world.tip() == before
        assert world.homelab("work", "land", "--no-hold", env=ENV).returncode == 0
        assert world.tip() != before
