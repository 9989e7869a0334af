"""Which git there is, and whether it is new enough."""

import re

from homelab.errors import Failed
from homelab.system import process

MINIMUM = (2, 39)


def git_version() -> tuple[int, ...]:
    """Return the version of the git program, as (2, 39, 5)."""
    done = process.complete(["git", "--version"])
    found = re.search(rb"(\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)


def require_version() -> None:
    """Refuse a git program that is too old. Raises `Failed`."""
    found = git_version()
    if found < MINIMUM:
        raise Failed(
            f"git {'.'.join(map(str, found))} is too old: homelab needs 2.39 for `git patch-id --verbatim`",
            hint="install a newer git",
        )
