"""Which of a batch are green: the last verified for all, and a search through the prefixes where that is red.

A red result steers the search; nobody is turned away but on a run of the very tree that would have landed.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from homelab import output
from homelab.git.repository import Repository
from homelab.landing import batch
from homelab.landing.batch import Member
from homelab.verify import suites
from homelab.verify.runner import Abandoned
from homelab.verify.verification import Guess, Red, Verified

#: A batch of so many is worth a guess at its first half.
_WORTH = 6


@dataclass(frozen=True, slots=True)
class Proof:
    """The first `count` members are green, as `verified` says of the last of them; the next one is `culprit`, or none is."""

    count: int
    verified: Verified | None
    culprit: Red | None


Ensure = Callable[[Member], Verified]
#: Begins to verify a member beside the whole batch.
Aside = Callable[[Member], Guess]


def is_worth_a_guess(members: Sequence[Member], landings: Sequence[dict[str, Any]]) -> bool:
    """Tell whether to verify half of a batch beside it, where two runs may go on at once.

    Not where a red was just taken out, for another is unlikely.
    """
    jobs = min((run.verify.jobs or os.cpu_count() or 1 for run in members[-1].demand.runs), default=1)
    return len(members) >= _WORTH and not batch.was_red(landings) and jobs > 1


def aside(repository: Repository, whole: Member, abandoned: Abandoned) -> Aside:
    """Return how to verify a member beside the whole batch: what both need is run once, for the whole."""
    shared = {run.key for run in whole.demand.runs}

    def begin(member: Member) -> Guess:
        runs = tuple(run for run in member.demand.runs if run.key not in shared)
        part = replace(member.demand, runs=runs, whole=suites.digest(["part", member.demand.whole]))
        return Guess(repository, member.commit, part, abandoned)

    return begin


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
