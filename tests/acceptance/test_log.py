"""`homelab log` prints the whole log of a suite, and `verify -v` what it says while it says it."""

import os
from pathlib import Path

import pytest

from tests.support.world import World

STACKS = r"""
[[suite]]
name = "stack"
each = "stacks/*"
run = "echo $PWD | sed 's,.*/,in ,'; test ! -e red"
[[suite]]
name = "noisy"
run = "echo 'Error: first'; seq 300; printf 'last\\033[2J\\n'; test ! -e red"
"""


def prepared(world: World) -> None:
    world.publish({"homelab.toml": STACKS, "stacks/dns/main.tf": "", "stacks/vault/main.tf": "", "red": ""})
    world.git("pull", "--quiet")


def test_a_red_shows_what_counts_and_names_the_command_for_the_rest(world: World) -> None:
    assert world.json("log") == {"ok": True, "log": None}
    prepared(world)
    done = world.homelab("verify")
    assert done.returncode == 1
    assert "  | Error: first" in done.stderr and "  | … 284 lines …" in done.stderr and "last\\x1b[2J" in done.stderr
    assert "`homelab log noisy`" in done.stderr and done.stderr.count("/logs/noisy") == 1
    whole = world.homelab("log")
    assert whole.returncode == 0 and "\x1b" not in whole.stdout
    assert whole.stdout.splitlines()[:2] == ["Error: first", "1"] and len(whole.stdout.splitlines()) == 302
    found = world.json("log", "noisy")
    assert (found["name"], found["result"], found["commit"]) == ("noisy", "failed", world.git("rev-parse", "HEAD"))
    assert found["text"].startswith("Error: first\n1\n")
    Path(found["log"]).unlink()
    os.mkfifo(found["log"])  # whatever stands there, nobody waits for it
    done = world.homelab("log", timeout=10)
    assert done.returncode == 2 and "the log of noisy cannot be read" in done.stderr


@pytest.mark.slow
def test_a_folder_is_named_by_its_path_or_its_end(world: World) -> None:
    prepared(world)
    world.homelab("verify")
    assert world.homelab("log", "stack:vault").stdout == world.homelab("log", "stack:stacks/vault").stdout == "in vault\n"
    assert world.json("log", "stack:dns")["dir"] == "stacks/dns"
    for wrong in ("stack:mail", "stac", "stack:ns", ":"):
        done = world.homelab("log", wrong)
        assert done.returncode == 2 and "stack:stacks/dns" in done.stderr and done.stdout == ""


def test_what_a_suite_says_is_streamed_once(world: World) -> None:
    prepared(world)
    for args in (["verify", "-v"], ["verify", "--verbose", "--fresh"]):
        rows = [row for row in world.homelab(*args).stderr.splitlines() if row.startswith("  noisy | ")]
        assert rows[:2] == ["  noisy | Error: first", "  noisy | 1"] and len(rows) == 302
