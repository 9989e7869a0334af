"""Files that take what a command says: readable by their owner, bounded in size, and never somebody else's file.

A suite may print a token, and two gigabytes. Where a repository belongs to several users (`files.share`) its logs do too.
"""

import contextlib
import os
import stat
from pathlib import Path

from homelab.system import files

#: A log that has grown past this many bytes loses its middle.
MOST = 64 << 20
_HEAD, _TAIL = 1 << 20, 4 << 20


def create(log: Path, *, private: bool = False) -> int:
    """Return a descriptor that appends to a new, empty log; a `private` one is not shared. Raises `OSError`."""
    mode = files.default_mode()
    log.parent.mkdir(parents=True, exist_ok=True, mode=mode | (mode & 0o444) >> 2)
    mode &= 0o600 if private else mode
    # Appending, so that a command that opens /dev/stdout anew does not write over its own first lines.
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(log, flags, mode)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        with contextlib.suppress(OSError):  # an old log of another user, where a repository is shared
            os.fchmod(fd, mode)
    return fd


def bound(fd: int) -> None:
    """Keep the beginning and the end of a log that has grown too large, while others go on appending to it."""
    size = os.fstat(fd).st_size
    if size <= MOST:
        return
    with contextlib.suppress(OSError):
        kept = b"\n... %d bytes are left out here ...\n" % (size - _HEAD - _TAIL) + os.pread(fd, _TAIL, size - _TAIL)
        # What is appended between these two lines comes before what is kept, or is lost: better than a full disk.
        os.ftruncate(fd, _HEAD)
        while kept:
            kept = kept[os.write(fd, kept) :]
