"""The folder of a file store: fit for locks and for everyone who may share it, or refused with the reason.

Files take the folder's own permissions, so a folder that a group may write to is a store for that group, whatever the
umasks of its users.
"""

import contextlib
import os
import stat
import time
from pathlib import Path

from homelab.errors import Refused, Unreachable
from homelab.system import file_systems, files, folders

_FOLDERS = ("alive", "committed", "held", "history", "labels", "queue")
_DAY = 86400.0
_ELSEWHERE = "name another with HOMELAB_CLAIMS=file:///PATH, or a postgresql:// store for many machines"


def default() -> Path:
    """Return where this user's claims are kept when nothing names a store. Raises `Unreachable` for a user without a home."""
    return folders.state() / "claims"


def unfit(folder: Path) -> str | None:
    """Return why claims cannot be kept in a folder, or None. A folder that does not exist yet is judged by its parent."""
    found = folder
    while not found.exists() and found != found.parent:
        found = found.parent
    if not found.is_dir():
        return f"{found} is not a folder"
    if folder.is_dir() and folder.stat().st_mode & stat.S_ISVTX:
        return f"{folder} is sticky: no user may replace another's record there"
    if kind := file_systems.untrusted(found):
        return f"{folder} is on {kind}, whose locks do not exclude everyone"
    return None


def ensure(folder: Path) -> int:
    """Make the folder if it is missing, and return the mode for files in it. Raises `Refused` or `Unreachable`."""
    if reason := unfit(folder):
        raise Refused(f"claims cannot be kept there: {reason}", hint=_ELSEWHERE)
    try:
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(13, "permission denied", str(folder))
    except OSError as error:
        raise unreachable(folder, error) from None
    return 0o600 | mode & 0o066


def furnish(folder: Path) -> None:
    """Make the folders of a store, with the store's own permissions."""
    for path in (folder / name for name in _FOLDERS):
        if path.exists():
            continue
        # Right from its first moment: another user may come along at any time. The kernel hands setgid down.
        umask = os.umask(0)
        try:
            path.mkdir(mode=folder.stat().st_mode & 0o777, exist_ok=True)
        finally:
            os.umask(umask)


def sweep(folder: Path, mode: int) -> None:
    """Remove, once a day, what killed processes have left in a store and nothing refers to."""
    mark = folder / "labels" / ".swept"
    now = time.time()
    with contextlib.suppress(OSError):
        if now - mark.stat().st_mtime < _DAY:
            return
    with contextlib.suppress(OSError):
        files.replace(mark, b"", mode=mode)
        ids = {path.stem.rpartition("=")[2] for name in ("held", "queue") for path in (folder / name).iterdir()}
        for path in (path for name in _FOLDERS for path in (folder / name).iterdir()):
            is_proof = path.parent.name in ("alive", "committed") and path.stem not in ids
            if (is_proof or path.name.startswith(".")) and now - path.stat().st_mtime > _DAY and not files.is_held(path):
                path.unlink(missing_ok=True)


def unreachable(folder: Path, error: OSError) -> Unreachable:
    """Return the error that tells why the store's files cannot be read or written."""
    words = (error.strerror or str(error)).lower()
    return Unreachable(f"the claim store {folder} cannot be used: {words}", hint=f"free or repair it, or {_ELSEWHERE}")
