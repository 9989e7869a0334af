"""Who asks: the user, and the session, which is what an agent says, else the linked worktree, else user@host.

Identity is cooperative: it keeps honest sessions apart and stops no one who lies.
"""

import os
from pathlib import Path
from typing import NamedTuple

from homelab.claims.model import Claim, Holder
from homelab.system import proc
from homelab.system.identity import host, machine, plain, user


class Linked(NamedTuple):
    """A linked worktree: its root, and the folder that git keeps for it, whose name outlives a move."""

    root: Path
    git_dir: Path


def holder(*, one_machine: bool) -> Holder:
    """Return who asks, from here and now, in a store of one machine or of many.

    The session's text is for people. What makes two sessions the same survives a moved worktree and a renamed host.
    """
    name, here = plain(os.environ.get("HOMELAB_SESSION", "")).strip(), f"{user()}@{host()}"
    if name:
        return Holder(user(), host(), name, os.getpid())
    if linked := linked_worktree():
        key = plain(f"worktree {linked.git_dir.name} {_inode(linked.git_dir)} {machine()}")
        return Holder(user(), host(), plain(str(linked.root)), os.getpid(), key)
    return Holder(user(), host(), here, os.getpid(), "the user" if one_machine else "")


def session() -> str:
    """Return ``HOMELAB_SESSION``, else the root of the linked worktree in which we stand, else user@host."""
    return holder(one_machine=True).session


def linked_worktree(cwd: Path | None = None) -> Linked | None:
    """Return the linked worktree around `cwd`, for a submodule that of its superproject, or None. Starts no process."""
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
        return _named(folder, Path(os.path.normpath(folder / text.removeprefix("gitdir:").strip())))
    return None


def _named(folder: Path, git_dir: Path) -> Linked | None:
    """Return the linked worktree that a git directory belongs to: it is ``…/worktrees/NAME``, or a submodule's below that."""
    for place in (git_dir, *git_dir.parents):
        # A submodule may be called `worktrees/x`, and has objects of its own; a folder of that name may be anywhere above.
        above = place.parent.parent
        is_kept = above.name == ".git" or (above / "HEAD").exists()
        if place.parent.name == "worktrees" and is_kept and not (place / "objects").exists():
            return Linked(folder if place == git_dir else _root(place) or folder, place)
    return None


def _root(git_dir: Path) -> Path | None:
    try:
        return (git_dir / (git_dir / "gitdir").read_text("utf-8", errors="surrogateescape").strip()).parent
    except OSError:
        return None


def _inode(git_dir: Path) -> int:
    # Two clones may have a worktree of the same name.
    try:
        return git_dir.stat().st_ino
    except OSError:
        return 0


def claim_id() -> str | None:
    """Return the claim that our environment says we run under."""
    return os.environ.get("HOMELAB_CLAIM_ID") or None


def is_inside(claim: Claim) -> bool:
    """Return whether we run in the tree of the claim's command and carry its id."""
    if claim.id != claim_id() or claim.keeper is None:
        return False
    return proc.descends_from(claim.keeper)
