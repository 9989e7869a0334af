"""State on disk: replaced whole, created once, appended in one write, and owned by locks that the kernel frees.

After SIGKILL at any instruction a reader finds the old content or the new, and no lock outlives its process. After a loss
of power too, but for what is called passing. What the files mean is decided by the rooms that own them.
"""

import contextlib
import errno
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

#: Half of a character, which no name of a file can hold; a byte that is no UTF-8 stands as one from U+DC80 on.
_LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_MOST = 1e15
#: How long a lock is waited for before we look whether whoever holds it is stopped, in seconds.
_PATIENCE = 1.0

#: The permissions of new files that nobody names a mode for: the owner's alone.
_default_mode: int | None = None


def share(mode: int) -> None:
    """Give the files that this process makes from now on these permissions, where a repository belongs to several users."""
    global _default_mode
    _default_mode = mode


def default_mode() -> int:
    """Return the permissions of files that this process makes."""
    return 0o600 if _default_mode is None else _default_mode


def _write_temporary(
    path: Path, content: bytes, mode: int | None = None, folder: Path | None = None, *, passing: bool = False
) -> Path:
    import tempfile  # a fifth of what the hook imports, which seldom writes

    mode = _default_mode if mode is None else mode
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=folder or path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            if not passing:
                os.fsync(file.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def replace(
    path: Path, content: bytes, *, mode: int | None = None, by_way_of: Path | None = None, passing: bool = False
) -> None:
    """Replace a file by one that holds `content`, with `mode` or 0600; a reader never sees a part of it.

    `by_way_of` is a folder on the same file system where a kill may leave a temporary file, if not beside the file. What is
    `passing` means nothing after a loss of power, and does not wait for a disk that is busy with somebody's checkout.
    """
    temporary = _write_temporary(path, content, mode, by_way_of, passing=passing)
    temporary.replace(path)
    if not passing:
        _sync_folder(path.parent)


@contextlib.contextmanager
def beside(path: Path, content: bytes) -> Iterator[Path]:
    """Yield a file of this content under a name of its own beside `path`, for as long as it is needed."""
    temporary = _write_temporary(path, content)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def create(path: Path, content: bytes) -> bool:
    """Return whether this call made the file; the first writer wins and nobody sees a part of it."""
    temporary = _write_temporary(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def content(path: Path, *, last: int | None = None) -> bytes:
    """Return what a plain file holds, or its `last` bytes.

    Raises `OSError`, also for what is no plain file: a pipe or a device would never end.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file", os.fspath(path))
        if last is not None:
            file.seek(max(0, found.st_size - last))
        return file.read()


def parsed(path: Path) -> Any:
    """Return the JSON that a file holds, or None where it is missing, no plain file, or damaged in any way."""
    try:
        return json.loads(content(path))
    except (OSError, ValueError, RecursionError):
        return None


def document(path: Path, types: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON object that a file holds, or None where there is none, or a field lacks or is of another type."""
    found = parsed(path)
    if not isinstance(found, dict):
        return None
    return found if all(name in found and is_sound(found[name], kind) for name, kind in types.items()) else None


def is_sound(value: object, kind: Any) -> bool:
    """Tell whether a value read from a file is of that type, and one that paths, programs and clocks can take."""
    if isinstance(value, str):
        return isinstance(value, kind) and "\0" not in value and not _LONE.search(value)
    # Whatever has more digits than a clock or a counter ends arithmetic, and so does no number at all.
    return isinstance(value, kind) and not (isinstance(value, int | float) and not abs(value) < _MOST)


def append(path: Path, record: dict[str, Any]) -> None:
    """Append `record` as one line of JSON; lines of several writers never mix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        os.write(fd, json.dumps(record, separators=(",", ":")).encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)


def hold(path: Path, *, blocking: bool = False) -> int | None:
    """Return a descriptor that holds the file's lock, or None when another process does.

    A child that inherits the descriptor holds the lock too, until its copy is closed. Raises `OSError`, also for a link: two
    locks that lead to one file would wait for each other.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    return fd if lock(fd, blocking=blocking) else None


def lock(fd: int, *, blocking: bool) -> bool:
    """Lock an open file, and tell whether that went well; where not, the descriptor is closed.

    Who waits for it waits as long as it takes, but not for a process that is stopped: that is an `OSError` which names it.
    """
    import filelock

    held, look = False, time.monotonic() + _PATIENCE
    try:
        while not (held := filelock.lock_descriptor(fd, blocking=False)) and blocking:
            time.sleep(0.005)
            if time.monotonic() > look:
                look += 1
                _require_progress(fd)
    finally:
        if not held:
            os.close(fd)
    return held


def _require_progress(fd: int) -> None:
    from homelab.system import proc

    if (stopped := proc.stopped_locker(fd)) is not None:
        raise OSError(errno.EDEADLK, f"process {stopped} is stopped and holds a lock: `kill -CONT {stopped}` lets it go on")


def free(fd: int) -> None:
    """Free the lock of this descriptor, for children that inherited it too, and close it."""
    import filelock

    try:
        filelock.unlock_descriptor(fd)
    finally:
        os.close(fd)


def is_locked(fd: int) -> bool:
    """Return whether another process holds the lock of this file, and close the descriptor."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock for the block; it is free at once when the process dies."""
    fd = hold(path, blocking=True)
    assert fd is not None
    try:
        yield
    finally:
        os.close(fd)


def allow(folder: str) -> None:
    """Let us read and write in the folder, if it is ours."""
    mode = os.lstat(folder).st_mode
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        Path(folder).chmod(stat.S_IMODE(mode) | stat.S_IRWXU)


def remove(path: Path) -> None:
    """Remove whatever is at the path, read-only folders included; follow no link. Raises `OSError`."""
    import shutil  # with its archives a fifth of what the hook imports

    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
    except FileNotFoundError:
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():  # read-only folders, as Go's module cache has them
        open_up(path)
        shutil.rmtree(path)


def open_up(root: Path) -> None:
    """Let us read and write in every folder below `root` that is ours."""
    with contextlib.suppress(OSError):
        allow(os.fspath(root))
    for folder, names, _ in os.walk(root):
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(OSError):
                if not path.is_symlink():
                    allow(os.fspath(path))
