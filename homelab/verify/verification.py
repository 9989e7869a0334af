"""Proof that a commit passes: looked up where it is remembered, made by running what is missing.

Landing pushes a `Verified`, or a `Waived` by a person's word, and nobody else can make one. How a run is made is
`homelab.verify.runner`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from homelab import output
from homelab.errors import Failed, Refused
from homelab.git.repository import Repository
from homelab.policy.policy import Policy
from homelab.system import clock, identity
from homelab.verify import runner, suites, times
from homelab.verify.attempt import Abandoned
from homelab.verify.receipts import Receipt, Receipts
from homelab.verify.reporter import Reporter
from homelab.verify.results import Result, State, documents, evidence
from homelab.verify.screen import Screen
from homelab.verify.suites import Demand, Run

_MAKER = object()


@dataclass(frozen=True, slots=True)
class Verified:
    """A commit whose tree passed what its target demands. Made by `ensure` alone."""

    commit: str
    tree: str
    results: tuple[Result, ...]
    maker: object

    def __post_init__(self) -> None:
        """Let nobody else make one."""
        _require_maker(self.maker)


@dataclass(frozen=True, slots=True)
class Waived:
    """A commit that a person lets land without verification. Made by `waive` alone."""

    commit: str
    tree: str
    maker: object

    def __post_init__(self) -> None:
        """Let nobody else make one."""
        _require_maker(self.maker)


def _require_maker(maker: object) -> None:
    if maker is not _MAKER:
        raise TypeError("only verification.ensure makes a Verified, and verification.waive a Waived")


class Unverifiable(Refused):
    """No suite is configured or detected, or none of those detected ran a test."""


class Red(Failed):
    """A suite is not green."""

    def __init__(self, message: str, results: Sequence[Result], *, hint: str, next: str | None = None) -> None:
        found = documents(results)
        super().__init__(message, hint=hint, next=next, fields={"suites": found}, evidence=evidence(found))
        self.results = tuple(results)


def demanded(repository: Repository, tree: str, policies: Sequence[Policy]) -> Demand:
    """Return what a tree needs by its policies."""
    return suites.demand(repository.objects, tree, policies, suites.filters(repository))


def lookup(repository: Repository, demand: Demand) -> tuple[list[Result], list[Run]]:
    """Return what is remembered as green, and what would have to be run.

    Runs that were vacuous everywhere prove nothing together, so they are to be run again.
    """
    kept = Receipts(repository.state)
    known: list[Result] = []
    missing: list[Run] = []
    for run in demand.runs:
        receipt = kept.load(run.key)
        if receipt is None:
            missing.append(run)
        else:
            known.append(Result(run, State.CACHED, 0.0, flaky=receipt.flaky, vacuous=receipt.vacuous))
    if known and all(result.vacuous for result in known) and not missing:
        return [], [result.run for result in known]
    return known, missing


def ensure(
    repository: Repository,
    commit: str,
    demand: Demand,
    *,
    fresh: bool = False,
    reporter: Reporter | None = None,
    abandoned: Abandoned | None = None,
) -> Verified:
    """Return proof that the commit passes, having run what was missing (all of it when `fresh`).

    Raises `Unverifiable` when there is nothing to run, `Red` when something is not green.
    """
    if not demand.verifiable:
        raise Unverifiable(
            "nothing can verify this: no suite is configured and none is detected",
            hint="write one with `homelab init`; for this once `homelab work land` takes --verify-cmd CMD or --no-verify",
            next="homelab init",
        )
    reporter = reporter or Screen()
    if not fresh and Receipts(repository.state).load(demand.whole):
        known = tuple(Result(run, State.CACHED, 0.0) for run in demand.runs)
        reporter.verified(commit, known)
        return Verified(commit, demand.tree, known, _MAKER)
    known_now, missing = ([], list(demand.runs)) if fresh else lookup(repository, demand)
    for run in missing:
        for path in run.missing:
            output.warn(f"note: {run.label} names the input {path}, which {commit[:12]} does not have")
    reporter.begin(commit, missing, len(known_now), times.usual(repository))
    try:
        made = runner.make(
            repository,
            commit,
            missing,
            lambda result: _remember(repository, result.run.key, result.run.suite.name, [result], commit),
            reporter,
            abandoned,
        )
    finally:
        reporter.finish()  # also when interrupted: a live line would stay
    times.remember(repository, made)
    by_key = {result.run.key: result for result in (*known_now, *made)}
    results = tuple(by_key[run.key] for run in demand.runs)
    _require_green(commit, results)
    _remember(repository, demand.whole, "policy", results, commit)
    reporter.verified(commit, results)
    return Verified(commit, demand.tree, results, _MAKER)


def _require_green(commit: str, results: Sequence[Result]) -> None:
    """All are green, and one at least ran a test. Raises `Red` or `Unverifiable`."""
    if red := [result for result in results if not result.is_green]:
        raise _red(commit, results, red)
    if results and all(result.vacuous for result in results):
        raise Unverifiable(
            f"{results[0].run.label} ran no test, so nothing is verified",
            hint="add a test, or name what verifies this in homelab.toml (`homelab init`)",
            next="homelab init",
            fields={"suites": documents(results)},
        )


def waive(commit: str, tree: str) -> Waived:
    """Return a person's word that the commit may land as it is."""
    return Waived(commit, tree, _MAKER)


def _red(commit: str, results: Sequence[Result], red: Sequence[Result]) -> Red:
    first = next((result for result in red if result.result != State.SKIPPED), red[0])
    more = f" and {len(red) - 1} more" if len(red) > 1 else ""
    what = {State.FAILED: "is red", State.TIMEOUT: "timed out", State.SKIPPED: "was not run"}[first.result]
    hint = f"mend it, commit, and run it again; the whole log is {first.log}" if first.log else "mend it and run it again"
    return Red(f"{first.run.label}{more} {what} on {commit[:12]}", results, hint=hint)


def _remember(repository: Repository, key: str, name: str, results: Sequence[Result], commit: str) -> None:
    """A receipt stands under the key; where nothing can be written that is said, and the result still counts now."""
    run = results[0].run if len(results) == 1 and name != "policy" else None
    receipt = Receipt(
        key=key,
        name=name,
        dir=run.dir if run else ".",
        run=run.suite.run if run else "",
        seconds=round(sum(result.seconds for result in results), 3),
        finished=clock.now(),
        user=identity.user(),
        host=identity.host(),
        commit=commit,
        flaky=any(result.flaky for result in results),
        vacuous=bool(results) and all(result.vacuous for result in results),
    )
    try:
        Receipts(repository.state).record(receipt)
    except OSError as error:
        output.warn(f"note: the result cannot be remembered: {error.strerror} ({error.filename})")
