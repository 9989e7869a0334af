"""A folder in which other users may write: every file is opened by its name below the folder, and never through a link.

Whoever may write there may plant a link at a name that we will open, and have us write where only we may: a claim's purpose
into a victim's ``~/.bashrc``, tried. So a file is a plain file with one name, or it is refused, and only a file that we made
is given permissions.
"""

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from homelab.system import files

# More than any record of ours by far. Whoever may write in the folder may also fill it.
_LARGEST = 1 << 20


class Shared:
    """One folder. New files get `mode`, whatever the umask says. Raises `OSError`."""

    def __init__(self, path: Path, mode: int) -> None:
        self.path = path
        self._mode = mode
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def names(self, prefix: str = "", *, hidden: bool = False) -> list[str]:
        """Return the names that begin with `prefix`, in order, those with a dot in front only if `hidden`."""
        names = os.listdir(self._fd)  # noqa: PTH208 - a path may lead elsewhere by now
        return sorted(name for name in names if name.startswith(prefix) and (hidden or not name.startswith(".")))

    def exists(self, name: str) -> bool:
        """Return whether there is anything of this name, a link included."""
        try:
            os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str) -> bytes:
        """Return what a file holds, its beginning where it is larger than any record. Raises `FileNotFoundError`."""
        fd = self._open(name, os.O_RDONLY)
        try:
            return os.read(fd, _LARGEST)
        finally:
            os.close(fd)

    def records(self, name: str) -> list[dict[str, Any]]:
        """Return the records of an appended file, oldest first. A damaged line is passed over."""
        with os.fdopen(self._open(name, os.O_RDONLY), "rb") as file:
            lines = file.read().split(b"\n")
        found = []
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):
                if line and isinstance(record := json.loads(line), dict):
                    found.append(record)
        return found

    def replace(self, name: str, content: bytes) -> None:
        """Let the file hold `content` and nothing else; a reader never sees a part of it."""
        temporary = f".{name[:40]}.{os.urandom(6).hex()}"
        fd = self._create(temporary, os.O_WRONLY)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except BaseException:
            self.unlink(temporary)
            raise
        os.fsync(self._fd)

    def append(self, name: str, record: dict[str, Any]) -> None:
        """Add `record` as one line of JSON; lines of several writers never mix."""
        fd = self._ensure(name, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, json.dumps(record, separators=(",", ":")).encode() + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)

    def check(self, name: str) -> None:
        """Make the file if it is missing. Raises `OSError` when it cannot be appended to."""
        os.close(self._ensure(name, os.O_WRONLY | os.O_APPEND))

    def unlink(self, name: str) -> None:
        """Remove a name, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def hold(self, name: str, *, blocking: bool = False) -> int | None:
        """Return a descriptor that holds the file's lock, or None when another process does.

        A child that inherits the descriptor holds the lock too, until its copy is closed.
        """
        fd = self._ensure(name, os.O_RDWR)
        return fd if files.lock(fd, blocking=blocking) else None

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the file's lock for the block. It is free at once when the process dies."""
        fd = self.hold(name, blocking=True)
        assert fd is not None
        try:
            yield
        finally:
            os.close(fd)

    def is_held(self, name: str) -> bool:
        """Return whether a process holds the file's lock, or may: what cannot be opened counts as held."""
        try:
            return files.is_locked(self._open(name, os.O_RDONLY))
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def touched(self, name: str) -> float:
        """Return when the file was last changed, in seconds since 1970. Raises `FileNotFoundError`."""
        return os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mtime

    def _ensure(self, name: str, flags: int) -> int:
        with contextlib.suppress(FileNotFoundError):
            return self._open(name, flags)
        try:
            return self._create(name, flags)
        except FileExistsError:  # somebody was faster
            return self._open(name, flags)

    def _create(self, name: str, flags: int) -> int:
        fd = os.open(name, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, self._mode, dir_fd=self._fd)
        try:
            os.fchmod(fd, self._mode)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _open(self, name: str, flags: int) -> int:
        try:
            # A FIFO would keep us waiting for its other end.
            fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._fd)
        except OSError as error:
            raise self._strange(name) if error.errno in (errno.ELOOP, errno.ENXIO) else error from None
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            os.close(fd)
            raise self._strange(name)
        return fd

    def _strange(self, name: str) -> OSError:
        return OSError(errno.ELOOP, f"{self.path / name} is a link, or no plain file with one name")
