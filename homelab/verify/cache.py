"""What verification keeps on this machine, how much room that takes, and what of it may go.

Scratch checkouts and logs are made again or merely read; receipts, grants and the journal are evidence and stay.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from homelab import output
from homelab.git.repository import Repository
from homelab.system import files
from homelab.verify import last, scratch

#: A log younger than this, in seconds, may belong to a suite that still runs.
_YOUNG = 3600
#: Bytes that all scratch checkouts of this user may take; beyond them the least recently used go, looked at once a day.
BOUND = 10 << 30
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Checkouts:
    """The scratch checkouts of one clone."""

    clone: str
    path: Path
    bytes: int
    slots: int
    #: How many of them a suite is running in, or was left running in.
    in_use: int
    #: The clone is no longer there.
    gone: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """A folder of this clone's state."""

    path: Path
    bytes: int
    count: int


def checkouts() -> list[Checkouts]:
    """Return the scratch checkouts of every clone of this user, the largest first."""
    found = [_checkouts(home) for home in scratch.home_of(os.environ).glob("*") if home.is_dir()]
    return sorted(found, key=lambda one: one.bytes, reverse=True)


def kept(repository: Repository, name: str) -> Kept:
    """Return what a folder of a clone's state takes: ``logs``, ``receipts``."""
    folder = repository.state / name
    return Kept(folder, _size(folder), sum(1 for path in folder.rglob("*") if path.is_file()))


def prune(repository: Repository | None) -> int:
    """Take back idle scratch checkouts and old logs. Return how many bytes that freed."""
    freed = 0
    for lock in scratch.home_of(os.environ).glob("*/*/lock"):
        freed += _clear(lock)
    for log in _old_logs(repository) if repository else ():
        with contextlib.suppress(OSError):
            size = log.stat().st_size
            log.unlink()
            freed += size
    return freed


def tidy(*, bound: int = BOUND, every: float = _DAY) -> int:
    """Remove scratch of clones that are gone, and the least recently used beyond the bound. Return the bytes of the latter.

    At most once in so many seconds, since every file is looked at. Never fails: it is nobody's errand. A kill leaves slots
    that are half empty, which their next user fills again.
    """
    base, freed = scratch.home_of(os.environ), 0
    with contextlib.suppress(OSError):
        stamp = base / "tidied"
        if stamp.exists() and 0 <= time.time() - stamp.stat().st_mtime < every:
            return 0
        files.replace(stamp, b"")
        scratch.forget_gone(base)
        slots = sorted(base.glob("*/*/lock"), key=_used)
        over = sum(_size(lock.parent) for lock in slots) - bound
        for lock in slots:
            if freed >= over:
                break
            freed += _clear(lock)
    if freed:
        output.say(
            f"note: scratch checkouts took more than {output.size(bound)}; what was used least recently is gone "
            f"({output.size(freed)}), and made again when it is needed"
        )
    return freed


def _used(lock: Path) -> float:
    """Return when a slot was last used: each checkout replaces the index beside it."""
    with contextlib.suppress(OSError):
        return (lock.parent / "git").stat().st_mtime
    return 0.0


def _clear(lock: Path) -> int:
    """Empty a slot that nobody has. Return how many bytes that freed."""
    before = _size(lock.parent)
    with _idle(lock) as is_idle:
        if not is_idle:
            return 0
        for path in lock.parent.iterdir():
            if path != lock:  # whoever waits for the lock has opened this very file
                files.remove(path)
    return before - _size(lock.parent)


def _checkouts(home: Path) -> Checkouts:
    try:
        clone = os.fsdecode(files.content(home / "clone"))
    except OSError:
        clone = ""
    locks = list(home.glob("*/lock"))
    in_use = 0
    for lock in locks:
        with _idle(lock) as is_idle:
            in_use += not is_idle
    return Checkouts(clone, home, _size(home), len(locks), in_use, bool(clone) and not os.path.lexists(clone))


@contextlib.contextmanager
def _idle(lock: Path) -> Iterator[bool]:
    """Yield whether nobody has the slot; nobody gets it meanwhile."""
    fd = files.hold(lock)
    try:
        yield fd is not None
    finally:
        if fd is not None:
            os.close(fd)


def _old_logs(repository: Repository) -> Iterator[Path]:
    """Yield the logs that are no suite's last one, and that nobody can be writing."""
    last_ones = {record.log for record in last.runs(repository)}
    for path in (repository.state / "logs").glob("*.log"):
        with contextlib.suppress(OSError):
            if str(path) not in last_ones and time.time() - path.stat().st_mtime > _YOUNG:
                yield path


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_blocks * 512
    return total
