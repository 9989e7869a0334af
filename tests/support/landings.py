"""Landings for a test: a branch with work, its landing, many at once, and what may not be left behind."""

import contextlib
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from homelab.git.repository import discover
from homelab.landing.queue import Queue
from tests.support.world import BIN, World


class Crowd:
    """Worktrees with a change each, landed at once; every run of a suite leaves a line in `count`."""

    def __init__(self, world: World, names: list[str], suite: str = "test ! -e bad", extra: str = "", nap: float = 0.5) -> None:
        self.world, self.count = world, world.root / "count"
        self.count.touch()
        run = f"echo $PWD >> {self.count}; sleep {nap}; {suite}"
        world.publish({"homelab.toml": f'{extra}\n[[suite]]\nname = "s"\nrun = "{run}"\n'})
        self.places = {name: Path(world.homelab("work", "start", name).stdout.strip()) for name in names}

    def start(self, name: str, *args: str) -> "subprocess.Popen[bytes]":
        with (self.world.root / f"{name}.err").open("wb") as narration:
            return subprocess.Popen(
                [BIN / "homelab", "work", "land", "--json", *args], cwd=self.places[name], env=self.world.env,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=narration,
            )  # fmt: skip

    def land(self, *, queued: bool = False) -> dict[str, dict[str, object]]:
        """Land all at once and return each answer; where `queued`, all of them wait before the first leads."""
        repository, deadline = discover(self.world.clone), time.monotonic() + 60
        with Queue(repository.state).drawn(repository.git_dir, "ahead") if queued else contextlib.nullcontext() as ahead:
            children = {name: self.start(name) for name in self.places}
            while ahead and time.monotonic() < deadline:
                if sum(ticket.head is not None for ticket in Queue(repository.state).waiting()) == len(children):
                    break
                time.sleep(0.02)
        return {name: json.loads(child.communicate(timeout=90)[0]) for name, child in children.items()}

    def runs(self) -> int:
        return len(self.count.read_text().split())


def branch(world: World, topic: str = "x", files: dict[str, str | bytes] | None = None) -> str:
    """Switch to a new branch off the remote's master with one commit, and return the commit."""
    world.git("switch", "--quiet", "--no-track", "-c", f"ada/{topic}", "origin/master")
    return world.commit(files or {topic: "work\n"})


FIELDS = {"ok", "status", "branch", "target", "remote", "commit", "tree", "attempts", "suites"}


def land(world: World, code: int, *, args: tuple[str, ...] = (), **options: Any) -> tuple[dict[str, Any], str]:
    """Land, expect this exit code, and return the one document on stdout and what stderr says."""
    done = world.homelab("work", "land", "--json", *args, **options)
    assert done.returncode == code, done.stderr + done.stdout
    answer = json.loads(done.stdout)
    assert answer.keys() >= FIELDS
    assert "Traceback" not in done.stderr
    if code:
        assert "homelab: hint: " in done.stderr and answer["error"]["hint"]
    return answer, done.stderr


def nothing_left(world: World) -> None:
    state = world.clone / ".git/homelab"
    assert not world.git("for-each-ref", "refs/homelab/landing/")
    assert not list(state.glob("landing/*")) and not list(state.glob("queue/*.lock"))
