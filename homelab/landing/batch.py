"""Several landings as one, built in the queue's order on one base.

Each member is the commit that it would be if it had landed right after the member before it, so any prefix of a batch is
what those landings would have made one by one. Which of them are green is `homelab.landing.bisect`'s.
"""

import math
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from homelab.errors import HomelabError, Refused, Usage
from homelab.gate import deletions
from homelab.landing import candidate, conflict, journal, message, override, preconditions
from homelab.landing.candidate import Merged
from homelab.landing.journal import Landing
from homelab.landing.override import Override
from homelab.landing.queue import Ticket
from homelab.landing.target import Target
from homelab.policy import policy
from homelab.policy.config import Config, Gate
from homelab.system import identity
from homelab.verify import verification
from homelab.verify.receipts import Receipts
from homelab.verify.suites import Demand

_MOST = 16
_RECENT = 40
#: Seconds since the last ticket was drawn after which a batch is complete: the least, and the most where they come slowly.
_LINGER, _SLOWLY = 0.12, 0.5
#: Seconds after which nobody is waited for any more, be it one that is drawn and does not yet say what it brings.
_PATIENCE = 1.5

_NOTHING = Override()

#: Refuses what no landing may bring, such as a secret as plaintext: by the commit it is built on and its own.
Guard = Callable[[str | None, str], None]


class Member(NamedTuple):
    """One landing of a batch, built on the one before it, or on the target."""

    ticket: Ticket
    base: str | None
    merged: Merged
    commit: str
    demand: Demand


def bring(
    target: Target, ticket: Ticket, base: str | None, head: str, *, start: str | None = None, asked: Override = _NOTHING
) -> Member:
    """Return a landing built on `base`, in a push that begins at `start`, by default there too.

    Raises `Conflict`, and `Usage` or `Refused` where the rules for it cannot be read, unless a person waives them.
    """
    merged = candidate.merge(target.repository, base, head)
    try:
        demand = demand_of(target, base, merged.tree)
    except (Usage, Refused):
        if not asked.no_verify:
            raise
        demand = Demand(merged.tree, "", (), False, False)
    commit = head
    if not merged.is_head and base is not None:
        trailers = override.trailers(target, asked, demand)
        if not asked.no_verify:
            trailers = verified_by(target, demand, base) + trailers
        words = message.of_merge(target.repository, str(ticket.branch), base, head, trailers, start=start or base)
        commit = candidate.commit(target.repository, merged, words)
    return Member(ticket, base, merged, commit, override.demanded(target, asked, demand))


def demand_of(target: Target, base: str | None, tree: str) -> Demand:
    """Return what the rules on `base`, and those of the tree where it changes them, demand of a tree."""
    policies = policy.policies(target.repository.objects, base, tree)
    return verification.demanded(target.repository, tree, policies)


def verified_by(target: Target, demand: Demand, base: str) -> list[str]:
    """Return a merge commit's trailers: a line for each suite, but for folders that the change leaves as they are.

    A suite without a known green is left out where the target has the same content: it may have been red before.
    """
    kept = Receipts(target.repository.state)
    known = {run.key for run in demand.runs if kept.load(run.key)}
    old = [run for run in demand.runs if run.suite.each or run.key not in known]
    before = {run.key for run in demand_of(target, base, target.repository.objects.commit(base).tree).runs} if old else set()
    runs = [run for run in demand.runs if run.key not in before or (run.key in known and not run.suite.each)]
    return [f"Homelab-Verified: {run.label} {run.key}" for run in runs]


def gather(target: Target, first: Member, guard: Guard) -> list[Member]:
    """Return the batch of `first` and all behind it that can land with it; the others keep their places.

    Agents come in bursts, so a batch is complete when no ticket has been drawn for a while. A change of the rules lands by
    itself, since what comes after it is judged by it.
    """
    members, seen, drawn = [first], first.ticket.number, {first.ticket.number: first.ticket.drawn}
    most = room(target) if _rules(target, first.base) == _rules(target, first.commit) else 1
    gone, limit = preconditions.removed(target.repository), time.monotonic() + _PATIENCE
    while len(members) < most:
        tickets = target.queue.waiting(behind=seen)
        drawn |= {ticket.number: ticket.drawn for ticket in tickets}
        if not tickets and time.monotonic() - max(drawn.values()) >= _linger(drawn.values()):
            break
        if not tickets or tickets[0].head is None:
            if time.monotonic() > limit:
                break
            time.sleep(0.01)
        elif tickets[0].alone or not _join(target, members, tickets[0], gone, guard):
            break
        else:
            seen = tickets[0].number
    return members


def _linger(drawn: Collection[float]) -> float:
    """Return for how many seconds another may come: twice as long as they took on the average, within bounds."""
    between = (max(drawn) - min(drawn)) / max(1, len(drawn) - 1)
    return min(max(_LINGER, 2 * between), _SLOWLY)


def _join(target: Target, members: list[Member], ticket: Ticket, gone: Sequence[str], guard: Guard) -> bool:
    """Let a ticket join where it can; else it leads later, and hears why then. Return whether more may join."""
    assert ticket.head is not None
    base = members[-1].commit
    try:
        preconditions.check_rewound(target.repository, ticket.head, members[0].base, target.branch, gone)
        conflict.check_kept(target.repository, ticket.head, members[0].base, target.branch)
        member = bring(target, ticket, base, ticket.head, start=members[0].base)
        guard(base, member.commit)
        check_deletions(target, members[0].base, member.merged.tree)  # of all together, as the hook will see it
    except HomelabError:
        return True
    if _rules(target, base) != _rules(target, member.commit):
        return False
    if member.merged.tree != members[-1].merged.tree:  # else it has nothing new, and finds that out when it leads
        members.append(member)
    return True


def check_deletions(target: Target, base: str | None, tree: str) -> None:
    """Check that a tree keeps most of the target's files. Raises `Refused` with the numbers."""
    if base is None:
        return
    objects = target.repository.objects
    try:
        limit = policy.read(objects, objects.commit(base).tree).config.gate.max_deleted
    except Usage:  # what lands is to mend that file
        limit = Gate().max_deleted
    if found := deletions.excess(objects, objects.commit(base).tree, tree, limit):
        raise Refused(
            f"this would delete {found} of {target.name}, more than {limit} percent",
            hint="if that is meant, `homelab work land --allow-deletions` lands this one commit; `git diff --stat "
            f"{target.name}...HEAD` shows what goes",
            next=f"git diff --stat {target.name}...HEAD",
            fields={"deleted": found.deleted, "files": found.files},
        )


def landing(target: Target, member: Member, documents: list[dict[str, Any]], *, passed: bool, attempts: int) -> Landing:
    """Return a member's entry for the journal; `documents` say how its suites ended."""
    ticket = member.ticket
    suites, counts = journal.kept(documents)
    return Landing(
        id=uuid.uuid4().hex,
        started=ticket.since,
        user=ticket.user,
        host=identity.host(),
        session=ticket.session,
        branch=ticket.branch or "",
        remote=target.remote,
        target=target.branch,
        head=member.merged.head,
        base=member.base,
        commit=member.commit,
        tree=member.merged.tree,
        verified=passed,
        suites=suites,
        counts=counts,
        attempts=attempts,
    )


def _rules(target: Target, commit: str | None) -> Config | None:
    """Return the rules that a commit states, by its file or by what it shows where no suite is named."""
    objects = target.repository.objects
    return policy.read(objects, objects.commit(commit).tree).config if commit else None


def room(target: Target) -> int:
    """Return how many may land as one now."""
    return size(target.journal.recent(_RECENT))


def size(landings: Sequence[dict[str, Any]]) -> int:
    """Return how many to land at once, so that every second batch or so is green at the rate of reds of late.

    A red that has just been taken out accounts for its batch, so it says nothing of those that were given back their places.
    """
    recent = landings[-_RECENT:]
    if recent and recent[-1].get("status") == "failed":
        recent = recent[:-1]
    reds = sum(record.get("status") == "failed" for record in recent)
    rate = (1 + reds) / (12 + len(recent))
    return 1 if rate > 0.3 else max(1, min(_MOST, round(math.log(0.5) / math.log(1 - rate))))
