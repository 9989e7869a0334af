"""The records of labels while a transaction holds them, and what an event of the history says.

Every store has a ledger of its own; what is written into it is decided by `homelab.claims.stores.base`.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from homelab.claims.model import Claim, Holder, Ticket


class Ledger(Protocol):
    """The records of some labels while a transaction holds them."""

    def claims(self, label: str) -> list[Claim]:
        """Return the claims that stand; the dead have been removed, with an event."""

    def tickets(self, label: str) -> list[Ticket]:
        """Return who waits, first come first; the dead have been removed."""

    def number(self) -> int:
        """Return a number larger than any that these labels have seen."""

    def put(self, claim: Claim, seconds: float | None) -> Claim:
        """The claim stands, a lease for `seconds`; return it with its end."""

    def remove(self, claim: Claim) -> None:
        """The claim is gone."""

    def enqueue(self, ticket: Ticket) -> None:
        """The ticket waits."""

    def dequeue(self, ticket_id: str, label: str) -> None:
        """The ticket waits no more."""

    def event(self, document: dict[str, Any]) -> None:
        """The history ends with this event, which has happened now."""

    def now(self) -> str:
        """Return the present moment by the store's clock."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a request got: a claim for each label, of which `new` are its own. `grip` is inherited by the command."""

    claims: tuple[Claim, ...]
    new: tuple[Claim, ...]
    grip: int | None = None


def event(name: str, claim: Claim, *, by: Holder | None = None, reason: str | None = None) -> dict[str, Any]:
    """Return an event of the history: what happened to a claim, and by whom where that is not the holder."""
    return {
        "event": name,
        "label": claim.label,
        "id": claim.id,
        "mode": claim.mode,
        "binding": claim.binding,
        "fence": claim.fence,
        "purpose": claim.purpose,
        "holder": claim.holder.document(),
        "claimed_at": claim.claimed_at,
        "by": by and by.document(),
        "reason": reason,
    }
