"""The target's tip as the measure of a change: what is red there under the very same key is not this change's doing.

Neither is what cannot run there either. A run is made on the tip itself where that is not known, never on trust. What the
target already contains has nobody else to answer for it, so it is not measured by the target (docs/adr/0024).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from homelab import output
from homelab.git.repository import Repository
from homelab.verify import last, runner, suites
from homelab.verify.attempt import Abandoned
from homelab.verify.origin import origins
from homelab.verify.reds import RedBefore, Reds, Told, words
from homelab.verify.results import Result, State
from homelab.verify.screen import Screen
from homelab.verify.suites import Run
from homelab.verify.tip import Tip


class Baseline(NamedTuple):
    """The target's tip, and whether what is red there is only told (`[gate] red_before`)."""

    commit: str
    tells: bool = True


class Comparison:
    """The runs of one change beside those of the target's tip."""

    def __init__(self, repository: Repository, baseline: Baseline) -> None:
        self._repository = repository
        self._baseline = baseline
        self._reds = Reds(repository.state)
        self._tip = Tip(repository, baseline.commit, suites.filters(repository.settings()))

    def remembered(self, run: Run) -> Result | None:
        """Return a run as red before where the target has its key and it was red there within a day, or None."""
        found = self._reds.known(run.key) if self._baseline.tells else None
        return _red_before(run, found) if found and self._tip.key(run) == run.key else None

    def settle(self, results: Sequence[Result], abandoned: Abandoned | None) -> list[Result]:
        """Return the results as measured by the target's tip, on which is run what that takes."""
        asked = {result.run.key: there for result in results if (there := self._question(result)) is not None}
        if not asked or (abandoned and abandoned()):
            return list(results)
        runs, screen = list(asked.values()), Screen("the target itself, where they are not green here", is_folded=True)
        screen.begin(self._baseline.commit, runs, 0, last.usual(self._repository, runs))
        try:
            # Nothing of this is kept: a green there is kept when somebody asks for it, and a red is what it is for a day.
            made = runner.make(self._repository, self._baseline.commit, runs, lambda _: None, screen, abandoned)
        finally:
            screen.finish()
        found = {result.run.key: result for result in made}
        answers = [(result, asked.get(result.run.key)) for result in results]
        red = (there for result, there in answers if there and _is_same_red(result, found[there.key]))
        known = origins(self._repository, self._baseline.commit, red)
        settled = [result if there is None else self._settled(result, found[there.key], known) for result, there in answers]
        return [result for result in settled if result is not None]

    def _question(self, result: Result) -> Run | None:
        """Return what has to be made on the tip to know what a result means, or None."""
        # Where CI gave no verdict, trying again on the target would tell nothing of the change.
        if (
            result.is_green
            or result.result in (State.RED_BEFORE, State.SKIPPED)
            or (result.result is State.UNABLE and result.run.suite.ci)
        ):
            return None
        there = self._tip.run(result.run)
        if there is None or result.run.is_guess:
            return there
        same = there.key == result.run.key
        if result.result is State.FAILED:
            return there if same else None
        return there if result.result is State.UNABLE and not same else None

    def _settled(self, here: Result, there: Result, known: Mapping[str, str]) -> Result | None:
        """Return a result by what the same suite does on the tip; None where it does not bind this change."""
        if here.run.is_guess and not there.is_green:
            output.warn(f"note: {here.run.label} was detected on the target and is not green there, so it does not bind this")
            return None
        if here.result is State.UNABLE:
            if there.result is State.UNABLE:
                return here
            return here._replace(result=State.FAILED, reason=f"{here.reason}, though it can run on the target")
        if here.result is not State.FAILED or there.run.key != here.run.key:
            return here
        if _is_same_red(here, there):
            found = self._reds.record(here.run.key, self._baseline.commit, known.get(here.run.key, ""))
            return _red_before(here.run, found, here) if self._baseline.tells else here
        if there.is_green:
            self._reds.distrust(here.run)
            words = "but green on the target with the same inputs: it depends on more than its `inputs`"
            output.warn(f"note: {here.run.label} is red here {words}, so none of its results is kept until that is mended")
            return here._replace(reason=f"{here.reason}, {words}")
        return here


def tell(results: Sequence[Result]) -> None:
    """Say which of the results are red before, since when, and who last changed what decides them."""
    for line in words(result.before for result in results if result.before):
        output.warn(f"red before, and not by this change: {line}")


def _is_same_red(here: Result, there: Result) -> bool:
    return here.result is State.FAILED is there.result and here.run.key == there.run.key


def _red_before(run: Run, found: RedBefore, here: Result | None = None) -> Result:
    by = f", its content last changed in {output.line(found.origin)}" if found.origin else ""
    reason = f"red on the target with the same content, known since {output.line(found.since)}{by}"
    told = Told(run.label, found.since, found.origin)
    return Result(run, State.RED_BEFORE, here.seconds if here else 0.0, here.log if here else None, reason, before=told)
