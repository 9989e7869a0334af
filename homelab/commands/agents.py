"""``homelab agent-hook``, and what ``homelab init --agents`` shows and asks."""

import difflib
import sys
from pathlib import Path

import click

from homelab import output
from homelab.agents import given
from homelab.commands.verbs import allowed_unasked
from homelab.errors import Refused
from homelab.git.repository import discover, require_worktree


@click.command("agent-hook")
def hook() -> None:
    """Answer a hook of a coding agent, whose event stands on stdin as JSON.

    `homelab init --agents` enters it into the settings. WorktreeCreate starts work and prints the path, WorktreeRemove cleans
    it away when nothing would be lost, SessionStart gives the session its name for claims, UserPromptSubmit tells what others
    hold, PostToolUse renews leases, SessionEnd frees them, and PermissionRequest lets the agent enter a worktree that
    `homelab work start` made.
    """
    from homelab.agents import events

    said = events.answer(sys.stdin.buffer.read())
    if isinstance(said, Path):
        output.answer_path(said)
    elif said is not None:
        output.answer(said)


def enter(*, yes: bool, remove: bool, as_json: bool) -> None:
    """Write what agents need, or take it out, once the person has seen and confirmed it. Raises `Refused` otherwise."""
    root = require_worktree(discover())
    wanted = [change for change in given.changes(root, allowed_unasked(), remove=remove) if change.is_needed]
    for change in wanted:
        _show(change, root)
    if wanted and not yes and not _confirmed():
        raise Refused("nothing was written: it was not confirmed", hint="answer y, or give --yes")
    for change in wanted:
        given.write(change)
    names = [str(change.path.relative_to(root.resolve())) for change in wanted]
    if as_json:
        output.answer_json({"ok": True, "changed": names, "removed": remove})
    elif names:
        output.answer("\n".join(names))
        output.say("commit what you like of it; `homelab init --agents --remove` takes it out again")
    else:
        output.say("there is nothing to change")


def _show(change: given.Change, root: Path) -> None:
    name = str(change.path.relative_to(root.resolve()))
    before, after = (content.decode().splitlines() if content else [] for content in (change.before, change.after))
    output.quote("\n".join(difflib.unified_diff(before, after, name, name, lineterm="")))


def _confirmed() -> bool:
    output.warn("write this? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
