"""The folder of a file store: fit for locks and for everyone who may share it, or refused with the reason.

Files take the folder's own permissions, so a folder that a group may write to is a store for that group, whatever the
umasks of its users.
"""

import contextlib
import os
import pwd
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from homelab.errors import Refused, Unreachable
from homelab.system import file_systems, folders
from homelab.system.shared import Shared

#: The folders of a store.
FOLDERS = ("alive", "committed", "held", "history", "labels", "queue")
_SWEPT = ".swept"
_DAY = 86400.0
_ELSEWHERE = "name another with HOMELAB_CLAIMS=file:///PATH, or a postgresql:// store for many machines"


def default() -> Path:
    """Return where this user's claims are kept when nothing names a store. Raises `Unreachable` for a user without a home."""
    return folders.state() / "claims"


def is_idle(folder: Path) -> bool:
    """Return whether nobody holds or waits for anything in a store, or there is none yet. Nothing is made."""
    for part in ("held", "queue"):
        try:
            with os.scandir(folder / part) as entries:
                if any(entries):
                    return False
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def unfit(folder: Path) -> str | None:
    """Return why claims cannot be kept in a folder, or None. One that does not exist yet is judged by its parent.

    Raises `OSError` where it cannot be looked at.
    """
    found = folder
    while not found.exists() and found != found.parent:
        found = found.parent
    if not found.is_dir():
        return f"{found} is not a folder"
    if folder.is_dir() and folder.stat().st_mode & stat.S_ISVTX:
        return f"{folder} is sticky: no user may replace another's record there"
    if folder.is_dir() and (owner := _stranger(folder)):
        return f"{folder} belongs to {owner}, who can change or take away any record there"
    if kind := file_systems.untrusted(found):
        return f"{folder} is on {kind}, whose locks do not exclude everyone"
    return None


def _stranger(folder: Path) -> str | None:
    """Return who owns a folder that is neither ours, root's, nor of a group of ours; None for the others."""
    found = folder.stat()
    if found.st_uid in (0, os.geteuid()) or found.st_gid in (os.getegid(), *os.getgroups()):
        return None
    try:
        return pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        return f"uid {found.st_uid}"


def ensure(folder: Path) -> int:
    """Make the folder if it is missing, and return the mode for files in it. Raises `Refused` or `Unreachable`."""
    try:
        if reason := unfit(folder):
            raise Refused(f"claims cannot be kept there: {reason}", hint=_ELSEWHERE)
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
    for path in (folder / name for name in FOLDERS):
        if path.exists():
            continue
        # Right from its first moment: another user may come along at any time. The kernel hands setgid down.
        umask = os.umask(0)
        try:
            path.mkdir(mode=folder.stat().st_mode & 0o777, exist_ok=True)
        finally:
            os.umask(umask)


def sweep(parts: Mapping[str, Shared]) -> None:
    """Remove, once a day, what killed processes have left in a store and nothing refers to."""
    now = time.time()
    with contextlib.suppress(OSError):
        if now - parts["labels"].touched(_SWEPT) < _DAY:
            return
    with contextlib.suppress(OSError):
        parts["labels"].replace(_SWEPT, b"")
        ids = {Path(name).stem.rpartition("=")[2] for part in ("held", "queue") for name in parts[part].names()}
        for part, folder in parts.items():
            for name in folder.names(hidden=True):
                is_proof = part in ("alive", "committed") and Path(name).stem not in ids
                is_old = now - folder.touched(name) > _DAY
                if (is_proof or name.startswith(".")) and is_old and not folder.is_held(name):
                    folder.unlink(name)


def unreachable(folder: Path, error: OSError) -> Unreachable:
    """Return the error that tells why the store's files cannot be read or written."""
    words = error.strerror or str(error)
    words = words[:1].lower() + words[1:]
    if isinstance(error.filename, str) and folder in Path(error.filename).parents:
        words += f" ({error.filename})"
    return Unreachable(f"the claim store {folder} cannot be used: {words}", hint=f"free or repair it, or {_ELSEWHERE}")
