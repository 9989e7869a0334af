"""Sessions that claim, on any store: everything is done with the installed program and looked at from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homelab.claims.model import Binding, Holder, Mode, Request
from homelab.system.identity import new_id
from tests.support.world import BIN, sealed


def request(label: str = "stack:a", session: str = "a", binding: Binding = Binding.LEASE) -> Request:
    """Return what a session asks a store for."""
    return Request(new_id(), (label,), Mode.EXCLUSIVE, binding, "test", Holder("ada", "vm", session, os.getpid()))


@dataclass
class Claimants:
    """Sessions that share a store, and a folder to work in that is no repository."""

    root: Path
    url: str
    env: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.env = {**sealed(self.root / "home"), "HOMELAB_CLAIMS": self.url, "HOMELAB_SESSION": "a"}
        (self.root / "home").mkdir(exist_ok=True)

    def run(self, *args: str | Path, session: str = "a", env: dict[str, str] | None = None, **options: Any) -> Any:
        """Run the program to its end as a session."""
        return subprocess.run(
            [BIN / "homelab", *map(str, args)],
            cwd=options.pop("cwd", self.root),
            env={**self.env, "HOMELAB_SESSION": session, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=options.pop("timeout", 60),
            check=False,
            **options,
        )

    def ok(self, *args: str | Path, **options: Any) -> str:
        """Run it, and it succeeds; return its stdout."""
        done = self.run(*args, **options)
        assert done.returncode == 0, (done.args, done.returncode, done.stdout, done.stderr)
        return str(done.stdout)

    def start(self, *args: str | Path, session: str = "a", env: dict[str, str] | None = None, **options: Any) -> Any:
        """Start the program and leave it running, in a process group of its own."""
        child = subprocess.Popen(
            [BIN / "homelab", *map(str, args)],
            cwd=options.pop("cwd", self.root),
            env={**self.env, "HOMELAB_SESSION": session, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", subprocess.DEVNULL),
            stderr=options.pop("stderr", subprocess.DEVNULL),
            process_group=0,
            **options,
        )
        self.started.append(child)
        return child

    def board(self) -> list[Any]:
        """Return the claims as the program lists them."""
        return list(json.loads(self.ok("claims", "--json", session="onlooker")))

    def held(self) -> list[str]:
        """Return the labels that are held."""
        return [claim["label"] for claim in self.board()]

    def events(self, label: str | None = None) -> list[str]:
        """Return the names of the events of a label."""
        args = [label] if label else []
        return [event["event"] for event in json.loads(self.ok("claims", "history", *args, "--json", session="onlooker"))]

    def script(self, name: str, body: str) -> Path:
        """Return an executable shell script with this body."""
        path = self.root / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
        return path

    def clean_up(self) -> None:
        """Nothing that a test has started still runs."""
        for child in self.started:
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        for name in [path.name for path in Path("/proc").iterdir()]:
            with contextlib.suppress(OSError):
                if name.isdigit() and f"MARK={self.root}".encode() in Path(f"/proc/{name}/environ").read_bytes():
                    os.kill(int(name), signal.SIGKILL)


@contextlib.contextmanager
def claimants(root: Path, url: str) -> Iterator[Claimants]:
    """Sessions on a store; afterwards nothing is left running."""
    made = Claimants(root, url)
    made.env["MARK"] = str(root)
    try:
        yield made
    finally:
        made.clean_up()
