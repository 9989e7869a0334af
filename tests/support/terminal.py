"""A terminal that a program is run on: keys go in, and what a person would see comes out."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class Terminal:
    """A screen of some columns and rows with a program on it."""

    def __init__(self, program: subprocess.Popen[bytes], master: int, columns: int, rows: int) -> None:
        pyte = pytest.importorskip("pyte")
        self.program = program
        self._master = master
        self._screen: Any = pyte.HistoryScreen(columns, rows, history=2000, ratio=0.5)
        self._stream: Any = pyte.ByteStream(self._screen)
        #: Every byte that was written, for what a rendered screen does not show: colours.
        self.raw = b""

    def press(self, keys: str) -> None:
        """Type the keys."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Make the window another size."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    def lines(self) -> list[str]:
        """Return all that a person sees who scrolls to the top, without the empty lines at the end."""
        above = ["".join(row[n].data for n in range(self._screen.columns)) for row in self._screen.history.top]
        rows = [row.rstrip() for row in (*above, *self._screen.display)]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def until(self, seen: Callable[[list[str]], object], seconds: float = 30) -> list[str]:
        """Return the lines as soon as `seen` is true of them. Fails when that does not come."""
        end = time.monotonic() + seconds
        while not seen(self.lines()):
            assert time.monotonic() < end, "\n".join(self.lines())
            if not self._read(0.05) and self.program.poll() is not None and not self._read(0.2):
                assert seen(self.lines()), "\n".join(self.lines())
        return self.lines()

    def ended(self, seconds: float = 30) -> list[str]:
        """Return the lines that are left when the program has ended."""
        end = time.monotonic() + seconds
        while self.program.poll() is None:
            assert time.monotonic() < end, "\n".join(self.lines())
            self._read(0.05)
        while self._read(0.1):
            pass
        return self.lines()

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            content = os.read(self._master, 65536)
        except OSError:  # the last one who had the other side has gone
            return False
        self.raw += content
        self._stream.feed(content)
        return bool(content)


@contextmanager
def terminal(*argv: str | Path, cwd: Path, env: Mapping[str, str], columns: int = 80, rows: int = 24) -> Iterator[Terminal]:
    """Yield a terminal on which the program runs; it is hung up afterwards."""
    pytest.importorskip("pyte")
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    program = subprocess.Popen(
        [str(part) for part in argv], stdin=slave, stdout=slave, stderr=slave, cwd=cwd,
        env={"TERM": "xterm-256color", **env}, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(slave)
    try:
        yield Terminal(program, master, columns, rows)
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGHUP)
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        os.close(master)
