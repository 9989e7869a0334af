"""A signal ends a command wherever it is: 128 and its number, its own document, and nothing that goes on after an error."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.landings import FIELDS, Crowd, branch, nothing_left
from tests.support.waiting import eventually
from tests.support.world import BIN, World, sealed

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def ended(
    world: World, number: signal.Signals, *words: str, once: Callable[[], Any], cwd: Path | None = None
) -> tuple[int, dict[str, Any]]:
    """Start a command, send it the signal once that has come true, and return its exit code and the one document."""
    child = subprocess.Popen(
        [BIN / "homelab", *words, "--json"], cwd=cwd or world.clone, env=world.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    eventually(once)
    child.send_signal(number)
    return child.wait(60), json.loads(child.communicate(timeout=60)[0])


def started(world: World) -> Callable[[], bool]:
    """Let the only suite, which takes a minute, say when it has started."""
    world.publish({"homelab.toml": f'[[suite]]\nname = "s"\nrun = "touch {world.root}/started; sleep 60"\n'})
    world.git("fetch", "--quiet")
    return (world.root / "started").exists


@pytest.mark.parametrize("number", [SIGNALS[0], *(pytest.param(number, marks=pytest.mark.slow) for number in SIGNALS[1:])])
def test_a_landing_that_is_interrupted_answers_as_every_landing(world: World, number: signal.Signals) -> None:
    once, before = started(world), world.tip()
    branch(world)
    code, answer = ended(world, number, "work", "land", once=once)
    assert code == 128 + number and answer.keys() >= FIELDS and world.tip() == before
    assert (answer["error"]["kind"], answer["branch"], answer["status"]) == ("interrupted", "ada/x", "failed")
    nothing_left(world)


def test_a_verification_that_is_interrupted_names_its_commit(world: World) -> None:
    code, answer = ended(world, signal.SIGINT, "verify", "origin/master", once=started(world))
    assert code == 130 and answer["commit"] == world.tip() and answer["suites"] == []


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_a_batch_is_pushed_is_no_refusal_of_it(world: World, number: signal.Signals) -> None:
    crowd, pushed = Crowd(world, ["a", "b"], nap=1.5), world.root / "pushed"
    world.server_hook("pre-receive", f"touch {pushed}; sleep 2")
    for name, path in crowd.places.items():
        world.commit({name: "1"}, cwd=path)
    others: list[subprocess.Popen[bytes]] = []

    def is_pushed() -> bool:
        if not others and world.json("work", "queue"):
            others.append(crowd.start("b"))
        return pushed.exists()

    code, answer = ended(world, number, "work", "land", once=is_pushed, cwd=crowd.places["a"])
    assert code == 128 + number and answer["status"] == "failed"
    assert json.loads(others[0].communicate(timeout=60)[0])["status"] == "landed"
    assert world.homelab("work", "land", cwd=crowd.places["a"]).returncode == 0
    assert {"a", "b"} <= set(world.git("ls-tree", "--name-only", "master", cwd=world.remote).split())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_init_writes_nothing_after_a_signal(world: World, number: signal.Signals) -> None:
    world.git("rm", "--quiet", "homelab.toml")
    world.commit({"Makefile": f"test:\n\ttouch {world.root}/started; sleep 60\n"})
    code, answer = ended(world, number, "init", "--yes", once=(world.root / "started").exists)
    assert code == 128 + number and answer["error"]["kind"] == "interrupted"
    assert not (world.clone / "homelab.toml").exists()


def test_ctrl_c_among_the_imports_ends_without_a_word(tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys
        class Person:
            def find_spec(self, name, *rest):
                name == "homelab.commands.program" and os.kill(os.getpid(), signal.SIGINT)
        sys.meta_path.insert(0, Person())
        from homelab import cli
        cli.main()
    """
    done = subprocess.run([sys.executable, "-c", code, "claims"], env=sealed(tmp_path), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")
