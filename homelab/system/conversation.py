"""A child that talks to another host: what it says while it waits is passed on, and silence ends it.

ssh asks for a touch or a passphrase on stderr, which we read. A host that accepts and never answers would hold git for ever.
"""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from homelab.system import proc, process
from homelab.system.process import Completed

#: Seconds after which what a child said last is passed on: it seems to wait for an answer to that.
_WAITS = 1.0
_TICK = 0.25


class Silent(Exception):
    """The child said nothing for too long and was ended."""


def converse(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    patience: float,
    each: Callable[[str], None],
    pass_fds: Sequence[int] = (),
    alive: Callable[[], bool] = lambda: False,
) -> Completed:
    """Return how a child ended; each line of stderr that it waits upon is handed on, once.

    Raises `Silent` when it wrote nothing for `patience` seconds, and `alive` does not say that it may. It stays in our process
    group and on our terminal, where ssh reads a passphrase.
    """
    child = process.start(argv, cwd=cwd, env=env, stdout=process.PIPE, stderr=process.PIPE, pass_fds=pass_fds)
    assert child.stdout is not None and child.stderr is not None
    written = {child.stdout.fileno(): bytearray(), child.stderr.fileno(): bytearray()}
    said = written[child.stderr.fileno()]
    told, last = 0, time.monotonic()
    try:
        with selectors.DefaultSelector() as selector:
            for fd in written:
                selector.register(fd, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(_TICK)
                for key, _ in ready:
                    if part := os.read(key.fd, 1 << 16):
                        written[key.fd] += part
                    else:
                        selector.unregister(key.fd)
                now = time.monotonic()
                if ready:
                    last = now
                elif child.poll() is not None:  # what it left behind may keep the pipes
                    break
                elif now - last > patience:
                    if not alive():
                        raise Silent
                    last = time.monotonic()
                elif now - last > _WAITS and len(said) > told:
                    _tell(bytes(said[told:]), each)
                    told = len(said)
        return Completed(child.wait(), *(bytes(part) for part in written.values()))
    except BaseException:
        _end(child)
        raise
    finally:
        child.stdout.close()
        child.stderr.close()


def _tell(text: bytes, each: Callable[[str], None]) -> None:
    """Hand on the lines of a text, of a progress that is drawn again and again none."""
    for row in text.decode(errors="replace").split("\n"):
        if row.strip() and "\r" not in row.rstrip("\r"):
            each(row.strip())


def _end(child: process.Child) -> None:
    """End a child with all below it: git leaves its ssh behind, which waits for the host on and on."""
    below = proc.descendants(child.pid)
    for pid in (child.pid, *below):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(process.TimeoutExpired):
        child.wait(2)
    for pid in below if child.poll() is not None else (child.pid, *below):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    child.wait()
