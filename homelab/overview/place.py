"""Where one stands: the worktree around us, what is uncommitted in it, and what is known of its commit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from homelab.git.repository import Repository
from homelab.overview import trees
from homelab.verify.remembered import Memory, Verdict
from homelab.worktrees import heads, landed, registry
from homelab.worktrees.heads import Head
from homelab.worktrees.registry import Layout, Worktree

#: How many files are changed, untracked and in conflict; None where git cannot say.
Changes = dict[str, int] | None


def changes(repository: Repository) -> Callable[[], Changes]:
    """Begin to look at the worktree, which takes longest of all; return what waits for the answer."""
    if repository.worktree is None:
        return lambda: None
    ended = repository.begin("status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal")

    def counted() -> Changes:
        done = ended()
        if done.returncode:
            return None
        states = [field[:2] for field in done.stdout.decode(errors="replace").split("\0") if field]
        conflicts = sum("U" in state or state in ("AA", "DD") for state in states)
        untracked = states.count("??")
        return {"changed": len(states) - untracked - conflicts, "untracked": untracked, "conflicts": conflicts}

    return counted


def here(
    repository: Repository, plan: Layout, entries: Sequence[Worktree], tips: Mapping[str, Head], changes: Changes
) -> dict[str, Any]:
    """Return the worktree around us as the document has it; what is judged of its commit is still unknown."""
    at = repository.worktree.resolve() if repository.worktree else None
    entry = next((one for one in entries if at and (plan.root if one.is_main else one.path).resolve() == at), None)
    head = tips.get(entry.head) if entry and entry.head else None
    return {
        "path": str(at) if at else None,
        "main": bool(entry and entry.is_main),
        "topic": plan.topic(entry) if entry else None,
        "branch": entry.branch if entry else None,
        "head": entry.head if entry else None,
        **heads.words(head),
        "ahead": head.ahead if head else None,
        "changes": changes,
        "operation": next(iter(registry.under_way(repository)), None),
        "verified": None,
        "red": [],
        "red_before": [],
    }


def judged(here: Mapping[str, Any], memory: Memory, journal: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is remembered of the commit that one stands on. Raises `HomelabError` where its rules cannot be read."""
    if here["head"] is None:
        return {}
    found = memory.of(here["head"], is_new=bool(here["ahead"]))
    is_green = found.verdict is Verdict.GREEN
    red = [] if is_green else list(found.red) or trees.not_landed(here["head"], journal)
    return {"verified": is_green, "red": red, "red_before": list(found.red_before)}


def has_landed(repository: Repository, target: str | None, here: Mapping[str, Any]) -> bool:
    """Return whether the branch had commits of its own, all of which are on the target: else it is fresh."""
    if not target or not here["branch"] or not here["head"] or here["ahead"] != 0:
        return False
    return landed.begun(repository, target, here["branch"], here["head"])
