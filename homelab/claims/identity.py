"""Who asks: the user, and the session, which is what an agent says, else the linked worktree, else user@host.

Identity is cooperative: it keeps honest sessions apart and stops no one who lies.
"""

import os
from pathlib import Path

from homelab.claims.model import Claim, Holder
from homelab.system import proc
from homelab.system.identity import host, plain, user


def holder() -> Holder:
    """Return who asks, from here and now."""
    return Holder(user(), host(), session(), os.getpid())


def session() -> str:
    """Return ``HOMELAB_SESSION``, else what names the linked worktree in which we stand, else user@host."""
    named = plain(os.environ.get("HOMELAB_SESSION", "")).strip()
    if named:
        return named
    here = f"{user()}@{host()}"
    linked = linked_worktree()
    return plain(f"{here}:{linked}") if linked else here


def linked_worktree(cwd: Path | None = None) -> Path | None:
    """Return the root of the linked worktree around `cwd`, or None. Reads one file and starts no process."""
    try:
        here = cwd or Path.cwd()
    except OSError:
        return None
    for folder in (here, *here.parents):
        entry = folder / ".git"
        if entry.is_dir():
            return None
        try:
            text = entry.read_text("utf-8", errors="surrogateescape")
        except OSError:
            continue
        # A submodule's file leads to …/modules/NAME, a linked worktree's to …/worktrees/NAME.
        names = text.removeprefix("gitdir:").strip().split("/")
        return folder if names[-2:-1] == ["worktrees"] else None
    return None


def claim_id() -> str | None:
    """Return the claim that our environment says we run under."""
    return os.environ.get("HOMELAB_CLAIM_ID") or None


def is_inside(claim: Claim) -> bool:
    """Tell whether we run in the tree of the claim's command and carry its id."""
    if claim.id != claim_id() or claim.keeper is None:
        return False
    return proc.descends_from(claim.keeper)
