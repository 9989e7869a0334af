"""Kill `work land` at random instants: the remote's branch is always a verified tree, and running it again ends the job."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.world import BIN, World

SECONDS = 60


def kill_randomly(world: World, longest: float, chance: random.Random) -> float:
    """Start a landing, SIGKILL it (its whole group, now and then) at a random instant, and return how long it had."""
    child = subprocess.Popen(
        [BIN / "homelab", "work", "land"], cwd=world.clone, env=world.env, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    lived = chance.uniform(0, longest)
    try:
        child.wait(lived)
    except subprocess.TimeoutExpired:
        if chance.random() < 0.3:
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait()
    return lived


def bad_trees(world: World) -> list[str]:
    """Return the commits on the remote's first-parent line whose tree the suite would not pass."""
    commits = world.git("rev-list", "--first-parent", "master", cwd=world.remote).split()
    return [oid for oid in commits if "bad" in world.git("ls-tree", "--name-only", oid, cwd=world.remote).split()]


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 4)
def test_a_landing_killed_at_any_instant_leaves_the_target_verified(gated: World) -> None:
    chance = random.Random(7)
    began = time.monotonic()
    world = gated
    assert world.homelab("work", "land", "--verify-cmd", "true").returncode == 3  # on master: nothing to kill yet
    started = time.monotonic()
    world.git("switch", "--quiet", "--no-track", "-c", "ada/0")
    world.commit({"f0": "0"})
    assert world.homelab("work", "land").returncode == 0
    longest = (time.monotonic() - started) * 1.3
    kills = landed = 0
    # Past the time only as far as a slow machine needs it to have killed and landed enough.
    while time.monotonic() - began < SECONDS or kills < 50 or landed < 5:
        topic = f"ada/{kills}-{landed}"
        world.git("fetch", "--quiet")
        world.git("switch", "--quiet", "--no-track", "-c", topic, "origin/master")
        red = chance.random() < 0.3
        world.commit({"bad" if red else f"f{kills}": str(kills)})
        if chance.random() < 0.5:
            world.publish({f"o{kills}": "1"})
        for _ in range(chance.randrange(1, 6)):
            kill_randomly(world, longest, chance)
            kills += 1
            assert not bad_trees(world)
        done = world.homelab("work", "land")
        assert done.returncode == (1 if red else 0), done.stderr
        landed += not red
        assert not bad_trees(world)
        world.git("switch", "--quiet", "--discard-changes", "--detach", "HEAD")
    assert kills >= 50 and landed >= 5
    state = world.clone / ".git/homelab"
    assert not list(state.glob("landing/*.json")) and not list(Path(world.clone / ".git").glob("*.lock"))
    assert not world.git("for-each-ref", "refs/homelab/landing/")
    assert world.git("fsck", "--no-dangling", "--no-progress") == ""
    assert world.homelab("work", "queue", "--json").stdout.strip() == "[]"
