"""Suites with `secrets = true`: plaintext for them alone, and nothing of it left anywhere."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.needs import needs
from tests.support.waiting import eventually
from tests.support.world import World

pytestmark = needs("git-crypt")

SUITES = """
[verify]
caches = ["cache"]
[[suite]]
name = "open"
run = '''{body}'''
secrets = true
[[suite]]
name = "sealed"
run = "grep -q GITCRYPT secrets/db.env; test ! -e cache/seen"
"""
BODY = (
    'grep -q password=1 secrets/db.env && mkdir cache && touch cache/seen && test "$(stat -c %a ..)" = 700 '
    "&& case $(umask) in *) pwd > {root}/where;; esac"
)


@pytest.fixture
def unlocked(world: World) -> World:
    """A clone whose secrets are unlocked, with a suite that has to see them."""
    world.git("config", "user.name", "Ada")
    world.git("crypt", "init")
    world.commit(
        {
            ".gitattributes": "secrets/** filter=git-crypt diff=git-crypt\n",
            ".gitignore": "cache\n",
            "secrets/db.env": "password=1\n",
            "homelab.toml": SUITES.format(body=BODY.format(root=world.root)),
        }
    )
    world.git("push", "--quiet", "--no-verify", "origin", "master")
    return world


def leftovers(world: World) -> list[Path]:
    return list((world.root / "home/.cache/homelab/private").glob("*"))


@pytest.mark.slow
def test_a_suite_with_secrets_sees_them_alone_and_leaves_nothing(unlocked: World) -> None:
    for rev in ("HEAD", "HEAD"):
        answer = unlocked.json("verify", rev, "--fresh")
        assert {suite["name"]: suite["result"] for suite in answer["suites"]} == {"open": "passed", "sealed": "passed"}
    assert leftovers(unlocked) == []
    assert not Path((unlocked.root / "where").read_text().strip()).exists()


def test_a_locked_clone_is_unable_and_says_what_unlocks_it(unlocked: World) -> None:
    unlocked.git("push", "--quiet", "--no-verify", "origin", "HEAD:refs/heads/copy")
    locked = unlocked.root / "locked"
    unlocked.git("clone", "--quiet", unlocked.remote, locked, cwd=unlocked.root)
    done = unlocked.homelab("verify", "--json", cwd=locked)
    answer = json.loads(done.stdout)
    assert done.returncode == 3 and "git-crypt unlock" in answer["error"]["message"]
    assert {suite["name"]: suite["result"] for suite in answer["suites"]} == {"open": "unable", "sealed": "passed"}


def test_what_a_suite_with_secrets_prints_stays_in_its_log(unlocked: World) -> None:
    unlocked.commit({"homelab.toml": "[[suite]]\nname = 'open'\nsecrets = true\nrun = 'cat secrets/db.env; exit 1'\n"})
    done = unlocked.homelab("verify", "--json")
    assert done.returncode == 1 and "password" not in done.stderr + done.stdout
    log = next(suite["log"] for suite in json.loads(done.stdout)["suites"] if suite["result"] == "failed")
    assert "password=1" in Path(log).read_text() and Path(log).stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_a_kill_leaves_plaintext_no_longer_than_until_the_next_run(unlocked: World) -> None:
    unlocked.commit({"homelab.toml": "[[suite]]\nname = 'open'\nsecrets = true\nrun = 'sleep 100'\n"})
    child = subprocess.Popen(
        ["homelab", "verify"], cwd=unlocked.clone, env=unlocked.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    eventually(lambda: any(path.is_dir() and list(path.glob("*/secrets/db.env")) for path in leftovers(unlocked)))
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    time.sleep(3)  # the suite ends with its warden
    unlocked.homelab("verify", "origin/master")
    assert leftovers(unlocked) == []
