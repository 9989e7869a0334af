"""How many verifications a burst takes, whoever in it is red: the search itself, without git and clocks."""

import itertools
from collections.abc import Sequence
from typing import Any, cast

import pytest

from homelab.landing import batch, bisect
from homelab.landing.batch import Member
from homelab.landing.candidate import Merged
from homelab.landing.queue import Ticket
from homelab.policy.config import Suite, Verify
from homelab.verify.results import Result, State
from homelab.verify.suites import Demand, Run
from homelab.verify.verification import Red, Verified


def _member(names: Sequence[int], landed: Sequence[int]) -> Member:
    """Return the last of `names`, built on the others and on what has landed."""
    key = f"{sorted(landed)} {list(names)}"
    run = Run(Suite("s", "true"), ".", Verify(), key, None, ())
    ticket = Ticket(names[-1], "ada", "here", "s", 1, "now", "w", str(names[-1]), "head")
    return Member(ticket, None, Merged(None, "head", key, False), key, Demand(key, key, (run,), True, False))


class _Suites:
    """Verifies members, of which those with a name in `reds` are red; a green is remembered."""

    def __init__(self, reds: set[int]) -> None:
        self.reds, self.known, self.runs = reds, set[str](), 0

    def _look(self, member: Member) -> Red | None:
        self.runs += member.commit not in self.known
        names = {int(name) for name in member.commit.partition("] [")[2].rstrip("]").split(",")}
        if names & self.reds:
            return Red("red", [Result(member.demand.runs[0], State.FAILED, 1.0)], hint="")
        self.known.add(member.commit)
        return None

    def ensure(self, member: Member) -> Verified:
        if red := self._look(member):
            raise red
        return cast("Verified", member.commit)


def _burst(count: int, reds: set[int]) -> _Suites:
    """Return what a burst took, led as `homelab.landing.leader` does; all greens have landed, and every red was turned away."""
    suites, waiting, landed = _Suites(reds), list(range(count)), list[int]()
    journal: list[dict[str, Any]] = []
    while waiting:
        names = waiting[: batch.size(journal)]
        members = [_member(names[: n + 1], landed) for n in range(len(names))]
        proof = bisect.prove(members, suites.ensure)
        landed += names[: proof.count]
        journal += [{"status": "landed"}] * proof.count
        gone = proof.count
        if proof.culprit is not None:
            assert names[gone] in reds
            journal.append({"status": "failed"})
            gone += 1
        waiting = waiting[gone:]
    assert set(landed) == set(range(count)) - reds
    return suites


@pytest.mark.parametrize(
    ("count", "red", "runs"),
    [(8, 0, 1), (8, 1, 5), (16, 0, 2), (16, 1, 6), (16, 3, 16)],
)
def test_a_burst_takes_so_many_verifications_whoever_is_red(count: int, red: int, runs: int) -> None:
    assert max(_burst(count, set(reds)).runs for reds in itertools.combinations(range(count), red)) <= runs
