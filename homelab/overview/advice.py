"""The command to run now, by where one stands."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homelab.errors import HomelabError
from homelab.policy.config import NAME
from homelab.policy.states import Rules, State, Unknown, require_target
from homelab.worktrees.registry import Layout


def following(found: Mapping[str, Any], plan: Layout, rules: State) -> tuple[str | None, str | None]:
    """Return the command to run now and why, or None with a hint."""
    here, target = found["here"], found["target"]
    changes = here["changes"] or {}
    if target is None:
        return _to_a_target(rules)
    if here["operation"] or changes.get("conflicts"):
        return "git status", f"git {here['operation'] or 'merge'} is under way"
    has_file = (Path(here["path"] or plan.root) / NAME).exists()
    if target["verdict"] == "unverifiable":
        if not has_file:  # with commits of its own a branch could not land either
            return "homelab init", "nothing says yet how to verify this repository"
        if not here["ahead"]:
            return None, f"name a suite in {NAME}, commit and push it"
    if found["gate"] == "none":
        if not has_file and isinstance(rules, Rules) and rules.blob is None:
            return "homelab init", "it says what verifies this repository, and installs the gate"
        return "homelab hooks install", "no push from this clone is judged"
    if here["branch"] == target["branch"] or here["main"]:
        return _in_main(here, changes)
    return _in_linked(found, plan, changes)


def _to_a_target(rules: State) -> tuple[str | None, str | None]:
    if isinstance(rules, Unknown):
        return rules.repair, rules.reason
    try:
        require_target(rules)
    except HomelabError as error:
        return None, error.hint
    return None, None


def _in_main(here: Mapping[str, Any], changes: Mapping[str, int]) -> tuple[str | None, str | None]:
    if here["ahead"]:
        return ("git push", None) if here["verified"] else ("homelab verify", None)
    if changes.get("changed"):
        return "git status", "commit what belongs together"
    return None, "`homelab work start TOPIC` starts work"


def _in_linked(found: Mapping[str, Any], plan: Layout, changes: Mapping[str, int]) -> tuple[str | None, str | None]:
    here, topic = found["here"], found["here"]["topic"]
    if changes.get("changed") or changes.get("untracked"):
        return "git status", "commit what belongs to this work"
    if here["red"]:
        return "homelab log", f"{', '.join(here['red'])} was red for this very commit"
    if here["ahead"]:
        return "homelab work land", None
    if topic and here["landed"]:
        return f"cd {shlex.quote(str(plan.root))} && homelab work clean {shlex.quote(topic)}", "everything in it has landed"
    return None, "commit, then `homelab work land`"
