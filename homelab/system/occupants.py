"""Which processes stand in a folder: removing it would pull the floor from under them.

Linux tells of every process that this user may look at; elsewhere `lsof` is asked, where there is one.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from homelab.errors import Failed
from homelab.system import process

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Occupant:
    """A process whose working folder it is."""

    pid: int
    name: str
    folder: Path


def occupants(path: Path) -> list[Occupant]:
    """Return the processes but ours that work in the folder or below it."""
    everyone = _from_proc() if (_PROC / "self" / "cwd").exists() else _from_lsof()
    return [one for one in everyone if one.pid != os.getpid() and one.folder.is_relative_to(path)]


def _from_proc() -> list[Occupant]:
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                folder = (entry / "cwd").readlink()
                found.append(Occupant(int(entry.name), (entry / "comm").read_text(errors="replace").strip(), folder))
    return found


def _from_lsof() -> list[Occupant]:
    try:
        done = process.run(["lsof", "-w", "-d", "cwd", "-F", "pcn"], timeout=20)
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
