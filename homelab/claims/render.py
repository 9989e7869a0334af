"""The board: all claims as a table for people, live on a terminal, and what became of claims."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from homelab import output
from homelab.claims import words
from homelab.claims.model import ORPHANED, Claim
from homelab.claims.stores.base import Store


def table(claims: Sequence[Claim]) -> str:
    """Return the claims as lines, with who waits for each below it."""
    if not claims:
        return "nothing is claimed"
    rows: list[tuple[str, ...]] = [("LABEL", "HOLDER", "CLAIMED", "UNTIL", "PURPOSE")]
    notes: list[list[str]] = [[]]
    for claim in claims:
        label = claim.label + (" (shared)" if claim.mode == "shared" else "")
        rows.append((label, words.person(claim), output.ago(claim.claimed_at), _until(claim), output.line(claim.purpose)))
        notes.append([f"  {n}. {words.waiter(ticket)}" for n, ticket in enumerate(claim.waiting, 1)])
    lines = _columns(rows)
    return "\n".join(line for row, below in zip(lines, notes, strict=True) for line in (row, *below))


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return ["  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip() for row in rows]


def _until(claim: Claim) -> str:
    if claim.state == ORPHANED:
        return f"orphaned{words.pids(claim)}"
    if claim.binding == "process":
        return "command ends"
    return "?" if claim.damaged is not None else f"{output.duration(claim.left or 0)} left"


def events(found: Sequence[dict[str, Any]]) -> str:
    """Return events as lines, newest last."""
    if not found:
        return "nothing has happened yet"
    rows: list[tuple[str, ...]] = [("WHEN", "WHAT", "LABEL", "FENCE", "HOLDER", "PURPOSE")]
    for event in found:
        holder = event.get("holder") or {}
        who = f"{holder.get('user', '?')} ({holder.get('session', '?')})"
        by = f" (by {event['by'].get('user')}: {event.get('reason')})" if event.get("by") else ""
        cells = (event.get("event", "?"), event.get("label", "?"), event.get("fence", "?"), who)
        what = f"{event.get('purpose', '')}{by}"
        rows.append((_when(event), *(output.line(str(cell)) for cell in (*cells, what))))
    return "\n".join(_columns(rows))


def _when(event: dict[str, Any]) -> str:
    try:
        return output.ago(event["at"])
    except (KeyError, TypeError, ValueError):
        return "?"


def since(found: Sequence[dict[str, Any]], seconds: int | None) -> list[dict[str, Any]]:
    """Return the events of the last `seconds`, all where that is None."""
    if seconds is None:
        return list(found)
    first = time.time() - seconds
    return [event for event in found if datetime.fromisoformat(event["at"]).timestamp() >= first]


def watch(store: Store, *, as_json: bool) -> None:
    """Show the board whenever it changes, until a signal ends it."""

    def look() -> tuple[object, str]:
        claims = store.board()
        return [claim.document() for claim in claims], table(claims)

    output.watch(look, as_json=as_json)
