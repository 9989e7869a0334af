"""A small HTTP server in front of `git http-backend`, which can answer badly before or after the repository has the push."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@dataclass
class Faults:
    """What the server does to the coming pushes: `code` (0 closes the connection) before or after they were received."""

    code: int | None = None
    #: Received first, and answered badly then.
    after: bool = False
    #: Already the first request of a push is answered so.
    at_once: bool = False
    #: How many pushes; None for all.
    times: int | None = None
    pushes: list[str] = field(default_factory=list)

    def due(self) -> bool:
        """Tell whether this push is to be answered badly, and count it."""
        if self.code is None or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


def _handler(root: Path, faults: Faults, env: dict[str, str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            if faults.at_once and "service=git-receive-pack" in self.path and faults.due():
                self._fail()
            else:
                self._forward(b"")

        def do_POST(self) -> None:
            body = self._body()
            if not self.path.endswith("/git-receive-pack") or body == b"0000":  # a probe, before a large push
                self._forward(body)
                return
            faults.pushes.append(self.path)
            if faults.at_once or not faults.due():
                self._forward(body)
                return
            if faults.after:
                self._backend(body)
            self._fail()

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            return b"".join(parts)

        def _fail(self) -> None:
            if faults.code:
                self.send_response(faults.code)
                if faults.code == 401:
                    self.send_header("WWW-Authenticate", "Basic")
                self.end_headers()
            self.close_connection = True

        def _backend(self, body: bytes) -> bytes:
            path, _, query = self.path.partition("?")
            given = {
                **env, "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
                "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)), "REMOTE_USER": "ada", "REMOTE_ADDR": "127.0.0.1",
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }  # fmt: skip
            return subprocess.run(["git", "http-backend"], input=body, env=given, capture_output=True, check=False).stdout

        def _forward(self, body: bytes) -> None:
            head, _, content = self._backend(body).partition(b"\r\n\r\n")
            rows = [row.split(": ", 1) for row in head.decode().split("\r\n") if ": " in row]
            status = next((value for name, value in rows if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, value in rows:
                if name != "Status":
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler


@contextlib.contextmanager
def serving(root: Path, env: dict[str, str]) -> Iterator[tuple[str, Faults]]:
    """Yield the address under which the repositories in `root` are served, and the faults to come."""
    found = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    if shutil.which("git-http-backend", path=os.pathsep.join([found, env["PATH"]])) is None:
        pytest.skip("this git has no http-backend")
    faults = Faults()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(root, faults, env))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", faults
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
