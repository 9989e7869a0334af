"""The events of a coding agent, each with its answer: its own worktree tool does what `work start` and `work clean` do.

An answer is what goes to the agent on stdout, or None. Which events are entered into an agent's settings is
`homelab.agents.given`'s.
"""

import contextlib
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from homelab import output
from homelab.claims.renewal import renew_own_leases
from homelab.errors import HomelabError, Usage
from homelab.git.repository import Repository, discover
from homelab.policy.rules import read_rules
from homelab.system import files
from homelab.worktrees import registry
from homelab.worktrees.registry import Layout


def answer(content: bytes) -> str | Path | None:
    """Return the answer to the event that `content` tells in JSON. Raises `Usage` for what is no event of ours."""
    try:
        event = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Usage(f"stdin is no JSON: {error}", hint="it is for a coding agent's hook, see `homelab init --agents`") from None
    if not isinstance(event, dict):
        raise Usage("stdin is no JSON object", hint="it is for a coding agent's hook, see `homelab init --agents`")
    name = event.get("hook_event_name")
    found = ANSWERS.get(name) if isinstance(name, str) else None
    if found is None:
        raise Usage(f"there is no answer to the event {output.line(str(name))}", hint=f"it answers {', '.join(ANSWERS)}")
    return found(event)


def _create_worktree(event: dict[str, Any]) -> Path:
    """Start work, and return the worktree's path."""
    from homelab.worktrees import start

    name = _text(event, "name", "worktree_name")
    return start.start(_repository(event), name).path


def _remove_worktree(event: dict[str, Any]) -> None:
    """Clean the worktree away when nothing would be lost. Raises `Refused` otherwise."""
    from homelab.worktrees import clean, remove

    path = Path(_text(event, "worktree_path")).resolve()
    plan = _layout(_repository(event))
    if not os.path.lexists(path) and not any(entry.path == path for entry in registry.registered(plan.repository)):
        return  # told twice: it is gone already
    os.chdir(plan.root)  # the agent stands in the worktree, which would be a reason to keep it
    clean.clean(plan.repository, [str(path)])
    remove.empty_trash(plan.repository)


def _name_session(event: dict[str, Any]) -> None:
    """Give the session's commands its name, which claims are held under."""
    name = _session(event)
    if file := os.environ.get("CLAUDE_ENV_FILE"):
        with Path(file).open("a") as stream:
            stream.write(f"export HOMELAB_SESSION={shlex.quote(name)}\n")


def _session(event: dict[str, Any]) -> str:
    return f"agent-{_text(event, 'session_id')}"


def _keep_leases(event: dict[str, Any]) -> None:
    """Renew the session's leases while the agent works, once a minute: it may run no command of ours for long."""
    os.environ["HOMELAB_SESSION"] = _session(event)
    renew_own_leases((), every=60)


def _tell_claims(event: dict[str, Any]) -> str | None:
    """Tell the agent what others hold now; nothing where no store answers, since a prompt must not wait for one."""
    from homelab.claims import operations

    os.environ["HOMELAB_SESSION"] = _session(event)
    try:
        held = operations.held_by_others(operations.store())
    except HomelabError:
        return None
    return "\n".join(["Claims of others, see `homelab claims`:", *held]) if held else None


def _release_leases(event: dict[str, Any]) -> None:
    """Free the leases of a session that is over."""
    from homelab.claims import operations

    os.environ["HOMELAB_SESSION"] = _session(event)
    with contextlib.suppress(HomelabError):  # they end by themselves
        operations.give_back(operations.store(), None)


def _permit(event: dict[str, Any]) -> str | None:
    """Let the agent enter a worktree that `work start` made; ask the person about everything else."""
    asked = event.get("tool_input")
    path = asked.get("path") if isinstance(asked, dict) else None
    if event.get("tool_name") != "EnterWorktree" or not (isinstance(path, str) and files.is_sound(path, str)):
        return None
    if not _is_started(_layout(_repository(event)), Path(path).resolve()):
        return None
    decision = {"hookEventName": "PermissionRequest", "decision": {"behavior": "allow"}}
    return json.dumps({"hookSpecificOutput": decision})


#: What is answered, by the event's name.
ANSWERS: dict[str, Callable[[dict[str, Any]], str | Path | None]] = {
    "WorktreeCreate": _create_worktree,
    "WorktreeRemove": _remove_worktree,
    "SessionStart": _name_session,
    "SessionEnd": _release_leases,
    "UserPromptSubmit": _tell_claims,
    "PostToolUse": _keep_leases,
    "PermissionRequest": _permit,
}


def _text(event: dict[str, Any], *names: str) -> str:
    for name in names:
        if (value := event.get(name)) and files.is_sound(value, str):
            return str(value)
    raise Usage(f"the event has no {' or '.join(names)} that can be used", hint="nothing was done; look at the agent's version")


def _repository(event: dict[str, Any]) -> Repository:
    place = os.environ.get("CLAUDE_PROJECT_DIR") or event.get("cwd")
    return discover(Path(place) if isinstance(place, str) and Path(place).is_dir() else None)


def _layout(repository: Repository) -> Layout:
    return registry.layout(repository, read_rules(repository, ask=False).config.work)


def _is_started(plan: Layout, path: Path) -> bool:
    """Return whether a path is a worktree in the place where `work start` makes it."""
    linked = [entry for entry in registry.registered(plan.repository) if not entry.is_main and not entry.missing]
    return any(entry.path == path and plan.path(plan.topic(entry) or "") == path for entry in linked)
