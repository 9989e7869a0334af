"""A child that talks to another host: what it says while it waits is passed on, and silence ends it.

ssh asks for a touch or a passphrase on stderr, which we read. A host that accepts and never answers would hold git for ever.
"""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    lasts: Callable[[float], None],
    pass_fds: Sequence[int],
    alive: Callable[[], bool],
) -> Completed:
    """Run a child and return how it ended. Each line of stderr after which it falls silent is handed to `each`, once.

    `lasts` hears now and then for how long it has been going on.

    Raises `Silent` when it wrote nothing for `patience` seconds, and `alive` does not say that it may. It stays in our process
    group and on our terminal, where ssh reads a passphrase.
    """
    child = process.start(argv, cwd=cwd, env=env, stdout=process.PIPE, stderr=process.PIPE, pass_fds=pass_fds)
    assert child.stdout is not None and child.stderr is not None
    output, said = bytearray(), bytearray()
    written = {child.stdout.fileno(): output, child.stderr.fileno(): said}
    told, began = 0, time.monotonic()
    try:
        for quiet in _silences(child, written, patience, alive):
            lasts(time.monotonic() - began)
            if quiet > _WAITS and len(said) > told:
                _tell(bytes(said[told:]), each)
                told = len(said)
        return Completed(child.wait(), bytes(output), bytes(said))
    except BaseException:
        _end(child)
        raise
    finally:
        child.stdout.close()
        child.stderr.close()


def _silences(
    child: process.Child, written: Mapping[int, bytearray], patience: float, alive: Callable[[], bool]
) -> Iterator[float]:
    """Add to `written` what the child writes, until it ends; yield for how long it has written nothing. Raises `Silent`."""
    last = time.monotonic()
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
            if ready:
                last = time.monotonic()
                yield 0.0
            elif child.poll() is not None:  # what it left behind may keep the pipes
                return
            elif time.monotonic() - last <= patience:
                yield time.monotonic() - last
            elif alive():
                last = time.monotonic()
            else:
                raise Silent


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
