"""The search for the culprit: the last of a batch is verified for all, and prefixes of it where that is red.

A red result steers the search; nobody is turned away but on a run of the very tree that would have landed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from homelab import output
from homelab.landing.batch import Member
from homelab.verify.verification import Red, Verified, Waived


@dataclass(frozen=True, slots=True)
class Proof:
    """How far a batch is green: its first `count` members, as `verified` proves; `culprit` is the next one's red, if any."""

    count: int
    verified: Verified | Waived | None
    culprit: Red | None


Ensure = Callable[[Member], Verified | Waived]


def prove(members: Sequence[Member], ensure: Ensure) -> Proof:
    """Find out how far the batch is green with as few runs as that takes. Raises what `ensure` raises, except `Red`."""
    try:
        return Proof(len(members), ensure(members[-1]), None)
    except Red as red:
        return _search(members, ensure, red)


def _search(members: Sequence[Member], ensure: Ensure, red: Red) -> Proof:
    """Find the first red prefix, between `low`, which is green, and `high`, which is red."""
    low, proof = 0, None
    tested = {len(members)}
    high = _earliest(members, red, len(members))
    while high - low > 1:
        # Where the red run itself points to a member, the one before it is probably green.
        middle = (low + high) // 2 if high in tested else high - 1
        output.say(f"looking for what is red among {high - low} landings: trying the first {middle}")
        try:
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
