"""The board: all claims as a table for people."""

from collections.abc import Sequence

from homelab import output
from homelab.claims import words
from homelab.claims.model import ORPHANED, Claim


def table(claims: Sequence[Claim]) -> str:
    """Return the claims as lines, with who waits for each below it."""
    if not claims:
        return "nothing is claimed"
    rows = [("LABEL", "HOLDER", "CLAIMED", "UNTIL", "PURPOSE")]
    notes: list[list[str]] = [[]]
    for claim in claims:
        label = claim.label + (" (shared)" if claim.mode == "shared" else "")
        rows.append((label, words.person(claim), output.ago(claim.claimed_at), _until(claim), output.line(claim.purpose)))
        notes.append([f"  {n}. {words.waiter(ticket)}" for n, ticket in enumerate(claim.waiting, 1)])
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for row, below in zip(rows, notes, strict=True):
        lines.append("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]).rstrip())
        lines += below
    return "\n".join(lines)


def _until(claim: Claim) -> str:
    if claim.state == ORPHANED:
        return f"orphaned{words.pids(claim)}"
    if claim.binding == "process":
        return "command ends"
    return "?" if claim.damaged is not None else f"{output.duration(claim.left or 0)} left"
