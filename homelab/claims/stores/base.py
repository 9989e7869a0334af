"""What every claim store does, said once; `files` and `postgres` only keep records, exclude one another, and wait.

Invariant: whatever happens to the records of a label happens inside a transaction that holds the label, and every change
is an event in the history. A store speaks no words to people: it returns what is in the way, `operations` says it.
"""

import abc
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from homelab.claims import model
from homelab.claims.model import LEASE, Binding, Blocked, Board, Claim, Covered, Grant, Holder, Renew, Request, Ticket
from homelab.claims.stores.ledger import Ledger, event


class Taken(NamedTuple):
    """What a request got: a claim for each label, of which `new` are its own."""

    claims: tuple[Claim, ...]
    new: tuple[Claim, ...]
    #: What the session held before, of the leases that it has renewed.
    before: tuple[Claim, ...] = ()


class Store(abc.ABC):
    """Claims in one place. Raises `Unreachable` when the place is not there, `Refused` when it is unfit."""

    #: What opens it again.
    url: str
    #: Whether all who use it are on one machine, so that a user needs no host to be told from another.
    one_machine = True

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What it is, for people, without a password."""

    def close(self) -> None:  # noqa: B027 - most stores have nothing to close
        """Close what is open. The claims stay."""

    @abc.abstractmethod
    def transaction(self, labels: Collection[str]) -> AbstractContextManager[Ledger]:
        """Lock these labels for the block. What it changes is changed whole or not at all."""

    @abc.abstractmethod
    def look(self) -> Board:
        """Return all that is claimed and waited for."""

    def board(self) -> list[Claim]:
        """Return all live claims with their queues, by label."""
        return list(self.look().claims)

    @abc.abstractmethod
    def events(self, label: str | None) -> list[dict[str, Any]]:
        """Return the events of the history, oldest first."""

    @abc.abstractmethod
    def record(self, document: dict[str, Any]) -> None:
        """Append an event that changes no claim to the history."""

    @abc.abstractmethod
    def grasp(self, id: str) -> int | None:
        """Tie a claim's or ticket's life to this process. Return a descriptor by which children keep it alive too."""

    @abc.abstractmethod
    def let_go(self, id: str) -> None:
        """Withdraw the proof of `grasp`, for children too."""

    @abc.abstractmethod
    def _pause(self, blocked: Blocked, ticket: str, labels: Sequence[str], until: float) -> None:
        """Return when something has changed for the ticket, or a moment has passed."""

    def inside(self, claim_id: str | None) -> frozenset[str]:
        """Return the bound claims in whose commands' trees we run and whose id we carry."""
        from homelab.claims import identity

        if claim_id is None:
            return frozenset()
        around = [claim for claim in self.board() if claim.id == claim_id and identity.is_inside(claim)]
        return frozenset(id for claim in around for id in (claim.id, *claim.outer))

    def attempt(self, request: Request) -> Taken | Blocked:
        """Take all labels of a request, or none."""
        with self._at(request) as ledger:
            return self._decide(ledger, request, None)

    def _at(self, request: Request) -> AbstractContextManager[Ledger]:
        # Who asks for `stack:a` and who asks for `stack:a/b` meet at `stack:a`, so neither overlooks the other.
        return self.transaction({*request.labels, *request.around})

    def _decide(self, ledger: Ledger, request: Request, place: int | None) -> Taken | Blocked:
        """Take the labels; `place` is the number of the ticket with which the request has waited."""
        plan: list[tuple[str, Grant | Renew | Covered]] = []
        near = model.nearby(request, self.board()) if request.nested else []
        blocked = [Blocked(tuple(near))] if near else []
        for label in request.labels:
            ahead = [ticket for ticket in ledger.tickets(label) if place is None or ticket.number < place]
            decision = model.decide(request, ledger.claims(label), ahead)
            if isinstance(decision, Blocked):
                blocked.append(decision)
            else:
                plan.append((label, decision))
        if blocked:
            return Blocked(
                tuple(claim for each in blocked for claim in each.claims),
                tuple(ticket for each in blocked for ticket in each.tickets),
            )
        return self._carry_out(ledger, request, plan)

    def _carry_out(self, ledger: Ledger, request: Request, plan: list[tuple[str, Grant | Renew | Covered]]) -> Taken:
        granted = [label for label, decision in plan if isinstance(decision, Grant)]
        number = ledger.number() if granted else 0
        if granted and request.binding is Binding.PROCESS:
            self.grasp(request.id)
        claims, new = [], []
        for label, decision in plan:
            match decision:
                case Covered(claim):
                    claims.append(claim)
                case Renew(claim):
                    claims.append(self._again(ledger, claim, request))
                case Grant():
                    new.append(self._grant(ledger, request, label, number))
                    claims.append(new[-1])
        before = tuple(decision.claim for _, decision in plan if isinstance(decision, Renew))
        return Taken(tuple(claims), tuple(new), before)

    def _grant(self, ledger: Ledger, request: Request, label: str, fence: int) -> Claim:
        seconds = None if request.binding is Binding.PROCESS else request.duration or LEASE
        claim = Claim(
            request.id, label, request.mode, request.binding, request.purpose, request.holder, fence,
            claimed_at=ledger.now(), expires_at=None, duration=seconds, fixed=request.duration is not None,
            keeper=request.keeper, outer=tuple(sorted(request.inside)),
        )  # fmt: skip
        claim = ledger.put(claim, seconds)
        ledger.event(event("claimed", claim))
        return claim

    def _again(self, ledger: Ledger, claim: Claim, request: Request) -> Claim:
        # A duration that `--for` names is exact; without one a lease is never shortened.
        seconds: float = request.duration or max(LEASE, claim.left or 0)
        changed = claim._replace(
            mode=request.mode,
            purpose=request.purpose,
            holder=request.holder,
            duration=request.duration or claim.duration,
            fixed=request.duration is not None or claim.fixed,
        )
        renewed = ledger.put(changed, seconds)
        ledger.event(event("renewed", renewed))
        return renewed

    def wait(self, request: Request, seconds: float, tell: Callable[[Blocked, int], None]) -> Taken | Blocked:
        """Take the labels when it is our turn: first come, first served. After `seconds`, return what is in the way.

        Meanwhile `tell` hears, about once a second, what is in the way and which place in the queue is ours.
        """
        until = time.monotonic() + seconds
        with self._at(request) as ledger:
            found = self._decide(ledger, request, None)
            if isinstance(found, Taken):
                return found
            place = ledger.number()
            self.grasp(ticket := f"{request.id}w")
            ahead = _ahead(ledger, request, place)
            for label in request.labels:
                place_of = (ticket, place, label, request.mode, request.holder, request.purpose, ledger.now())
                ledger.enqueue(Ticket(*place_of))
        try:
            while time.monotonic() < until:
                tell(found, 1 + ahead)
                self._pause(found, ticket, request.labels, until)
                with self._at(request) as ledger:
                    found = self._decide(ledger, request, place)
                    ahead = _ahead(ledger, request, place)
                if isinstance(found, Taken):
                    break
        finally:
            with self.transaction(request.labels) as ledger:
                for label in request.labels:
                    ledger.dequeue(ticket, label)
            self.let_go(ticket)
        return found

    def end(self, id: str, labels: Sequence[str]) -> list[str]:
        """Free the bound claims, even while children of the command run. Return the labels that were lost before.

        Raises when the store cannot be told. Claims that live by a lock are free all the same.
        """
        try:
            with self.transaction(labels) as ledger:
                standing = [claim for label in labels for claim in ledger.claims(label) if claim.id == id]
                for claim in standing:
                    ledger.remove(claim)
                for claim in standing:
                    ledger.event(event("released", claim))
        finally:
            self.let_go(id)
        return sorted(set(labels) - {claim.label for claim in standing})

    def drop_leases(self, labels: Sequence[str], holder: Holder) -> list[Claim] | Blocked:
        """Free the session's leases on these labels and return them, or free none and return the one in the way."""
        with self.transaction(labels) as ledger:
            gone = []
            for label in labels:
                standing = ledger.claims(label)
                own = [claim for claim in standing if claim.is_lease_of(holder)]
                if standing and not own:
                    return Blocked((standing[0],))
                gone += own
            for claim in gone:
                ledger.remove(claim)
                ledger.event(event("released", claim))
        return gone

    def extend_leases(self, labels: Collection[str], holder: Holder, *, fixed: bool) -> list[Claim]:
        """Let the session's leases on these labels last for their duration from now, never less. Return them.

        With `fixed`, extend those too whose end `--for` set, and tell the history.
        """
        renewed = []
        with self.transaction(labels) as ledger:
            for label in labels:
                for claim in ledger.claims(label):
                    if claim.is_lease_of(holder) and (fixed or not claim.fixed):
                        renewed.append(ledger.put(claim, max(claim.duration or LEASE, claim.left or 0)))
                        if fixed:
                            ledger.event(event("renewed", renewed[-1]))
        return renewed

    def grant_instead(self, request: Request, reason: str, *, force: bool) -> tuple[Claim, list[Claim]] | Blocked:
        """Take a label from whoever holds it, and return the new claim and the old ones; or what forbids it."""
        (label,) = request.labels
        with self.transaction(request.labels) as ledger:
            standing = ledger.claims(label)
            if kept := [claim for claim in standing if not _may_take(claim, force)]:
                return Blocked(tuple(kept))
            number = ledger.number()
            for claim in standing:
                ledger.remove(claim)
                ledger.event(event("stolen", claim, by=request.holder, reason=reason))
            return self._grant(ledger, request, label, number), standing


def _ahead(ledger: Ledger, request: Request, place: int) -> int:
    """Return how many are ahead of a place, in the longest of its queues."""
    return max(sum(ticket.number < place for ticket in ledger.tickets(label)) for label in request.labels)


def _may_take(claim: Claim, force: bool) -> bool:
    # A record of a newer homelab may mean what we cannot know; one that is merely broken has nobody to defend it.
    if claim.damaged is not None:
        return claim.damaged != model.NEWER
    return force or claim.binding is Binding.LEASE


#: Heartbeats in the time that a store is patient.
BEATS = 6


class HeartbeatStore(Store):
    """A store that cannot see whether a command lives: its keeper has to say so again and again."""

    one_machine = False
    #: How long a command's claim lives after a heartbeat, in seconds.
    patience: float

    @abc.abstractmethod
    def beat(self, id: str, state: str, pids: Sequence[int]) -> list[str]:
        """Let a command's claims live for another `patience`. Return the labels that still are its."""
