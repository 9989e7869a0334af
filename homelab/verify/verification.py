"""Proof that a commit passes: looked up where it is remembered, made by running what is missing.

Landing pushes a `Verified`, or a `Waived` by a person's word, and nobody else can make one. How a run is made is
`homelab.verify.runner`'s.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from homelab import output
from homelab.errors import Failed, Refused
from homelab.git.repository import Repository
from homelab.policy.policy import Policy
from homelab.system import clock, identity
from homelab.verify import last, runner, suites
from homelab.verify.attempt import Abandoned
from homelab.verify.baseline import Baseline, Comparison, tell
from homelab.verify.pointers import pointer
from homelab.verify.receipts import TREE, Receipt, Receipts
from homelab.verify.reds import Reds
from homelab.verify.reporter import Reporter
from homelab.verify.results import Result, State, documents, evidence
from homelab.verify.screen import Screen
from homelab.verify.suites import Demand, Run

_MAKER = object()


@dataclass(frozen=True, slots=True)
class _Landable:
    """A commit that may land, and what only this module has: nobody else makes one."""

    commit: str
    tree: str
    maker: object

    def __post_init__(self) -> None:
        if self.maker is not _MAKER:
            raise TypeError("only verification.ensure makes a Verified, and verification.waive a Waived")


@dataclass(frozen=True, slots=True)
class Verified(_Landable):
    """A commit whose tree passed what its target demands. Made by `ensure` alone."""

    results: tuple[Result, ...]
    #: Whether the tree is remembered as a whole and nothing is to be told of it, so that a marker may stand for it.
    lasting: bool


class Waived(_Landable):
    """A commit that a person lets land without verification. Made by `waive` alone."""

    __slots__ = ()


class Unverifiable(Refused):
    """No suite is configured or detected, or none of those detected ran a test."""


class Red(Failed):
    """A suite is not green."""

    def __init__(self, message: str, results: Sequence[Result], *, hint: str, next: str | None = None) -> None:
        found = documents(results)
        super().__init__(message, hint=hint, next=next, fields={"suites": found}, evidence=evidence(found))
        self.results = tuple(results)


class Unable(Refused):
    """A suite cannot run here, and none is red."""

    def __init__(self, message: str, results: Sequence[Result], *, hint: str) -> None:
        found = documents(results)
        super().__init__(message, hint=hint, fields={"suites": found}, evidence=evidence(found))
        self.results = tuple(results)


def demanded(repository: Repository, tree: str, policies: Sequence[Policy]) -> Demand:
    """Return what a tree needs by its policies."""
    return suites.demand(repository.objects, tree, policies, suites.filters(repository.settings()))


def lookup(repository: Repository, demand: Demand, comparison: Comparison | None = None) -> tuple[list[Result], list[Run]]:
    """Return what is remembered as green, or as red before, and what would have to be run.

    Runs that were vacuous everywhere prove nothing together, so they are to be run again.
    """
    kept = Receipts(repository.state)
    known: list[Result] = []
    missing: list[Run] = []
    for run in demand.runs:
        if (receipt := kept.load(run.key)) is not None:
            known.append(Result(run, State.CACHED, 0.0, flaky=receipt.flaky, vacuous=receipt.vacuous, url=receipt.url or None))
        elif comparison is not None and (before := comparison.remembered(run)) is not None:
            known.append(before)
        else:
            missing.append(run)
    if known and all(result.vacuous for result in known) and not missing:
        return [], [result.run for result in known]
    return known, missing


def compared(repository: Repository, commit: str, baseline: Baseline | None) -> Comparison | None:
    """Return what measures a commit by the target's tip; None without a tip, or where it already contains the commit."""
    if baseline is None or repository.is_ancestor(commit, baseline.commit):
        return None
    return Comparison(repository, baseline)


def ensure(
    repository: Repository,
    commit: str,
    demand: Demand,
    *,
    baseline: Baseline | None = None,
    fresh: bool = False,
    reporter: Reporter | None = None,
    abandoned: Abandoned | None = None,
) -> Verified:
    """Return proof that the commit passes, having run what was missing (all of it when `fresh`).

    What is red on `baseline` too, under the same key, is told and is no obstacle. Raises `Unverifiable` when there is nothing
    to run, `Red` when something is not green, `Unable` when nothing is red and something cannot run here.
    """
    _require_runs(demand)
    for note in demand.notes:
        output.warn(f"note: {output.line(note)}")
    reporter = reporter or Screen()
    if not fresh and Receipts(repository.state).load(demand.whole):
        known = tuple(Result(run, State.CACHED, 0.0) for run in demand.runs)
        reporter.verified(commit, known)
        return Verified(commit, demand.tree, _MAKER, known, demand.is_lasting)
    comparison = compared(repository, commit, baseline)
    known_now, missing = ([], list(demand.runs)) if fresh else lookup(repository, demand, comparison)
    reporter.begin(commit, missing, sum(one.is_green for one in known_now), last.usual(repository, missing))
    made = _made(repository, commit, missing, reporter, abandoned)
    if fresh:
        Reds(repository.state).forget([result.run.key for result in made if not result.is_green])
    if comparison is not None:
        made = comparison.settle(made, abandoned)
    found = {(result.run.key, result.run.label): result for result in (*known_now, *made)}
    results = tuple(found[run.key, run.label] for run in demand.runs if (run.key, run.label) in found)
    _require_green(repository, commit, results, baseline, demand)
    tell(results)
    kept = _Memory(repository, commit).keep_whole(demand, results)
    reporter.verified(commit, results)
    return Verified(commit, demand.tree, _MAKER, results, kept and demand.is_lasting)


def _made(
    repository: Repository, commit: str, missing: Sequence[Run], reporter: Reporter, abandoned: Abandoned | None
) -> Sequence[Result]:
    """Return how the runs ended, having made and remembered them."""
    try:
        made = runner.make(repository, commit, missing, _Memory(repository, commit).keep, reporter, abandoned)
    finally:
        reporter.finish()  # also when interrupted: a live line would stay
    if made:
        from homelab.verify import cache  # rarely: most of what is asked for is remembered

        cache.tidy()
    return made


def _require_runs(demand: Demand) -> None:
    """Check that the rules demand a run at all. Raises `Unverifiable`."""
    once = "for this once `homelab work land` takes --verify-cmd CMD or --no-verify"
    if not demand.verifiable:
        raise Unverifiable(
            "nothing can verify this: no suite is configured and none is detected",
            hint=f"{(way := demand.way_on)[0]}; {once}",
            next=way[1],
        )
    if not demand.runs:
        raise Unverifiable(
            f"nothing would run, so nothing is verified: {'; '.join(demand.notes)}",
            hint=f"mend `each` in homelab.toml; {once}",
        )


def _require_green(
    repository: Repository, commit: str, results: Sequence[Result], baseline: Baseline | None, demand: Demand
) -> None:
    """Check that nothing blocks, and that one run at least ran a test. Raises `Red`, `Unable` or `Unverifiable`."""
    blocking = [result for result in results if result.result.blocks]
    unable = [result for result in blocking if result.result is State.UNABLE]
    if len(unable) < len(blocking):
        raise _red(repository, commit, results, [result for result in blocking if result.result is not State.UNABLE])
    if unable:
        raise _unable(commit, results, unable, compared=baseline is not None)
    if all(result.vacuous for result in results):
        first = f"{results[0].run.label} ran no test" if results else "no suite that binds this commit ran"
        raise Unverifiable(
            f"{first}, so nothing is verified",
            hint=f"add a test, or say what verifies this: {(way := demand.way_on)[0]}",
            next=way[1],
            fields={"suites": documents(results)},
        )


def waive(commit: str, tree: str) -> Waived:
    """Return a person's word that the commit may land as it is."""
    return Waived(commit, tree, _MAKER)


def _red(repository: Repository, commit: str, results: Sequence[Result], red: Sequence[Result]) -> Red:
    first = next((result for result in red if result.result != State.SKIPPED), red[0])
    more = f" and {len(red) - 1} more" if len(red) > 1 else ""
    what = {State.FAILED: "is red", State.TIMEOUT: "timed out", State.SKIPPED: "was not run"}[first.result]
    shown = f"{first.run.suite.name}:{first.run.dir}" if first.run.suite.each else first.run.suite.name
    whole = f"; `homelab log {shlex.quote(shown)}` shows all of it" if first.log else ""
    other = next((words for result in red if (words := pointer(repository, result))), None)
    hint = f"{other or 'mend it, commit, and run it again'}{whole}"
    return Red(f"{first.run.label}{more} {what} on {commit[:12]}", results, hint=hint)


def _unable(commit: str, results: Sequence[Result], unable: Sequence[Result], *, compared: bool) -> Unable:
    first, count = unable[0], len(unable)
    more = f" and {count - 1} more" if count > 1 else ""
    blame = f"; nothing in {commit[:12]} is wrong" if compared else ""
    missing = first.reason.removeprefix("it cannot run here: ")
    if first.run.suite.ci:
        missing, _, way = missing.partition("; ")  # a refusal names what to do itself
        look = f"look at {first.url}" if first.url else "README.md, Verified by your CI, has the lines that it needs"
        return Unable(f"{first.run.label}{more} has no verdict for {commit[:12]}: {missing}", results, hint=way or look)
    return Unable(
        f"{first.run.label}{more} cannot run here: {missing}{blame}",
        results,
        hint=f'{_remedy(missing)}; or let CI decide it (`ci = "PATTERN"` instead of `run` in homelab.toml)',
    )


def _remedy(missing: str) -> str:
    """Return what to do about what is missing here, as a command where there is one."""
    if missing.endswith(" is not installed"):
        return f"install {missing.removesuffix(' is not installed')}, then run it again"
    return "mend that, then run it again"


class _Memory:
    """What the verification of one commit leaves to be remembered."""

    def __init__(self, repository: Repository, commit: str) -> None:
        self._repository = repository
        self._state = repository.state
        self._commit = commit

    def keep(self, result: Result) -> None:
        """Remember how a run ended for people, and a green one unless its suite is known to depend on more than its inputs."""
        last.remember(self._repository, self._commit, result)
        if result.is_green and not Reds(self._state).distrusted(result.run):
            run = result.run
            self._record(run.key, run.suite.name, run.dir, run.suite.run, [result])

    def keep_whole(self, demand: Demand, results: Sequence[Result]) -> bool:
        """Remember a tree as a whole where each of its runs is remembered as green. Return whether it is."""
        green = len(results) == len(demand.runs) and all(each.is_green for each in results)
        green = green and not Reds(self._state).any_distrusted(each.run for each in results)
        if green:
            self._record(demand.whole, TREE, ".", "", results, demand.notes)
        return green

    def _record(
        self, key: str, name: str, folder: str, command: str, results: Sequence[Result], notes: tuple[str, ...] = ()
    ) -> None:
        receipt = Receipt(
            key=key,
            name=name,
            dir=folder,
            run=command,
            seconds=round(sum(result.seconds for result in results), 3),
            finished=clock.now(),
            user=identity.user(),
            host=identity.host(),
            commit=self._commit,
            flaky=any(result.flaky for result in results),
            vacuous=bool(results) and all(result.vacuous for result in results),
            notes=notes,
            url=next((result.url for result in results if result.url), ""),
        )
        try:
            Receipts(self._state).record(receipt)
        except OSError as error:  # the result counts now all the same
            output.warn(f"note: the result cannot be remembered: {error.strerror} ({error.filename})")
