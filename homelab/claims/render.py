"""Claims in words for people: the board as a table, who is in the way, what became of claims.

Nothing here asks a store. Whatever came from a record passes through `output.line`, so no control character is printed.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from homelab import output
from homelab.claims.model import Binding, Blocked, Board, Claim, Mode, State, Ticket
from homelab.system import identity, proc


def person(claim: Claim | Ticket) -> str:
    """Return who it is: ``ada on vm (session agent-1)``."""
    holder = claim.holder
    own = holder.session == f"{holder.user}@{holder.host}"
    return output.line(f"{holder.user} on {holder.host}" + ("" if own else f" (session {holder.session})"))


def until(claim: Claim) -> str:
    """Return when the claim ends."""
    if claim.damaged is not None:
        return "until somebody looks at it"
    if claim.binding is Binding.PROCESS:
        gone = f", whose homelab is gone{pids(claim)}" if claim.state is State.ORPHANED else ""
        silent = f", {_silence(claim)}" if claim.expires_at else ""
        return f"until its command ends{gone}{silent}"
    return f"for another {output.duration(claim.left or 0)}"


def held(claim: Claim) -> str:
    """Return one sentence: who holds what, since when, until when, why."""
    if claim.damaged is not None:
        return damage(claim)
    mode = "" if claim.mode is Mode.EXCLUSIVE else " shared" if claim.mode is Mode.SHARED else " (advisory)"
    since = output.ago(claim.claimed_at)
    purpose = output.line(claim.purpose)
    return f"{claim.label} is held{mode} by {person(claim)}, claimed {since}, {until(claim)}: {purpose}"


def pids(claim: Claim) -> str:
    """Return the surviving processes with their commands, where this machine shows them."""
    here = claim.holder.host == identity.host()
    shown = [f"{pid} {output.line(proc.command(pid))[:60] if here else ''}".strip() for pid in claim.pids[:5]]
    more = f", and {len(claim.pids) - 5} more" if len(claim.pids) > 5 else ""
    return f" (pid {', '.join(shown)}{more})" if shown else ""


def _silence(claim: Claim) -> str:
    return f"free in {output.duration(claim.left or 0)} if nobody answers for it"


def damage(claim: Claim) -> str:
    """Return what is wrong with a damaged record."""
    return f"the record of {output.line(claim.label)} cannot be trusted: {claim.damaged}"


def steal_hint(claim: Claim) -> str:
    """Return the hint that names the command to take a claim."""
    return f"`homelab claims steal {output.line(claim.label)} --reason TEXT` takes it, and says so in the history"


def blocked(found: Blocked) -> str:
    """Return what is in the way, a sentence each."""
    lines = [held(claim) for claim in found.claims]
    lines += [f"{output.line(ticket.label)} is waited for by {waiter(ticket)}" for ticket in found.tickets]
    return "\n".join(dict.fromkeys(lines))


def in_front(found: Blocked) -> str:
    """Return who is directly in the way of one who waits, in a few words."""
    if found.tickets:
        ticket = found.tickets[-1]
        return f"{output.line(ticket.label)} goes to {person(ticket)} first"
    claim = found.claims[0]
    if claim.damaged is not None:
        return damage(claim)
    return f"{claim.label} is held by {person(claim)}, {until(claim)}: {output.line(claim.purpose)}"


def waiter(ticket: Ticket) -> str:
    """Return who waits, since when and why."""
    pid = f", pid {ticket.holder.pid}" if ticket.holder.pid else ""
    return f"{person(ticket)}{pid}, who came {output.ago(ticket.since)}: {output.line(ticket.purpose)}"


def table(board: Board, place: str) -> str:
    """Return the board of a store as lines, with who waits for each label below it."""
    if not board.claims and not board.wanted:
        return f"nothing is claimed in {output.line(place)}"
    rows: list[tuple[str, ...]] = []
    notes: list[list[str]] = [[]]
    for claim in board.claims:
        label = claim.label + ("" if claim.mode is Mode.EXCLUSIVE else f" ({claim.mode})")
        rows.append((label, person(claim), output.ago(claim.claimed_at), _ends(claim), claim.purpose))
        notes.append(_queue(claim.waiting))
    for wanted in board.wanted:
        rows.append((wanted.label, "nobody yet", "", "", ""))
        notes.append(_queue(wanted.waiting))
    shown = output.columns(("LABEL", "HOLDER", "CLAIMED", "UNTIL", "PURPOSE"), rows, colours={"UNTIL": output.verdict_colour})
    lines = [line for row, below in zip(shown, notes, strict=True) for line in (row, *below)]
    return "\n".join([*lines, f"in {output.line(place)}"])


def _queue(waiting: Sequence[Ticket]) -> list[str]:
    return [f"  {n}. {waiter(ticket)}" for n, ticket in enumerate(waiting, 1)]


def _ends(claim: Claim) -> str:
    if claim.damaged is not None:
        return "?"
    if claim.state is State.ORPHANED:
        return f"orphaned{pids(claim)}" + (f", {_silence(claim)}" if claim.expires_at else "")
    return "command ends" if claim.binding is Binding.PROCESS else f"{output.duration(claim.left or 0)} left"


def history(events: Iterable[dict[str, Any]]) -> str:
    """Return events as lines, newest last."""
    rows: list[tuple[str, ...]] = []
    for event in events:
        holder, by = _mapping(event.get("holder")), _mapping(event.get("by"))
        who = f"{holder.get('user', '?')} ({holder.get('session', '?')})"
        why = f" (by {by.get('user', '?')}: {event.get('reason')})" if by else ""
        fence = event.get("fence", "?")
        cells = (event.get("event", "?"), event.get("label", "?"), "" if fence is None else fence, who)
        what = f"{event.get('purpose', '')}{why}"
        when = "?" if _moment(event) is None else output.ago(event["at"])
        rows.append((when, *map(str, (*cells, what))))
    if not rows:
        return "nothing has happened yet"
    return "\n".join(output.columns(("WHEN", "WHAT", "LABEL", "FENCE", "HOLDER", "PURPOSE"), rows))


def _mapping(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _moment(event: dict[str, Any]) -> float | None:
    """Return when an event happened; None where its record does not say."""
    try:
        return datetime.fromisoformat(event["at"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def since(events: Iterable[dict[str, Any]], seconds: int | None) -> list[dict[str, Any]]:
    """Return the events of the last `seconds`, all where that is None."""
    first = None if seconds is None else time.time() - seconds
    return [event for event in events if first is None or ((at := _moment(event)) is not None and at >= first)]
