"""Processes as ``/proc`` shows them: ancestors, descendants, who has a file open or works in a folder. Nothing is changed.

Where there is no ``/proc`` the answers are empty, and callers decide by what they know otherwise; only for the processes in
a folder `lsof` is asked. `homelab.system.warden` reads ``/proc`` by itself, since it may import nothing.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from homelab.system import clock

_PROC = Path("/proc")


class Process(NamedTuple):
    """A process that cannot be mistaken for a later one with its number."""

    pid: int
    start: int
    boot: str


def _stat(pid: int) -> list[str] | None:
    """Return the fields of a process's stat after its name: state, parent, … ; None when it is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    # The name may hold spaces and parentheses: all that follows the last one is plain.
    return text.rpartition(")")[2].split()


def _start(fields: list[str]) -> int:
    return int(fields[19])


def identify(pid: int) -> Process:
    """Return the process with what tells it from a later one of the same number."""
    fields = _stat(pid)
    return Process(pid, _start(fields) if fields else 0, clock.boot())


def age() -> float:
    """Return the seconds since this process was started, 0 where nothing tells."""
    fields = _stat(os.getpid())
    return max(0.0, clock.since_boot() - _start(fields) / os.sysconf("SC_CLK_TCK")) if fields else 0.0


def descends_from(ancestor: Process) -> bool:
    """Return whether this process is in the tree below `ancestor`; without ``/proc`` only its own child is."""
    if ancestor.boot != clock.boot():
        return False
    pid = os.getppid()
    if not _PROC.joinpath("self").exists():
        return pid == ancestor.pid
    while pid > 0:
        fields = _stat(pid)
        if fields is None:
            return False
        if pid == ancestor.pid:
            return _start(fields) == ancestor.start
        pid = int(fields[1])
    return False


def _pids() -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(name) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208


def descendants(pid: int) -> list[int]:
    """Return the processes below `pid`, zombies left out."""
    children: dict[int, list[int]] = {}
    dead = set()
    for each in _pids():
        if (fields := _stat(each)) is not None:
            children.setdefault(int(fields[1]), []).append(each)
            if fields[0] in "ZX":
                dead.add(each)
    found: list[int] = []
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return sorted(each for each in found if each not in dead)


def openers(path: Path) -> list[int]:
    """Return the processes that have the file open, as far as we may look."""
    try:
        wanted = path.stat()
    except OSError:
        return []
    return [pid for pid in _pids() if pid != os.getpid() and _has_open(pid, wanted)]


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):  # noqa: PTH208 - a Path for each of thousands costs
            with contextlib.suppress(OSError):
                found = os.stat(f"{folder}/{name}")  # noqa: PTH116
                if (found.st_ino, found.st_dev) == (wanted.st_ino, wanted.st_dev):
                    return True
    except OSError:
        pass
    return False


def stopped_locker(fd: int) -> int | None:
    """Return the process that holds the lock of an open file and is stopped, as by Ctrl-Z; None where none is seen."""
    inode = os.fstat(fd).st_ino
    with contextlib.suppress(OSError):
        for line in (_PROC / "locks").read_text("ascii", errors="replace").splitlines():
            # ``1: FLOCK  ADVISORY  WRITE PID MAJOR:MINOR:INODE 0 EOF``; who waits has ``->`` behind the number.
            match line.split():
                case [_, "FLOCK", _, _, pid, place, *_] if place.endswith(f":{inode}"):
                    if (fields := _stat(int(pid))) and fields[0] in "Tt":
                        return int(pid)
    return None


def command(pid: int) -> str:
    """Return a process's command line, empty when it is gone."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


class Occupant(NamedTuple):
    """A process whose working folder is `folder`."""

    pid: int
    name: str
    folder: Path


def occupants(path: Path) -> list[Occupant]:
    """Return the processes but ours that work in the folder or below it: removing it would pull the floor from under them."""
    everyone = _working_folders() if (_PROC / "self" / "cwd").exists() else _ask_lsof()
    return [one for one in everyone if one.pid != os.getpid() and one.folder.is_relative_to(path)]


def _working_folders() -> list[Occupant]:
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            entry = _PROC / str(pid)
            folder = (entry / "cwd").readlink()
            found.append(Occupant(pid, (entry / "comm").read_text(errors="replace").strip(), folder))
    return found


def _ask_lsof() -> list[Occupant]:
    from homelab.errors import Failed
    from homelab.system import process  # claims read this module and seldom start anything

    try:
        done = process.complete(["lsof", "-w", "-d", "cwd", "-F", "pcn"], timeout=20)
    except Failed:
        return []
    found, pid, name = [], 0, ""
    for line in os.fsdecode(done.stdout).splitlines():
        kind, value = line[:1], line[1:]
        if kind == "p":
            pid = int(value)
        elif kind == "c":
            name = value
        elif kind == "n":
            found.append(Occupant(pid, name, Path(value)))
    return found
