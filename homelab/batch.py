"""Several landings as one: built in the queue's order on one base, verified once, and searched for a culprit when red.

Each member is the commit that it would be if it had landed right after the member before it, so any prefix of a batch is
what those landings would have made one by one. A red result steers the search; nobody is turned away but on a run of the
very tree that would have landed.
"""

import math
import platform
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from homelab import candidate, journal, output, policy, readiness, verification
from homelab.candidate import Merged
from homelab.config import Config
from homelab.errors import HomelabError
from homelab.git import Repository
from homelab.journal import Landing
from homelab.publication import Target
from homelab.queue import Ticket
from homelab.suites import Demand
from homelab.verification import Guess, Red, Verified

_MOST = 16
_RECENT = 40


#: Refuses what no landing may bring, such as a secret as plaintext: by the commit it stands on and its own.
Guard = Callable[[str | None, str], None]


@dataclass(frozen=True, slots=True)
class Member:
    """One landing of a batch, built on the one before it, or on the target."""

    ticket: Ticket
    base: str | None
    merged: Merged
    commit: str
    demand: Demand


def bring(
    target: Target, ticket: Ticket, base: str | None, head: str, trailers: Callable[[Demand], list[str]] | None = None
) -> Member:
    """Return a landing built on `base`. Raises `Conflict`, and what else keeps it from being built."""
    merged = candidate.merge(target.repository, target.objects, base, head)
    demand = demanded(target, base, merged.tree)
    rows = trailers(demand) if trailers else verified_by(target, demand, base)
    commit = candidate.commit(target.repository, merged, f"Merge branch '{ticket.branch}'", rows)
    return Member(ticket, base, merged, commit, demand)


def demanded(target: Target, base: str | None, tree: str) -> Demand:
    """Return what the rules on `base`, and those of the tree where it changes them, demand of a tree."""
    policies = policy.policies(target.objects, base, tree)
    return verification.demanded(target.repository, target.objects, tree, policies)


def verified_by(target: Target, demand: Demand, base: str | None) -> list[str]:
    """Return what a merge commit says of its verification: each suite whose result is new with this change."""
    runs = demand.runs
    if any(run.suite.each for run in runs) and base is not None:
        before = {run.key for run in demanded(target, base, target.objects.commit(base).tree).runs}
        runs = tuple(run for run in runs if not run.suite.each or run.key not in before)
    return [f"Homelab-Verified: {run.label} {run.key}" for run in runs]


def join(target: Target, first: Member, tickets: Sequence[Ticket], guard: Guard) -> list[Member]:
    """Return the batch of `first` and all behind it that can land with it; the others keep their places.

    Whoever conflicts or cannot be built leads later and is told then. A change of the rules lands by itself, since what
    comes after it is judged by it.
    """
    members = [first]
    if _rules(target, first.base) != _rules(target, first.commit):
        return members
    for ticket in tickets:
        base = members[-1].commit
        if ticket.head is None or ticket.alone:
            break
        if target.repository.is_ancestor(ticket.head, base):
            continue
        try:
            readiness.check_rewound(target.repository, ticket.head, first.base, target.branch)
            member = bring(target, ticket, base, ticket.head)
            guard(base, member.commit)
        except HomelabError:
            continue
        if _rules(target, base) != _rules(target, member.commit):
            break
        members.append(member)
    return members


def landing(target: Target, member: Member, documents: list[dict[str, Any]], *, passed: bool, attempts: int) -> Landing:
    """Return what the journal is to say of a member, `documents` being how its suites ended."""
    ticket = member.ticket
    return Landing(
        id=uuid.uuid4().hex,
        started=ticket.since,
        user=ticket.user,
        host=platform.node(),
        session=ticket.session,
        branch=ticket.branch or "",
        remote=target.remote,
        target=target.branch,
        head=member.merged.head,
        base=member.base,
        commit=member.commit,
        tree=member.merged.tree,
        verified=passed,
        suites=documents,
        attempts=attempts,
    )


def _rules(target: Target, commit: str | None) -> Config | None:
    """Return the rules that a commit states, by its file or by what it shows where no suite is named."""
    return policy.read(target.objects, target.objects.commit(commit).tree).config if commit else None


def size(repository: Repository) -> int:
    """Return how many to land at once: so many that a batch is green about every second time, by what was red of late."""
    recent = journal.landings(repository)[-_RECENT:]
    reds = sum(record.get("status") == "failed" for record in recent)
    rate = (1 + reds) / (12 + len(recent))
    return 1 if rate > 0.3 else max(1, min(_MOST, round(math.log(0.5) / math.log(1 - rate))))


@dataclass(frozen=True, slots=True)
class Proof:
    """The first `count` members are green, as `verified` says of the last of them; the next one is `culprit`, or none is."""

    count: int
    verified: Verified | None
    culprit: Red | None


Ensure = Callable[[Member], Verified]
#: Begins to verify a member beside the whole batch.
Aside = Callable[[Member], Guess]


def prove(members: Sequence[Member], ensure: Ensure, aside: Aside | None = None) -> Proof:
    """Return how far the batch is green, having run as little as that takes. Raises what `ensure` raises but `Red`.

    Where `aside` is given, the first half is verified at the same time, so that a search begins one step ahead.
    """
    half = len(members) // 2
    guess = aside(members[half - 1]) if aside and half else None
    try:
        return Proof(len(members), ensure(members[-1]), None)
    except Red as red:
        known = guess.red() if guess else None
        return _search(members, ensure, red, {half: known} if known else {})
    finally:
        if guess:
            guess.stop()


def _search(members: Sequence[Member], ensure: Ensure, red: Red, known: dict[int, Red]) -> Proof:
    """Find the first red prefix, between `low`, which is green, and `high`, which is red."""
    low, proof = 0, None
    tested = {len(members)}
    high = _earliest(members, red, len(members))
    while high - low > 1:
        # Where the red run itself points to a member, the one before it is probably green.
        middle = (low + high) // 2 if high in tested else high - 1
        output.say(f"looking for what is red among {high - low} landings: trying the first {middle}")
        try:
            if middle in known:
                raise known[middle]
            proof = ensure(members[middle - 1])
            low = middle
        except Red as found:
            red, high = found, _earliest(members, found, middle)
            tested.add(middle)
    if high in tested and (len(tested) > 1 or len(members) == 1):
        return Proof(low, proof, red)
    try:  # seen red in company: the verdict is a run of its own
        proof = ensure(members[high - 1])
    except Red as found:
        return Proof(low, proof, found)
    return Proof(high, proof, None)


def _earliest(members: Sequence[Member], red: Red, high: int) -> int:
    """Return the first prefix, up to `high`, that has one of the very runs that were red."""
    keys = {result.run.key for result in red.results if not result.is_green}
    return next((n for n, member in enumerate(members[:high], 1) if keys & {run.key for run in member.demand.runs}), high)
