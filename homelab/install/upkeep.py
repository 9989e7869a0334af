"""Every command looks after the gate of its own clone: a hook of another version is renewed, one that was displaced is told of.

Tools that install their hooks by themselves (husky at every ``npm install``, lefthook when its file changes) take the gate out
without a word. The look costs a few small files; git is asked only where they leave a doubt.
"""

import contextlib
import os
from pathlib import Path

from homelab import output
from homelab.errors import HomelabError
from homelab.install import shim


def look_after_gate() -> None:
    """Renew the hook of the clone we are in, or warn in one line that the gate is not in force. Never fails."""
    with contextlib.suppress(OSError, HomelabError):
        common = _common_dir(Path.cwd())
        if common is not None and (common / "homelab" / "installed").exists() and not _is_well(common):
            _repair()


def _common_dir(folder: Path) -> Path | None:
    """Return the common git directory above a folder, read as git does but for what only git can know."""
    for place in (folder, *folder.parents):
        git = place / ".git"
        if git.is_file():
            git = place / os.fsdecode(git.read_bytes()).removeprefix("gitdir: ").rstrip("\n")
        if (git / "HEAD").exists():
            link = git / "commondir"
            return git / os.fsdecode(link.read_bytes()).rstrip("\n") if link.exists() else git
    return None


def _is_well(common: Path) -> bool:
    """Return whether a push meets the hook of this version in git's own folder, and no setting of the clone leads past it."""
    if b"hookspath" in (common / "config").read_bytes().lower():
        return False
    front, legacy = common / "hooks" / "pre-push", common / "hooks" / "pre-push.legacy"
    slot = legacy if shim.owner(front) in shim.FRAMEWORKS else front
    return shim.owner(slot) == "homelab" and shim.is_current(slot)


def _repair() -> None:
    from homelab.git.repository import discover
    from homelab.install import hooks_path, install, present

    repository = discover()
    status = present.status(repository)
    if status.ours is None and hooks_path.is_own(repository, hooks_path.place(repository)):
        status = install.install(repository)
        output.warn("note: the clone was moved and git ran no hook in it; the gate is in force again")
    if status.ours is None:
        what = status.chained[0] if status.chained else "no hook"
        output.warn(f"the gate was taken out of this clone: a push runs {what}; `homelab hooks install` puts it back")
    elif install.renew(repository):
        output.warn("note: the hook was written by another version of homelab, and is renewed")
