"""What lies in a folder and is not tracked.

`git clean` passes over FIFOs and sockets, fails in a folder without write permission, and keeps what an initialised submodule
has checked out. Here a path is tracked with its kind or it goes. Which paths are tracked is asked of git elsewhere.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from homelab.system import files


class Tracked(NamedTuple):
    """Every path of an index, relative to the root: files (and links), the folders above them, and submodules."""

    files: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    submodules: frozenset[str] = frozenset()


def tracked(listing: bytes) -> Tracked:
    """Return what `git ls-files -s -z` printed."""
    files: set[str] = set()
    folders: set[str] = set()
    submodules: set[str] = set()
    for row in listing.split(b"\0"):
        about, tab, name = row.partition(b"\t")
        if not tab:
            continue
        path = os.fsdecode(name)
        (submodules if about.startswith(b"160000") else files).add(path)
        _add_parents(path, folders)
    return Tracked(frozenset(files), frozenset(folders), frozenset(submodules))


def _add_parents(path: str, folders: set[str]) -> None:
    while (path := path.rpartition("/")[0]) and path not in folders:
        folders.add(path)


def strays(root: Path, known: Tracked, kept: Sequence[str] = ()) -> list[str]:
    """Return the topmost paths below `root` that are not tracked and not in `kept`; folders seen are made accessible."""
    kept_above: set[str] = set()
    for path in kept:
        _add_parents(path, kept_above)
    return list(_strays(os.fspath(root), "", known, frozenset(kept), kept_above))


def odd(root: Path, known: Tracked) -> list[str]:
    """Return the tracked paths whose mode is not that of what is made now: what was run has changed it.

    git keeps no mode but the executable bit, and built without nanoseconds sees no change within a second of the checkout.
    """
    probe = root.parent / "probe"
    probe.mkdir(exist_ok=True)
    usual = stat.S_IMODE(probe.lstat().st_mode)
    probe.rmdir()
    top, modes = os.fspath(root), (usual & 0o666, usual & 0o777)
    folders = [path for path in known.folders if _mode(f"{top}/{path}") not in (None, usual)]
    return folders + [path for path in known.files if _mode(f"{top}/{path}") not in (None, *modes)]


def _mode(path: str) -> int | None:
    """Return the mode of a file or folder; None where there is none, or a link."""
    try:
        found = os.lstat(path).st_mode
    except OSError:
        return None
    return None if stat.S_ISLNK(found) else stat.S_IMODE(found)


def _strays(folder: str, prefix: str, known: Tracked, kept: frozenset[str], kept_above: set[str]) -> Iterator[str]:
    files.allow(folder)
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            if path == ".git" or path in kept:
                continue
            if not entry.is_dir(follow_symlinks=False):
                if path not in known.files or not (entry.is_symlink() or entry.is_file(follow_symlinks=False)):
                    yield path
            elif path in known.submodules:
                files.allow(entry.path)
                yield from (f"{path}/{name}" for name in os.listdir(entry.path))
            elif path in known.folders or path in kept_above:
                yield from _strays(entry.path, f"{path}/", known, kept, kept_above)
            else:
                yield path
