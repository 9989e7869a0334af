"""The records of some labels while a transaction holds them: what every store lets be read and changed there."""

from typing import Any, Protocol

from homelab.claims.model import Claim, Holder, Ticket


class Ledger(Protocol):
    """The records of some labels while a transaction holds them. Every store has one of its own."""

    def claims(self, label: str) -> list[Claim]:
        """Return the live claims. The dead are removed, with an event."""

    def tickets(self, label: str) -> list[Ticket]:
        """Return who waits, first come first. The dead are removed."""

    def number(self) -> int:
        """Return a number larger than any that these labels have seen."""

    def put(self, claim: Claim, seconds: float | None) -> Claim:
        """Write the claim, a lease for `seconds` from now. Return it with its end."""

    def remove(self, claim: Claim) -> None:
        """Remove the claim."""

    def enqueue(self, ticket: Ticket) -> None:
        """Add a place to the queue of its label."""

    def dequeue(self, ticket_id: str, label: str) -> None:
        """Remove a place from the queue of the label."""

    def event(self, document: dict[str, Any]) -> None:
        """Append an event to the history, at the present moment."""

    def now(self) -> str:
        """Return the present moment by the store's clock."""


def event(name: str, claim: Claim, *, by: Holder | None = None, reason: str | None = None) -> dict[str, Any]:
    """Return an event of the history: what happened to a claim, and by whom where that is not the holder."""
    fields = ("label", "mode", "binding", "fence", "purpose", "holder", "claimed_at")
    document = claim.document()
    shown = {name: document[name] for name in fields}
    return {"event": name, "id": claim.id, **shown, "by": by and by.document(), "reason": reason}
