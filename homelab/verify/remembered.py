"""What is remembered of commits, with nothing run: green or red and since when, or what would have to be run.

For people: the gate and landing ask `homelab.verify.verification`, whose imports take a third of a status' whole time.
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from homelab.git.configuration import Settings
from homelab.git.repository import Repository
from homelab.policy import policy
from homelab.policy.policy import Policy
from homelab.verify import last, suites
from homelab.verify.receipts import Receipt, Receipts
from homelab.verify.reds import Reds, Told
from homelab.verify.suites import Run
from homelab.verify.tip import Tip


class Verdict(StrEnum):
    """What is known of a commit; the words stand in answers in JSON."""

    GREEN = "green"
    RED = "red"
    #: Something would have to be run.
    UNKNOWN = "unknown"
    #: No suite is configured or detected, or none matches.
    UNVERIFIABLE = "unverifiable"


class Remembered(NamedTuple):
    """What is remembered of one commit, its runs by their labels."""

    verdict: Verdict
    #: ISO 8601; None where that is not known.
    since: str | None = None
    missing: tuple[str, ...] = ()
    reds: tuple[Told, ...] = ()
    #: Red on the target too, with the same content: no obstacle.
    red_before: tuple[str, ...] = ()

    @property
    def red(self) -> tuple[str, ...]:
        """The runs that are red, by their labels."""
        return tuple(red.label for red in self.reds)


class Memory:
    """What one clone remembers, asked about several commits that have most of their content in common."""

    def __init__(self, repository: Repository, settings: Settings, target: str | None, *, tells: bool) -> None:
        """Measure commits by the target's tip; `tells` is whether what is red there too is no obstacle."""
        self._repository = repository
        self._target = target
        self._filters = suites.filters(settings)
        self._tells = tells
        self._receipts, self._reds = Receipts(repository.state), Reds(repository.state)
        self._known: dict[tuple[str, bool], Remembered] = {}
        self._seen: dict[str, Receipt | None] = {}

    @cached_property
    def _tip(self) -> Tip | None:
        return Tip(self._repository, self._target, self._filters) if self._target and self._tells else None

    def of(self, commit: str, *, is_new: bool = False) -> Remembered:
        """Return what is remembered of a commit.

        Only a new one, which the target does not contain, is measured by the target. Raises `HomelabError` where the rules or
        an object cannot be read.
        """
        objects = self._repository.objects
        tree = objects.commit(commit).tree
        if (found := self._known.get((tree, is_new))) is None:
            found = self._of_tree(tree, policy.policies(objects, self._target, tree), is_new=is_new)
            self._known[tree, is_new] = found
        return found

    def _of_tree(self, tree: str, policies: tuple[Policy, ...], *, is_new: bool) -> Remembered:
        if not all(one.suites for one in policies):
            return Remembered(Verdict.UNVERIFIABLE)
        # Asked first: a green tree costs one key and one file, where a thousand runs would each have theirs.
        if whole := self._receipts.load(suites.whole_key(tree, policies, self._filters)):
            return Remembered(Verdict.GREEN, whole.finished)
        demand = suites.demand(self._repository.objects, tree, policies, self._filters)
        if not demand.runs:
            return Remembered(Verdict.UNVERIFIABLE)
        return self._of_runs(demand.runs, self._tip if is_new else None)

    def _of_runs(self, runs: Iterable[Run], tip: Tip | None) -> Remembered:
        since: list[str] = []
        missing, red, before = [], list[Told](), []
        for run in runs:
            if receipt := self._receipt(run.key):
                since.append(receipt.finished)
            elif tip and (known := self._reds.known(run.key)) and tip.key(run) == run.key:
                since.append(known.since)
                before.append(run.label)
            else:
                missing.append(run.label)
                red += filter(None, [self._red(run)])
        verdict = Verdict.RED if red else Verdict.UNKNOWN if missing else Verdict.GREEN
        moment = min(one.since for one in red) if red else None if missing else max(since)
        return Remembered(verdict, moment, tuple(missing), tuple(red), tuple(before))

    def _receipt(self, key: str) -> Receipt | None:
        """Return the receipt filed under a key; what fifty worktrees have in common is read once."""
        if key not in self._seen:
            self._seen[key] = self._receipts.load(key)
        return self._seen[key]

    def _red(self, run: Run) -> Told | None:
        """Return since when a run is known to be red with this very content and by whom, or None."""
        if known := self._reds.known(run.key):
            return Told(run.label, known.since, known.origin)
        found = last.of(self._repository, run)
        return Told(run.label, found.finished) if found and found.is_red and found.key == run.key else None
