"""The worktrees as a status and a listing show them: each with its state, in words too, and its place in the queue."""

from collections.abc import Mapping, Sequence
from typing import Any

from homelab import output
from homelab.git.repository import discover
from homelab.landing.journal import Journal
from homelab.landing.queue import Queue
from homelab.worktrees import heads
from homelab.worktrees.heads import Head
from homelab.worktrees.registry import Layout, Worktree

#: Landings at the journal's end that are looked at.
LANDINGS = 200


def row(
    plan: Layout,
    entry: Worktree,
    tips: Mapping[str, Head],
    queue: Sequence[Mapping[str, Any]],
    journal: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a worktree as the document has it."""
    head = tips.get(entry.head) if entry.head else None
    return {
        "topic": plan.topic(entry),
        "branch": entry.branch,
        "path": str(plan.root if entry.is_main else entry.path),
        "main": entry.is_main,
        "head": entry.head,
        **heads.words(head),
        "ahead": head.ahead if head else None,
        "missing": entry.missing,
        "locked": entry.lock,
        "landing": next((row["position"] for row in queue if entry.branch and row["branch"] == entry.branch), None),
        "red": not_landed(entry.head, journal),
    }


def rows() -> list[dict[str, Any]]:
    """Return every worktree as `homelab work list` has it: slower than the document's, with all that has to be asked."""
    from dataclasses import asdict

    from homelab.worktrees import status

    repository = discover()
    waiting, journal = Queue(repository.state).rows(), Journal(repository.state).recent(LANDINGS)
    places = {row["branch"]: row["position"] for row in waiting if row["branch"]}
    return [
        {
            **asdict(row),
            "path": str(row.path),
            "landing": places.get(row.branch or ""),
            "red": [] if row.verified else row.red or not_landed(row.head, journal),
        }
        for row in status.rows(repository)
    ]


def state(row: Mapping[str, Any]) -> str:
    """Return in words how a worktree of the document, or of `rows`, stands."""
    if row["missing"]:
        return "its folder is gone"
    if row["landing"] is not None:
        return "landing" if row["landing"] == 0 else f"waits to land, {row['landing']} ahead of it"
    claimed, has_landed = row.get("claims") or (), row.get("landed") and not row["main"]
    is_red = row["red"] and not has_landed
    # What is read first is what somebody has to act on: a narrow terminal cuts the end off.
    parts = (
        "landed" if has_landed else "",
        "no commit yet" if row.get("fresh") and not row["main"] else "",
        f"red: {output.names(row['red'], 3)}" if is_red else "",
        f"{row['ahead']} ahead" if row["ahead"] else "",
        "verified" if row.get("verified") and row["ahead"] and not is_red else "",
        f"{row['behind']} behind" if row.get("behind") and not has_landed else "",
        "uncommitted changes" if row.get("dirty") else "",
        f"touches {output.names(claimed, 3)}, which {'is' if len(claimed) == 1 else 'are'} claimed" if claimed else "",
        (f"locked ({row['locked']})" if row["locked"] else "locked") if row["locked"] is not None else "",
    )
    unknown = "unknown" if row["ahead"] is None else "as the target"
    return ", ".join(part for part in parts if part) or unknown


def not_landed(head: str | None, journal: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the suites for which this very head was not landed; none where it was never tried, or landed."""
    for row in reversed(journal) if head else ():
        if row.get("head") == head:
            return red_suites(row) if row.get("status") == "failed" else []
    return []


def red_suites(landing: Mapping[str, Any]) -> list[str]:
    """Return the names of the suites that a landing of the journal was red for."""
    names = [row.get("name", "?") for row in landing.get("suites") or () if row.get("result") in ("failed", "timeout")]
    return list(dict.fromkeys(map(str, names)))
