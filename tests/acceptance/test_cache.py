"""`homelab cache` shows what is kept, and takes back what nobody needs."""

import os
import time
from pathlib import Path

import pytest

from homelab.system import files
from tests.support.world import World


@pytest.mark.slow
def test_idle_scratch_and_old_logs_go_and_evidence_stays(world: World, tmp_path: Path) -> None:
    world.publish({"homelab.toml": '[[suite]]\nname = "a"\nrun = "sleep 0; true"\n[[suite]]\nname = "b"\nrun = "true"\n'})
    world.git("pull", "--quiet")
    assert world.homelab("verify").returncode == 0
    assert world.homelab("verify", "--fresh").returncode == 0
    state = world.clone / ".git/homelab"
    for log in (state / "logs").iterdir():
        os.utime(log, (time.time() - 7200,) * 2)
    before = world.json("cache")
    assert before["bytes"] > 0 and before["pruned"] is None and before["logs"]["count"] == 4
    assert [(one["clone"], one["gone"], one["in_use"]) for one in before["scratch"]] == [(str(world.clone / ".git"), False, 0)]
    held = files.hold(Path(before["scratch"][0]["path"]) / "0/lock")
    assert held is not None
    assert world.json("cache", "--prune")["scratch"][0]["in_use"] == 1
    assert (Path(before["scratch"][0]["path"]) / "0/git").is_dir(), "a suite may still run in it"
    os.close(held)
    after = world.json("cache", "--prune")
    assert after["receipts"] == before["receipts"] and after["logs"]["count"] == 2
    assert after["bytes"] < before["bytes"] and after["pruned"] > 0
    assert world.homelab("log", "a").returncode == 0, "the last log of each suite stays"
    assert world.homelab("verify", "--fresh").returncode == 0
    assert "scratch" in world.homelab("cache", cwd=tmp_path).stdout, "outside of a repository too"
