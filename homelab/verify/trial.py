"""Suites that nobody has agreed on yet, tried on a commit: what is green, what is red where, what cannot run here.

They run as a verification would, in scratch checkouts, so what is green is remembered. A trial decides nothing.
"""

import shutil
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from homelab import output
from homelab.errors import HomelabError, Interrupted
from homelab.git.repository import Repository
from homelab.policy import effects
from homelab.policy.config import Config, Suite
from homelab.policy.initial import Entry, Proposal
from homelab.policy.policy import Policy
from homelab.system import process
from homelab.verify import no_tests, verification
from homelab.verify.results import Result, State, end
from homelab.verify.screen import Screen
from homelab.verify.suites import Run

#: In so many folders a suite of many is tried before the others: without a network, none of them could run.
_SAMPLE = 4


class Trial(NamedTuple):
    """What trying one suite showed, in how many of its folders."""

    green: int = 0
    #: The folders in which it is red, and those that the time did not reach.
    red: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    #: The folders in which it ended well and ran no test, which is nothing to go by.
    idle: tuple[str, ...] = ()
    #: Why it cannot run here, in a few words, or empty.
    missing: str = ""
    #: Whether it was not even begun, since a program of its own line is not installed.
    is_absent: bool = False
    seconds: float = 0.0
    #: Whether somebody pressed ctrl-c meanwhile.
    was_stopped: bool = False

    @property
    def total(self) -> int:
        """In how many folders it would run."""
        return self.green + len(self.red) + len(self.idle) + len(self.unreached)


def try_out(repository: Repository, proposal: Proposal, *, seconds: float) -> tuple[Proposal, dict[str, Trial]]:
    """Return the proposal as trying it on its commit leaves it, and what each suite showed by its name.

    What cannot run here for want of a network, or is red everywhere, is tried once more without the part that needs one;
    what is left stands in front of the whole where it is green anywhere.
    """
    assert proposal.commit is not None
    until = time.monotonic() + seconds
    # Many folders that wait for a network use up all the time there is, and what is left of them needs some too.
    reserved = seconds / 3 if any(entry.finding.fallback for entry in proposal.entries if not entry.off) else 0
    trials = _attempt(repository, proposal.commit, proposal, until - reserved, proposal.commit[:7])
    if proposal.verify.prepare and not any(trial.green for trial in trials.values()):
        # What prepares the checkout may be all that fails, and most need none of it.
        unprepared = proposal.of([entry for entry in proposal.entries if not entry.finding.prepare])
        trials |= _attempt(repository, proposal.commit, unprepared, until, "what needs no preparation")
    _conclude_for_kin(proposal, trials)
    seen = {name: _judged(entry, trials[name], proposal.commit) for entry, name in _named(proposal) if name in trials}
    again = proposal.of([_what_is_left(entry) for entry, name in _named(proposal) if _has_more(seen.get(name), trials)])
    rest: dict[str, Trial] = {}
    if again.entries:  # each is unreached where the time is up or somebody has had enough
        was_stopped = any(trial.was_stopped for trial in trials.values())
        rest = _attempt(repository, proposal.commit, again, 0 if was_stopped else until, "what needs no network")
    left = {name: _judged(entry, rest[name], proposal.commit) for entry, name in _named(again)}
    entries: list[Entry] = []
    for entry, name in _named(proposal):
        whole = seen.get(name, entry)
        if name in left and not left[name].off:
            entries.append(left[name])
            whole = whole._replace(finding=whole.finding._replace(tool=f"{name}-whole"))
            trials[whole.finding.tool], trials[name] = trials[name], rest[name]
        entries.append(whole)
    return proposal.of(entries), trials


def _named(proposal: Proposal) -> list[tuple[Entry, str]]:
    return [(entry, entry.finding.tool) for entry in proposal.entries]


def _conclude_for_kin(proposal: Proposal, trials: dict[str, Trial]) -> None:
    """Take what the time did not reach for unable where its kin is: those of a kind need the same network."""
    kin = [name for entry, name in _named(proposal) if entry.finding.fallback and name in trials]
    offline = next((trials[name].missing for name in kin if trials[name].missing and not trials[name].is_absent), "")
    for name in kin:
        if offline and not (trials[name].green or trials[name].red or trials[name].is_absent):
            trials[name] = trials[name]._replace(missing=offline)


def _has_more(seen: Entry | None, trials: Mapping[str, Trial]) -> bool:
    """Tell whether something is left to be tried of what was switched off."""
    return bool(seen and seen.off and seen.finding.fallback and not trials[seen.finding.tool].is_absent)


def _what_is_left(entry: Entry) -> Entry:
    return Entry(entry.finding._replace(run=entry.finding.fallback, fallback=""))


def _attempt(repository: Repository, commit: str, proposal: Proposal, until: float, subject: str) -> dict[str, Trial]:
    """Return what each suite in force showed on a commit, until the time is up or somebody presses ctrl-c.

    A suite of many folders is tried in a few of them first: what cannot run in one is switched off whatever the others show.
    """
    lacking = {suite.name: missing for suite in proposal.suites if (missing := _missing(suite))}
    # Many folders take long: the others are to be known first.
    usable = sorted((suite for suite in proposal.suites if suite.name not in lacking), key=lambda suite: suite.each is not None)
    policy = Policy(Config(suites=tuple(usable), verify=proposal.verify), "a trial", None)
    demand = verification.demanded(repository, repository.objects.commit(commit).tree, (policy,))
    results: list[Result] = []
    was_stopped = False
    sample = _sample(demand.runs)
    keys = {run.key for run in sample}
    for runs, words in ((sample, subject), ([run for run in demand.runs if run.key not in keys], "the other folders")):
        unable = {result.run.suite.name for result in results if result.result is State.UNABLE}
        part = demand.part(run for run in runs if run.suite.name not in unable)
        if was_stopped or not part.runs or (results and time.monotonic() > until):
            continue
        notes = _Notes(words)
        try:
            verification.ensure(repository, commit, part, reporter=notes, abandoned=lambda: time.monotonic() > until)
        except Interrupted as error:
            if error.exit_code != 128 + signal.SIGINT:
                raise
            was_stopped = True
            output.say("stopped trying; what is known is kept")
        except HomelabError as error:
            if not notes.results:
                output.warn(f"the trial ended: {error.message}")
        results += notes.results
    known, _ = verification.lookup(repository, demand)
    results = [*known, *results]
    tried = {suite.name: _trial(suite.name, demand.runs, results)._replace(was_stopped=was_stopped) for suite in usable}
    return {**tried, **{name: Trial(missing=missing, is_absent=True) for name, missing in lacking.items()}}


def _sample(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the runs to begin with: all of a suite with few, and of one with many a few that lie far apart."""
    of: dict[str, list[Run]] = {}
    for run in runs:
        of.setdefault(run.suite.name, []).append(run)
    return tuple(run for several in of.values() for run in several[:: -(-len(several) // _SAMPLE)])


def _judged(entry: Entry, trial: Trial, commit: str) -> Entry:
    """Return an entry as its trial leaves it: in force where it is green anywhere or untried, else off with the reason."""
    if trial.missing:
        return entry._replace(off=f"it cannot run here: {trial.missing}")
    if trial.red and not trial.green:
        return entry._replace(off=f"it is red on {commit[:12]}; mend that, then take the marks of this comment away")
    if trial.idle and not trial.green:
        return entry._replace(off=f"it ran no test on {commit[:12]}, so its green says nothing")
    notes = []
    if trial.red:
        named = ", ".join(trial.red[:3]) + (", …" if len(trial.red) > 3 else "")
        notes.append(f"red in {len(trial.red)} of {trial.total} folders on {commit[:12]} ({named}): red before blocks nobody")
    if trial.unreached and trial.total > 1:
        notes.append(f"not tried in {len(trial.unreached)} of {trial.total} folders: the time was up")
    elif trial.unreached:
        notes.append("not tried: the time was up")
    return entry._replace(note="; ".join(notes))


def _missing(suite: Suite) -> str:
    """Return the program of a suite's own line that is not installed here, as words, or nothing."""
    path = process.suite_environment(suite.env).get("PATH")
    missing = sorted(name for name in effects.needed(suite.run) if shutil.which(name, path=path) is None)
    return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed" if missing else ""


class _Notes(Screen):
    """Shows runs, and keeps every result, so that an interruption loses none."""

    def __init__(self, subject: str) -> None:
        super().__init__(subject)
        self.results: list[Result] = []

    def ended(self, result: Result) -> None:
        self.results.append(result)
        super().ended(result)

    def verified(self, commit: str, results: Sequence[Result]) -> None:
        """Say nothing: part of a trial verifies no commit."""


def _trial(name: str, runs: Iterable[Run], results: Iterable[Result]) -> Trial:
    by_key: Mapping[str, Result] = {result.run.key: result for result in results}
    green, missing, seconds = 0, "", 0.0
    red: list[str] = []
    idle: list[str] = []
    unreached: list[str] = []
    for run in runs:
        if run.suite.name != name:
            continue
        result = by_key.get(run.key)
        if result is None or result.result is State.SKIPPED or "abandoned" in result.reason:
            unreached.append(run.dir)
            continue
        seconds += result.seconds
        if result.result is State.UNABLE:
            missing = result.reason.removeprefix("it cannot run here: ")
        elif not result.is_green:
            red.append(run.dir)
        elif _ran_nothing(result):
            idle.append(run.dir)
        else:
            green += 1
    return Trial(green, tuple(red), tuple(unreached), tuple(idle), missing, seconds=seconds)


def _ran_nothing(result: Result) -> bool:
    """Return whether a green comes from nothing: nobody has looked at this suite yet, so its author's word is not there."""
    return result.log is not None and no_tests.ran_nothing(result.run.suite.run, end(result.log, 1 << 20), 0)
