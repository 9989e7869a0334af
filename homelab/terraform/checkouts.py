"""Folders for plans of their own: each beside a lock that its plan holds, so that what a kill left behind can go."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from homelab.errors import Failed, HomelabError
from homelab.system import files, folders


def _folder() -> Path:
    return folders.cache() / "plans"


@contextlib.contextmanager
def reserved() -> Iterator[tuple[Path, int]]:
    """Yield a new folder that its user alone can read, and the descriptor of its lock. It is gone afterwards."""
    base = _folder()
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(suffix=".lock", dir=base)
    if not files.lock(fd, blocking=False):
        raise Failed(f"{name} is locked by another process", hint="run it again")
    folder = Path(name).with_suffix("")
    try:
        folder.mkdir(mode=0o700)
        yield folder, fd
    finally:
        _remove(Path(name))
        os.close(fd)


def sweep() -> None:
    """Remove the folders whose plan was killed and has ended. Never fails."""
    with contextlib.suppress(OSError, HomelabError):
        for entry in list(os.scandir(_folder())):
            if entry.name.endswith(".lock") and (fd := files.hold(Path(entry.path))) is not None:
                _remove(Path(entry.path))
                os.close(fd)


def _remove(lock: Path) -> None:
    files.remove(lock.with_suffix(""))
    lock.unlink(missing_ok=True)
