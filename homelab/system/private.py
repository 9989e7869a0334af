"""Folders that their user alone can read, each as long as its lock is held: what a kill has left goes with the next look."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from homelab.errors import HomelabError
from homelab.system import files, folders


def _base() -> Path:
    return folders.cache() / "private"


@contextlib.contextmanager
def folder() -> Iterator[tuple[Path, int]]:
    """Yield a new folder, and the descriptor of its lock, which a child may inherit. It is gone afterwards."""
    import tempfile  # every command sweeps, few make one

    base = _base()
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        fd, name = tempfile.mkstemp(suffix=".lock", dir=base)
        if files.lock(fd, blocking=False):
            if os.fstat(fd).st_nlink:
                break
            os.close(fd)
        # Another command has swept it away before it was locked.
    made = Path(name).with_suffix("")
    try:
        made.mkdir(mode=0o700)
        yield made, fd
    finally:
        _remove(Path(name))
        os.close(fd)


def sweep() -> None:
    """Remove the folders whose lock nobody holds. Never fails."""
    with contextlib.suppress(OSError, HomelabError):
        for entry in list(os.scandir(_base())):
            with contextlib.suppress(OSError):  # one that cannot be looked at keeps no other
                if entry.name.endswith(".lock") and (fd := files.hold(Path(entry.path))) is not None:
                    try:
                        _remove(Path(entry.path))
                    finally:
                        os.close(fd)


def _remove(lock: Path) -> None:
    files.remove(lock.with_suffix(""))
    lock.unlink(missing_ok=True)
