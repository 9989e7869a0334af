"""What every claim store does, said once; `files` and `postgres` only keep records, exclude one another, and wait.

Invariant: whatever happens to the records of a label happens inside a transaction that holds the label, and every change
is an event in the history.
"""

import abc
import time
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from homelab.claims import model
from homelab.claims.model import LEASE, LEASED, PROCESS, Blocked, Claim, Covered, Grant, Holder, Renew, Request, Ticket
from homelab.claims.stores.ledger import Ledger, Taken, event
from homelab.errors import Refused
from homelab.system.proc import Process


class Store(abc.ABC):
    """Claims in one place. Raises `Unreachable` when the place is not there, `Refused` when it is unfit."""

    #: What opens it again.
    url: str

    @property
    def patience(self) -> float | None:
        """How long a command's claim lives without a heartbeat of its keeper; None where the kernel is the witness."""
        return None

    def close(self) -> None:  # noqa: B027 - most stores have nothing to close
        """Nothing is kept open; claims stand as they are."""

    def beat(self, id: str, state: str, pids: Sequence[int]) -> list[str]:
        """A command's claims live for another `patience`; return the labels that still are its."""
        raise NotImplementedError  # asked only of a store that has a `patience`, which then has this too

    @abc.abstractmethod
    def transaction(self, labels: Collection[str]) -> AbstractContextManager[Ledger]:
        """Nobody else changes these labels meanwhile; what is changed is changed whole or not at all."""

    @abc.abstractmethod
    def board(self) -> list[Claim]:
        """Return all live claims with their queues, by label."""

    @abc.abstractmethod
    def history(self, label: str | None) -> list[dict[str, Any]]:
        """Return the events, oldest first."""

    @abc.abstractmethod
    def record(self, document: dict[str, Any]) -> None:
        """The history ends with this event, which has happened now and changes no claim."""

    @abc.abstractmethod
    def _grasp(self, id: str) -> int | None:
        """Our being alive proves that the claim or ticket lives; return a descriptor that children inherit."""

    @abc.abstractmethod
    def _let_go(self, id: str) -> None:
        """The proof of `_grasp` is withdrawn, for children too."""

    @abc.abstractmethod
    def _pause(self, blocked: Blocked, ticket: str, labels: Sequence[str], until: float) -> None:
        """Return when something has changed for the ticket, or a moment has passed."""

    def inside(self, claim_id: str | None) -> frozenset[str]:
        """Return the bound claims in whose commands' trees we run and whose id we carry."""
        from homelab.claims import identity

        if claim_id is None:
            return frozenset()
        ours = [claim for claim in self.board() if claim.id == claim_id and identity.is_inside(claim)]
        return frozenset(id for claim in ours for id in (claim.id, *claim.outer))

    def attempt(self, request: Request) -> Taken | Blocked:
        """Take all labels of a request, or none."""
        with self._at(request) as ledger:
            return self._attempt(ledger, request, None)

    def _at(self, request: Request) -> AbstractContextManager[Ledger]:
        # Who asks for `stack:a` and who asks for `stack:a/b` meet at `stack:a`, so neither overlooks the other.
        return self.transaction({*request.labels, *request.around})

    def _attempt(self, ledger: Ledger, request: Request, place: int | None) -> Taken | Blocked:
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
        bound = bool(granted) and request.binding == PROCESS
        grip = self._grasp(request.id) if bound else None
        claims, new = [], []
        for label, decision in plan:
            match decision:
                case Covered(claim):
                    claims.append(claim)
                case Renew(claim):
                    claims.append(self._renew(ledger, claim, request))
                case Grant():
                    new.append(self._grant(ledger, request, label, number))
                    claims.append(new[-1])
        return Taken(tuple(claims), tuple(new), grip)

    def _grant(self, ledger: Ledger, request: Request, label: str, fence: int) -> Claim:
        seconds = None if request.binding == PROCESS else request.duration or LEASE
        claim = Claim(
            request.id, label, request.mode, request.binding, request.purpose, request.holder, fence,
            claimed_at=ledger.now(), expires_at=None, duration=seconds, fixed=request.duration is not None,
            outer=tuple(sorted(request.inside)),
        )  # fmt: skip
        claim = ledger.put(claim, seconds)
        ledger.event(event("claimed", claim))
        return claim

    def _renew(self, ledger: Ledger, claim: Claim, request: Request) -> Claim:
        # What `--for` says is meant; without it a lease is never shortened.
        seconds: float = request.duration or max(LEASE, claim.left or 0)
        changed = replace(
            claim,
            mode=request.mode,
            purpose=request.purpose,
            holder=request.holder,
            duration=request.duration or claim.duration,
            fixed=request.duration is not None or claim.fixed,
        )
        renewed = ledger.put(changed, seconds)
        ledger.event(event("renewed", renewed))
        return renewed

    def wait(self, request: Request, seconds: float) -> Taken | Blocked:
        """Take the labels when it is our turn: first come, first served. After `seconds`, return what is in the way."""
        until = time.monotonic() + seconds
        with self._at(request) as ledger:
            found = self._attempt(ledger, request, None)
            if isinstance(found, Taken):
                return found
            place = ledger.number()
            self._grasp(ticket := f"{request.id}w")
            for label in request.labels:
                place_of = (ticket, place, label, request.mode, request.holder, request.purpose, ledger.now())
                ledger.enqueue(Ticket(*place_of))
        try:
            while time.monotonic() < until:
                self._pause(found, ticket, request.labels, until)
                with self._at(request) as ledger:
                    found = self._attempt(ledger, request, place)
                if isinstance(found, Taken):
                    break
        finally:
            with self.transaction(request.labels) as ledger:
                for label in request.labels:
                    ledger.dequeue(ticket, label)
            self._let_go(ticket)
        return found

    def attach(self, id: str, labels: Sequence[str], keeper: Process) -> None:
        """The bound claims say below which process their command lives."""
        with self.transaction(labels) as ledger:
            for label in labels:
                for claim in ledger.claims(label):
                    if claim.id == id:
                        ledger.put(replace(claim, keeper=keeper), None)

    def end(self, id: str, labels: Sequence[str]) -> list[str]:
        """The bound claims are free, whoever of the command's children still runs; return labels lost before.

        Raises when the store cannot be told; where the kernel is the witness they are free all the same.
        """
        try:
            with self.transaction(labels) as ledger:
                standing = [claim for label in labels for claim in ledger.claims(label) if claim.id == id]
                for claim in standing:
                    ledger.remove(claim)
                for claim in standing:
                    ledger.event(event("released", claim))
        finally:
            self._let_go(id)
        return sorted(set(labels) - {claim.label for claim in standing})

    def release(self, labels: Sequence[str], holder: Holder) -> list[Claim]:
        """The session's leases on these labels are released; return them. Raises `Refused`, and then none is."""
        with self.transaction(labels) as ledger:
            gone = []
            for label in labels:
                standing = ledger.claims(label)
                own = [claim for claim in standing if claim.binding == LEASED and claim.holder.is_same(holder)]
                if standing and not own:
                    raise _not_releasable(standing[0], holder)
                gone += own
            for claim in gone:
                ledger.remove(claim)
                ledger.event(event("released", claim))
        return gone

    def renew(self, labels: Collection[str], holder: Holder, *, all: bool) -> list[Claim]:
        """The session's leases on these labels last for their duration from now, never less; return them.

        With `all` those too that `--for` fixed, and the history says so; without, it happens by the way of any command.
        """
        renewed = []
        with self.transaction(labels) as ledger:
            for label in labels:
                for claim in ledger.claims(label):
                    own = claim.binding == LEASED and claim.damaged is None and claim.holder.is_same(holder)
                    if own and (all or not claim.fixed):
                        renewed.append(ledger.put(claim, max(claim.duration or LEASE, claim.left or 0)))
                        if all:
                            ledger.event(event("renewed", renewed[-1]))
        return renewed

    def steal(self, request: Request, reason: str, *, force: bool) -> tuple[Claim, list[Claim]]:
        """The label is the request's; return its claim and those that were taken. Raises `Refused`, and then none is."""
        (label,) = request.labels
        with self.transaction(request.labels) as ledger:
            standing = ledger.claims(label)
            for claim in standing:
                _may_steal(claim, force)
            number = ledger.number()
            for claim in standing:
                ledger.remove(claim)
                ledger.event(event("stolen", claim, by=request.holder, reason=reason))
            return self._grant(ledger, request, label, number), standing


def _not_releasable(claim: Claim, holder: Holder) -> Refused:
    from homelab.claims import words

    if claim.damaged is not None:
        return Refused(words.damage(claim), hint=words.steal_hint(claim))
    if claim.holder.is_same(holder):
        hint = "it is free when the command ends; `homelab claims` shows who keeps it"
        return Refused(f"{claim.label} is held by a command that still runs{words.pids(claim)}", hint=hint)
    return Refused(f"{words.held(claim)}: it is not yours to release", hint=words.steal_hint(claim))


def _may_steal(claim: Claim, force: bool) -> None:
    from homelab.claims import words

    if claim.damaged is not None and "newer" in claim.damaged:
        raise Refused(words.damage(claim), hint="install the newer homelab and run it again")
    if claim.binding == PROCESS and not force:
        hint = f"wait for it, or take it all the same with `homelab claims steal {claim.label} --reason TEXT --force`"
        raise Refused(f"{words.held(claim)}, and its command still runs{words.pids(claim)}", hint=hint)
