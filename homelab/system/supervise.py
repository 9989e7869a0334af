"""One shell command, started and waited for, with nothing of its process tree left behind.

The tree is the warden's (`homelab.system.warden`), a program of its own, so it ends also when we are killed. Nothing is read
from the command: its output goes to a file. Which command, where and with what environment is decided above.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from homelab.errors import Failed
from homelab.system import logs, process

_GRACE = 2.0  # seconds between TERM and KILL
_POLL = 0.2  # seconds between two looks at `abandoned`, and at how long the log is


class Ended(NamedTuple):
    """How a command ended: its exit code, a negative signal number, or None when it was ended by us."""

    code: int | None
    timed_out: bool
    abandoned: bool
    seconds: float


class _Report:
    """What the warden has told so far."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""
        self.over = False
        self.said: dict[str, list[int]] = {}

    def read(self, seconds: float | None) -> None:
        """Read what is told within `seconds`; it is `over` when the warden has gone."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(None if seconds is None else max(0, seconds * 1000)):
            return
        chunk = os.read(self._fd, 4096)
        self.over = not chunk
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            word, *numbers = line.decode().split()
            self.said[word] = [int(number) for number in numbers]

    def finish(self) -> None:
        """Read until the warden has gone."""
        while not self.over:
            self.read(None)


def run(
    command: str,
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    timeout: float,
    keep_fds: Sequence[int] = (),
    abandoned: Callable[[], bool] | None = None,
    private: bool = False,
) -> Ended:
    """Run a command in `cwd` with its output in `log`; afterwards nothing of its process tree lives.

    It is ended after `timeout` seconds, when `abandoned` turns true, and when we are interrupted or killed. A `private` log is
    its owner's alone. Raises `Failed` when it cannot be started, its output cannot be written, or a part of its tree cannot
    be ended.
    """
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(_opened(log, private))
        report, telling = _pipe(stack)
        listening, order = _pipe(stack)
        told = _Report(report.fd)
        # Last in, first out: whatever happens below, the order to end is given, then the tree's end is waited for.
        stack.callback(told.finish)
        stack.callback(telling.close)
        stack.callback(order.close)
        warden = _start(command, cwd, env, (listening.fd, telling.fd, out), keep_fds)
        stack.callback(warden.wait)
        stack.callback(order.close)
        telling.close()
        ended = _wait(told, time.monotonic(), timeout, abandoned, out)
        order.close()
        told.finish()
        logs.bound(out)
        return _judge(ended, told, log)


class _End:
    """One end of a pipe; it may be closed more than once."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Close it."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def _pipe(stack: contextlib.ExitStack) -> tuple[_End, _End]:
    reading, writing = (_End(fd) for fd in os.pipe())
    stack.callback(reading.close)
    stack.callback(writing.close)
    return reading, writing


@contextlib.contextmanager
def _opened(log: Path, private: bool) -> Iterator[int]:
    try:
        fd = logs.create(log, private=private)
    except OSError as error:
        raise _unwritable(log, error) from None
    try:
        _probe(log)
        yield fd
    finally:
        os.close(fd)


def _probe(log: Path) -> None:
    """Check that the log's disk takes more output. Raises `Failed`."""
    import tempfile  # only where something is run

    try:
        # Beside the log: whoever reads along would take what is written into it for the command's words.
        with log.open("ab", 0) if log.is_char_device() else tempfile.TemporaryFile(dir=log.parent, buffering=0) as file:
            file.write(b"\n" * 4096)
    except OSError as error:
        raise _unwritable(log, error) from None


def _unwritable(log: Path, error: OSError) -> Failed:
    reason = (error.strerror or "it cannot be written").lower()
    return Failed(f"the log {log} cannot be written: {reason}", hint="free the disk or repair the folder, then run it again")


def _start(
    command: str, cwd: Path, env: Mapping[str, str], streams: tuple[int, int, int], keep_fds: Sequence[int]
) -> process.Child:
    locale = f"={env['LC_CTYPE']}" if "LC_CTYPE" in env else ""
    program = Path(__file__).with_name("warden.py")
    stdin, stdout, stderr = streams
    try:
        return process.start(
            [sys.executable, "-I", "-S", program, str(_GRACE), locale, command],
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=keep_fds,
            new_session=True,
        )
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise Failed(f"cannot run a command in {cwd}: {words.lower()}", hint="look at the folder and the command") from None


def _wait(told: _Report, began: float, timeout: float, abandoned: Callable[[], bool] | None, log: int) -> Ended:
    while "code" not in told.said and not told.over:
        seconds = time.monotonic() - began
        if seconds >= timeout:
            return Ended(None, True, False, seconds)
        if abandoned is not None and abandoned():
            return Ended(None, False, True, seconds)
        told.read(min(timeout - seconds, _POLL))
        logs.bound(log)
    code = told.said.get("code", [None])[0]
    return Ended(code, False, False, time.monotonic() - began)


def _judge(ended: Ended, told: _Report, log: Path) -> Ended:
    if left := told.said.get("left"):
        pids = " ".join(map(str, left))
        raise Failed(f"the command left processes that cannot be ended: {pids}", hint=f"`ps -f -p {pids.replace(' ', ',')}`")
    if "code" not in told.said:
        _end_session(told.said.get("pid", [0])[0])
        raise Failed(
            "the process that watches the command was killed, so how the command ended is unknown", hint="run it again"
        )
    if ended.code:
        _probe(log)  # a command fails when its output finds no room: that is not its own fault
    return ended


def _end_session(leader: int) -> None:
    """Best effort for a tree that has lost its warden: the command's own process group is killed."""
    if leader > 1:
        with contextlib.suppress(OSError):
            os.killpg(leader, signal.SIGKILL)
