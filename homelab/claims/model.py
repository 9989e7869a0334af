"""A claim as a value, and the decision who may have one. Nothing here reads a clock, a file or a process.

Invariant: an exclusive claim has its label to itself. The only company it may have is the lease of its own session, under
which a command of that session runs, and advisory claims, which exclude nobody.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from homelab.claims.labels import around
from homelab.system.proc import Process

#: A lease without `--for`, in seconds.
LEASE = 900

#: What is wrong with a record that only a newer homelab understands.
NEWER = "it was made by a newer homelab"


class Mode(StrEnum):
    """Whom a claim keeps out."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"
    #: Nobody: it only shows who works there.
    ADVISORY = "advisory"


class Binding(StrEnum):
    """What ends a claim: time, or the end of the process that it was taken for."""

    LEASE = "lease"
    PROCESS = "process"


class State(StrEnum):
    """Whether the homelab that took a claim still lives."""

    HELD = "held"
    ORPHANED = "orphaned"


class Holder(NamedTuple):
    """Who holds or asks: the user and the session are the identity, host and pid are for people."""

    user: str
    host: str
    session: str
    pid: int
    #: What names the session beyond its text, where something better is known.
    key: str = ""

    def is_same(self, other: "Holder") -> bool:
        """Return whether both are the same session of the same user."""
        if self.key and other.key:
            return (self.user, self.key) == (other.user, other.key)
        return (self.user, self.session) == (other.user, other.session)

    def document(self) -> dict[str, Any]:
        """Return the holder as listings write it."""
        return {"user": self.user, "host": self.host, "session": self.session, "pid": self.pid}


class Ticket(NamedTuple):
    """A place in the queue of one label."""

    id: str
    number: int
    label: str
    mode: Mode
    holder: Holder
    purpose: str
    since: str

    def document(self) -> dict[str, Any]:
        """Return the waiter as listings write it."""
        return {**self.holder.document(), "mode": self.mode, "purpose": self.purpose, "since": self.since}


class Claim(NamedTuple):
    """One label held by one session. `damaged` says why its record cannot be trusted; it then admits nobody."""

    id: str
    label: str
    mode: Mode
    binding: Binding
    purpose: str
    holder: Holder
    fence: int
    claimed_at: str
    #: When a lease ends; None while a command holds it.
    expires_at: str | None
    #: What a lease is renewed by, in seconds.
    duration: int | None = None
    #: A lease with an end that `--for` set; only `claims renew` moves it.
    fixed: bool = False
    #: How many seconds a lease has left.
    left: float | None = None
    state: State = State.HELD
    #: The process below which the claim's command and all its descendants live.
    keeper: Process | None = None
    #: The claims under which the command itself was started.
    outer: tuple[str, ...] = ()
    waiting: tuple[Ticket, ...] = ()
    damaged: str | None = None
    #: The processes that keep an orphaned claim, as far as this machine shows them.
    pids: tuple[int, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the claim as listings write it, the same from every store."""
        return {
            "label": self.label,
            "mode": self.mode,
            "binding": self.binding,
            "state": self.state,
            "purpose": self.purpose,
            "holder": self.holder.document(),
            "fence": self.fence,
            "claimed_at": self.claimed_at,
            "expires_at": self.expires_at,
            "waiting": [ticket.document() for ticket in self.waiting],
        }

    def is_lease_of(self, holder: Holder) -> bool:
        """Return whether this is a lease that the session holds."""
        return self.binding is Binding.LEASE and self.damaged is None and self.holder.is_same(holder)


class Request(NamedTuple):
    """What somebody asks for: all of the labels or none. `inside` names the bound claims whose commands ask."""

    id: str
    labels: tuple[str, ...]
    mode: Mode
    binding: Binding
    purpose: str
    holder: Holder
    #: What `--for` says.
    duration: int | None = None
    inside: frozenset[str] = frozenset()
    #: The process below which the command that asks will run.
    keeper: Process | None = None
    #: Claims of what is around and below the labels are in the way too.
    nested: bool = False

    @property
    def around(self) -> tuple[str, ...]:
        """Return the labels around those asked for, where they count."""
        return tuple(outer for each in self.labels for outer in around(each)) if self.nested else ()


class Grant(NamedTuple):
    """The label is free for the request."""


class Renew(NamedTuple):
    """The session holds the lease already: it keeps its fence and its beginning."""

    claim: Claim


class Covered(NamedTuple):
    """The request comes from inside the command that holds the label: there is nothing to take."""

    claim: Claim


class Blocked(NamedTuple):
    """Others hold the label, or wait for it since earlier."""

    claims: tuple[Claim, ...] = ()
    tickets: tuple[Ticket, ...] = ()


Decision = Grant | Renew | Covered | Blocked


def decide(request: Request, standing: Sequence[Claim], ahead: Sequence[Ticket]) -> Decision:
    """Return whether the request may have a label that `standing` claims hold and `ahead` wait for."""
    for claim in standing:
        if claim.binding is Binding.PROCESS and claim.id in request.inside:
            return Covered(claim)
    own = next((claim for claim in standing if claim.is_lease_of(request.holder)), None)
    if request.mode is Mode.ADVISORY:
        return Renew(own) if own is not None and request.binding is Binding.LEASE else Grant()
    renews = own is not None and request.binding is Binding.LEASE
    blocking = tuple(
        claim
        for claim in standing
        if claim is not own
        and claim.damaged is None
        and not _may_share(claim.mode, request.mode)
        # One's own command holds the label besides one's own lease: renewing the lease takes nothing from it.
        and not (renews and claim.holder.is_same(request.holder))
    )
    damaged = tuple(claim for claim in standing if claim.damaged is not None)
    if blocking or damaged:
        return Blocked((*damaged, *blocking))
    before = tuple(ticket for ticket in ahead if not _may_share(ticket.mode, request.mode))
    if before and (own is None or own.mode is Mode.ADVISORY):  # who holds the label already waits for nobody
        return Blocked(tickets=before)
    return Renew(own) if own is not None and renews else Grant()


def nearby(request: Request, standing: Iterable[Claim]) -> list[Claim]:
    """Return the claims that block a nested request from around or below its labels."""
    outer = set(request.around)
    inner = tuple(f"{label}/" for label in request.labels)
    return [
        claim for claim in standing if (claim.label in outer or claim.label.startswith(inner)) and keeps_out(claim, request)
    ]


def keeps_out(claim: Claim, request: Request) -> bool:
    """Return whether a claim is in the way of what the request's session does: not its own, not around its command."""
    if claim.id in request.inside or claim.is_lease_of(request.holder):
        return False
    return claim.mode is not Mode.ADVISORY or claim.damaged is not None


def _may_share(one: Mode, other: Mode) -> bool:
    return Mode.ADVISORY in (one, other) or (one is Mode.SHARED and other is Mode.SHARED)


class Wanted(NamedTuple):
    """A label that nobody holds and somebody waits for, as one who waits for several labels does."""

    label: str
    waiting: tuple[Ticket, ...]

    def document(self) -> dict[str, Any]:
        """Return it with the keys of a claim, those without a holder empty."""
        shown = {"label": self.label, "mode": self.waiting[0].mode, "state": "wanted", "purpose": ""}
        nothing = dict.fromkeys(("binding", "holder", "fence", "claimed_at", "expires_at"))
        return {**shown, **nothing, "waiting": [ticket.document() for ticket in self.waiting]}


class Board(NamedTuple):
    """What is claimed, in the order of labels, and what is only waited for."""

    claims: tuple[Claim, ...]
    wanted: tuple[Wanted, ...] = ()

    def of(self, labels: Sequence[str]) -> "Board":
        """Return the part of these labels, all of it where none is named."""
        if not labels:
            return self
        claims = tuple(claim for claim in self.claims if claim.label in labels)
        return Board(claims, tuple(wanted for wanted in self.wanted if wanted.label in labels))

    def documents(self) -> list[dict[str, Any]]:
        """Return what listings write, by label."""
        rows: list[Claim | Wanted] = [*self.claims, *self.wanted]
        return [row.document() for row in sorted(rows, key=lambda row: row.label)]


def with_queue(claims: Iterable[Claim], tickets: Iterable[Ticket]) -> Board:
    """Return the claims in the order of their labels, each with those who wait for it, first come first."""
    queue: dict[str, list[Ticket]] = {}
    for ticket in sorted(tickets, key=lambda ticket: ticket.number):
        queue.setdefault(ticket.label, []).append(ticket)
    ordered = sorted(claims, key=lambda claim: (claim.label, claim.fence, claim.id))
    held = tuple(claim._replace(waiting=tuple(queue.get(claim.label, ()))) for claim in ordered)
    free = sorted(set(queue) - {claim.label for claim in held})
    return Board(held, tuple(Wanted(label, tuple(queue[label])) for label in free))
