"""A copy of what `prepare` made, to put back what suites have changed in it since.

A cache is kept between runs, so without this one commit's suite could leave in it what turns another commit's green or red.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from homelab.errors import Failed
from homelab.system import files, process


def fingerprint(root: Path, paths: Iterable[str]) -> str:
    """Return a digest that changes when anything at or below the paths is written, made or taken away."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        for name in _walk(os.fspath(root / path)):
            found = os.lstat(name)
            # A changed time can be set back, the time of that change cannot.
            facts = (name, found.st_mode, found.st_ino, found.st_size, found.st_ctime_ns if _is_leaf(found) else 0)
            digest.update(repr(facts).encode(errors="surrogateescape"))
    return digest.hexdigest()


def _is_leaf(found: os.stat_result) -> bool:
    return found.st_mode & 0o170000 != 0o040000  # what is in a folder stands for itself


def _walk(path: str) -> Iterable[str]:
    yield path
    if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114 - a Path for each of fifty thousand costs
        with os.scandir(path) as entries:
            names = sorted(entry.path for entry in entries)
        for name in names:
            yield from _walk(name)


def keep(root: Path, paths: Sequence[str], place: Path) -> str:
    """Copy the paths below `root` to `place`, and nothing else. Return a note for `restore`. Raises `OSError`, `Failed`."""
    files.remove(place)
    for path in paths:
        _copy(root / path, place / path)
    return _noted(root, paths)


def restore(root: Path, there: Sequence[str], place: Path, note: str) -> str | None:
    """Replace what is `there` below `root` by what was kept at `place`. Return its note, or None where that cannot be done.

    Raises `OSError`, `Failed`.
    """
    try:
        paths, _ = json.loads(note)
    except (ValueError, TypeError, RecursionError):
        return None
    if not isinstance(paths, list) or not all(files.is_sound(path, str) for path in paths):
        return None
    if there == paths and note == _noted(root, paths):
        return note
    if not all(os.path.lexists(place / path) for path in paths):
        return None
    for path in {*there, *paths}:
        files.remove(root / path)
    for path in paths:
        _copy(place / path, root / path)
    return _noted(root, paths)


def _noted(root: Path, paths: Sequence[str]) -> str:
    return json.dumps([paths, fingerprint(root, paths)])


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(Failed):
        # GNU's shares the blocks where the file system can, so that it takes neither time nor room.
        if process.complete(["cp", "-a", "--reflink=auto", "--", source, target]).returncode == 0:
            return
    files.remove(target)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)
