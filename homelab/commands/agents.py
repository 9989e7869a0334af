"""``homelab agent-hook`` and ``homelab init --agents``: a coding agent's own worktree tool does what `work start` does."""

import difflib
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from homelab import agents, output
from homelab.commands.verbs import allowed_unasked
from homelab.errors import Refused, Usage
from homelab.git import repository as git
from homelab.policy import policy
from homelab.worktrees import registry


@click.command("agent-hook")
def hook() -> None:
    """Answer a hook of a coding agent, whose event stands on stdin as JSON.

    `homelab init --agents` enters it into the settings. WorktreeCreate starts work and prints the path, WorktreeRemove cleans
    it away when nothing would be lost, SessionStart gives the session its name for claims, and PermissionRequest lets the agent
    enter a worktree that `homelab work start` made.
    """
    payload = _payload()
    event = payload.get("hook_event_name")
    answer = _ANSWERS.get(event) if isinstance(event, str) else None
    if answer is None:
        raise Usage(f"there is no answer to the event {output.line(str(event))}", hint=f"it answers {', '.join(_ANSWERS)}")
    answer(payload)


def _payload() -> dict[str, Any]:
    try:
        payload = json.loads(sys.stdin.buffer.read())
    except ValueError as error:
        raise Usage(f"stdin is no JSON: {error}", hint="it is for a coding agent's hook, see `homelab init --agents`") from None
    if not isinstance(payload, dict):
        raise Usage("stdin is no JSON object", hint="it is for a coding agent's hook, see `homelab init --agents`")
    return payload


def _text(payload: dict[str, Any], *names: str) -> str:
    for name in names:
        if isinstance(value := payload.get(name), str) and value:
            return value
    raise Usage(f"the event has no {' or '.join(names)}", hint="nothing was done; look at the agent's version")


def _repository(payload: dict[str, Any]) -> git.Repository:
    place = os.environ.get("CLAUDE_PROJECT_DIR") or payload.get("cwd")
    return git.discover(Path(place) if isinstance(place, str) and Path(place).is_dir() else None)


def _create(payload: dict[str, Any]) -> None:
    from homelab.worktrees import start

    name, repository = _text(payload, "name", "worktree_name"), _repository(payload)
    output.answer(str(start.start(repository, name).path))


def _remove(payload: dict[str, Any]) -> None:
    from homelab.worktrees import clean
    from homelab.worktrees import remove as removal

    path, repository = Path(_text(payload, "worktree_path")), _repository(payload)
    os.chdir(registry.layout(repository, policy.aim(repository, ask=False).config.work).root)
    clean.clean(git.discover(), [str(path.resolve())])
    removal.empty_trash(repository)


def _session(payload: dict[str, Any]) -> None:
    name = f"agent-{_text(payload, 'session_id')}"
    if file := os.environ.get("CLAUDE_ENV_FILE"):
        with Path(file).open("a") as stream:
            stream.write(f"export HOMELAB_SESSION={shlex.quote(name)}\n")


def _permit(payload: dict[str, Any]) -> None:
    asked = payload.get("tool_input")
    path = asked.get("path") if isinstance(asked, dict) else None
    if payload.get("tool_name") == "EnterWorktree" and isinstance(path, str) and _is_ours(_repository(payload), Path(path)):
        decision = {"hookEventName": "PermissionRequest", "decision": {"behavior": "allow"}}
        output.answer(json.dumps({"hookSpecificOutput": decision}))


def _is_ours(repository: git.Repository, path: Path) -> bool:
    """Tell whether a path is a worktree that stands where `work start` would make it."""
    aim = policy.aim(repository, ask=False)
    plan = registry.layout(repository, aim.config.work)
    linked = [entry for entry in registry.registered(repository) if not entry.is_main and not entry.missing]
    return any(entry.path == path.resolve() and plan.path(plan.topic(entry) or "") == entry.path for entry in linked)


_ANSWERS = {"WorktreeCreate": _create, "WorktreeRemove": _remove, "SessionStart": _session, "PermissionRequest": _permit}


def enter(*, yes: bool, remove: bool, as_json: bool) -> None:
    """The repository has what agents need, or no longer has it, once the person has seen and confirmed it."""
    root = git.require_worktree(git.discover())
    wanted = [change for change in agents.changes(root, allowed_unasked(), remove=remove) if change.is_needed]
    for change in wanted:
        _show(change, root)
    if wanted and not yes and not _confirmed():
        raise Refused("nothing was written: it was not confirmed", hint="answer y, or give --yes")
    for change in wanted:
        agents.write(change)
    names = [str(change.path.relative_to(root.resolve())) for change in wanted]
    if as_json:
        output.answer_json({"ok": True, "changed": names, "removed": remove})
    elif names:
        output.answer("\n".join(names))
        output.say("commit what you like of it; `homelab init --agents --remove` takes it out again")
    else:
        output.say("there is nothing to change")


def _show(change: agents.Change, root: Path) -> None:
    name = str(change.path.relative_to(root.resolve()))
    before, after = (content.decode().splitlines() if content else [] for content in (change.before, change.after))
    output.quote("\n".join(difflib.unified_diff(before, after, name, name, lineterm="")))


def _confirmed() -> bool:
    output.warn("write this? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
