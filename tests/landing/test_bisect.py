"""How many verifications a burst takes, whoever in it is red: the search itself, without git and clocks."""

import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from homelab.landing import batch, bisect
from homelab.landing.batch import Member
from homelab.landing.candidate import Merged
from homelab.landing.queue import Ticket
from homelab.policy.config import Suite, Verify
from homelab.verify.runner import Result
from homelab.verify.suites import Demand, Run
from homelab.verify.verification import Guess, Red, Verified


def _member(names: Sequence[int], landed: Sequence[int]) -> Member:
    """Return the last of `names`, built on the others and on what has landed."""
    key = f"{sorted(landed)} {list(names)}"
    run = Run(Suite("s", "true"), ".", Verify(), key, None, ())
    ticket = Ticket(names[-1], "ada", "here", "s", 1, "now", "w", str(names[-1]), "head")
    return Member(ticket, None, Merged(None, "head", key, False), key, Demand(key, key, (run,), True, False))


class _Suites:
    """Verifies members, of which those with a name in `reds` are red; a green is remembered."""

    def __init__(self, reds: set[int]) -> None:
        self.reds, self.known, self.runs, self.rounds = reds, set[str](), 0, 0

    def _look(self, member: Member) -> Red | None:
        self.runs += member.commit not in self.known
        names = {int(name) for name in member.commit.partition("] [")[2].rstrip("]").split(",")}
        if names & self.reds:
            return Red("red", [Result(member.demand.runs[0], "failed", 1.0)], hint="")
        self.known.add(member.commit)
        return None

    def ensure(self, member: Member) -> Verified:
        self.rounds += member.commit not in self.known
        if red := self._look(member):
            raise red
        return cast("Verified", member.commit)

    def aside(self, member: Member) -> Guess:
        found = self._look(member)

        class Answer:
            def red(self) -> Red | None:
                return found

            def stop(self) -> None:
                pass

        return cast("Guess", Answer())


def _burst(count: int, reds: set[int]) -> _Suites:
    """Return what a burst took, led as `homelab.landing.leader` does; all greens have landed, and every red was turned away."""
    suites, waiting, landed = _Suites(reds), list(range(count)), list[int]()
    journal: list[dict[str, Any]] = []
    while waiting:
        names = waiting[: batch.size(journal)]
        members = [_member(names[: n + 1], landed) for n in range(len(names))]
        aside = suites.aside if bisect.is_worth_a_guess(members, journal) else None
        proof = bisect.prove(members, suites.ensure, aside)
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
    ("count", "red", "runs", "rounds"),
    [(8, 0, 2, 1), (8, 1, 5, 4), (16, 0, 4, 2), (16, 1, 10, 5), (16, 3, 16, 15)],
)
def test_a_burst_takes_so_many_verifications_whoever_is_red(
    monkeypatch: pytest.MonkeyPatch, count: int, red: int, runs: int, rounds: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # on one core no half is verified beside
    took = [_burst(count, set(reds)) for reds in itertools.combinations(range(count), red)]
    assert max(suites.runs for suites in took) <= runs
    assert max(suites.rounds for suites in took) <= rounds


@pytest.mark.parametrize("jobs", [1, 2])
def test_where_one_suite_runs_at_a_time_no_half_is_verified_beside_the_whole(jobs: int) -> None:
    members = [_member(range(n + 1), []) for n in range(8)]
    run = replace(members[-1].demand.runs[0], verify=Verify(jobs=jobs))
    members[-1] = replace(members[-1], demand=replace(members[-1].demand, runs=(run,)))
    assert bisect.is_worth_a_guess(members, []) == (jobs > 1)
