"""Which file system a path is on, and whether its locks exclude everybody who could write there."""

import os
import sys
from pathlib import Path

# Locks on these do not exclude across clients or mounts, or not at all: measured on bindfs, documented for the others.
# Several are written by other machines, or hand locks on to a program (fuse, 9p, virtiofs, vboxsf, prl_fs).
_UNTRUSTED = ("nfs", "cifs", "smb", "9p", "fuse", "afs", "ceph", "lustre", "glusterfs", "virtiofs", "vboxsf", "prl_fs")


def kind(path: Path) -> str:
    """Return the kind of file system a path is on, empty where the system does not say."""
    if not sys.platform.startswith("linux"):
        return ""
    try:
        device = path.stat().st_dev
        rows = Path("/proc/self/mountinfo").read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for row in reversed(rows):
        left, _, right = row.partition(" - ")
        if left.split()[2] == wanted:
            return right.split()[0]
    return ""


def untrusted(path: Path) -> str:
    """Return the kind of a file system whose locks cannot be trusted, empty for all others."""
    found = kind(path)
    return found if found.startswith(_UNTRUSTED) else ""
