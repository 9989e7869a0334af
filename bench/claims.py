"""What a claim costs, beside `flock(1)` and a bare FileLock, and how fast a label changes hands."""

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from bench.timing import Case, Table, progress
from homelab.claims import locate
from homelab.claims.model import Binding, Holder, Mode, Request
from homelab.claims.stores.base import Taken
from homelab.system.identity import new_id
from tests.support.postgres import Server, database, discard, launch

BIN = Path(sys.executable).parent
_FILELOCK = "import filelock, subprocess, sys\nwith filelock.FileLock(sys.argv[1]): subprocess.run(['true'])"


def measure(root: Path, quick: bool) -> list[Table]:
    """Return the tables."""
    rounds = 5 if quick else 30
    urls = {"files": f"file://{root}/store"}
    tables = [_programs(root, urls["files"], rounds)]
    server = _server()
    try:
        if server is not None:
            urls["PostgreSQL"] = database(server)
            locate.prepare(urls["PostgreSQL"], None)
        tables.append(_calls(urls, rounds * 10))
        for labels in (1, 50):
            tables.append(_crowd(root, urls, labels, 10 if quick else 50))
        tables.append(_board(urls, rounds))
    finally:
        if server is not None:
            discard(server)
    return tables


def _server() -> Server | None:
    try:
        return launch()
    except pytest.skip.Exception as error:
        sys.stderr.write(f"without PostgreSQL: {error}\n")
        return None


def _programs(root: Path, url: str, rounds: int) -> Table:
    env = {**os.environ, "HOMELAB_CLAIMS": url, "HOMELAB_SESSION": "bench", "XDG_STATE_HOME": str(root)}
    claim: list[str | Path] = [BIN / "homelab", "claim", "stack:a", "--purpose", "bench"]
    release: list[str | Path] = [BIN / "homelab", "release", "stack:b"]
    cases: dict[str, list[str | Path]] = {
        "`flock FILE true`": ["flock", root / "flock", "true"],
        "Python with a FileLock around `true`": [sys.executable, "-I", "-c", _FILELOCK, str(root / "filelock")],
        "`homelab --version`": [BIN / "homelab", "--version"],
        "`homelab claim … -- true`": [*claim, "--", "true"],
        "`homelab claim` (a lease renewed)": [BIN / "homelab", "claim", "node:n", "--purpose", "bench"],
        "`homelab release` (nothing held)": release,
        "`homelab claims`": [BIN / "homelab", "claims"],
    }
    table = Table("A claim as a whole program", "One file store on a local disk; every state is fsynced.")
    return table.run({name: Case(argv, root, env) for name, argv in cases.items()}, rounds)


def _request(label: str, session: str, binding: Binding = Binding.PROCESS) -> Request:
    return Request(new_id(), (label,), Mode.EXCLUSIVE, binding, "bench", Holder("ada", "here", session, os.getpid()))


def _calls(urls: dict[str, str], rounds: int) -> Table:
    table = Table("Claim and release inside one process", "A bound claim taken and ended, without a command.")
    for name, url in urls.items():
        with closing(locate.open(url)) as store:
            times = []
            for _ in range(rounds):
                asked = _request("stack:a", "one")
                began = time.perf_counter()
                assert isinstance(store.attempt(asked), Taken)
                store.end(asked.id, asked.labels)
                times.append((time.perf_counter() - began) * 1e3)
            table.times[name] = times
    return table


def take_one(url: str, number: int, labels: int) -> None:
    """Print the milliseconds from asking for a claim to having it, once all others have started."""
    with closing(locate.open(url)) as store:
        sys.stdin.read()
        began = time.perf_counter()
        asked = _request(f"stack:s{number % labels}", str(number))
        assert isinstance(store.wait(asked, 300, lambda *_: None), Taken)
        took = time.perf_counter() - began
        time.sleep(0.02)
        store.end(asked.id, asked.labels)
    sys.stdout.write(f"{took * 1e3}\n")


def _crowd(root: Path, urls: dict[str, str], labels: int, processes: int) -> Table:
    title = f"{processes} processes at the same moment, {'one label' if labels == 1 else 'a label each'}"
    table = Table(title, "From asking to having, each holds it for 20 ms.")
    for name, url in urls.items():
        progress(f"{title}: {name}")
        start, gate = os.pipe()
        here = Path(__file__).parent.parent
        crowd = [
            subprocess.Popen(
                [sys.executable, "-c", f"from bench.claims import take_one; take_one({url!r}, {number}, {labels})"],
                stdin=start,
                stdout=subprocess.PIPE,
                cwd=here,
            )
            for number in range(processes)
        ]
        os.close(start)
        time.sleep(processes * 0.15)  # until all of them have started
        os.close(gate)
        table.times[name] = [float(child.communicate()[0]) for child in crowd]
    del root
    return table


def _board(urls: dict[str, str], rounds: int) -> Table:
    table = Table("The board of a thousand live claims")
    for name, url in urls.items():
        with closing(locate.open(url)) as store:
            for number in range(1000):
                progress(f"a thousand claims on {name}: {number}")
                store.attempt(_request(f"node:n{number}", "many", Binding.LEASE))
            table.times[name] = []
            for _ in range(rounds):
                began = time.perf_counter()
                assert len(store.board()) >= 1000
                table.times[name].append((time.perf_counter() - began) * 1e3)
    return table
