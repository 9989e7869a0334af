"""The workers that make runs: as many as jobs allow, each with a scratch checkout of its own.

How one run is made is `homelab.verify.attempt`'s.
"""

import functools
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from homelab.git.repository import Repository
from homelab.verify import scratch
from homelab.verify.attempt import Abandoned, Attempt
from homelab.verify.checkout import Checkout
from homelab.verify.reporter import Reporter
from homelab.verify.results import Result, State
from homelab.verify.suites import Run


def make(
    repository: Repository,
    commit: str,
    runs: Sequence[Run],
    remember: Callable[[Result], None],
    reporter: Reporter,
    abandoned: Abandoned | None,
) -> list[Result]:
    """Return how the runs ended, made by as many workers as jobs are allowed. What has one key is made once.

    Give each to `remember` at once, so that nothing is lost when a later one is interrupted.
    """
    if not runs:
        return []
    asked: dict[str, list[Run]] = {}
    for run in runs:
        asked.setdefault(run.key, []).append(run)
    work = _WorkQueue(repository, commit, asked, remember, reporter, abandoned)
    first = [several[0] for several in asked.values()]
    here = [run for run in first if run.suite.ci is None]
    for run in here:
        work.waiting.put(run)
    jobs = min(len(here), max(run.verify.jobs or os.cpu_count() or 1 for run in runs))
    # What CI decides takes none of this machine's time, so it is begun at once.
    elsewhere = [functools.partial(work.at_ci, run) for run in first if run.suite.ci is not None]
    _work_off(work, [*[work.work] * jobs, *elsewhere])
    if work.errors:
        raise work.errors[0]
    made = {result.run.key for result in work.results}
    skipped = (Result(run, State.SKIPPED, 0.0, reason="it was not reached") for run in runs if run.key not in made)
    return [*work.results, *skipped]


@dataclass(slots=True)
class _WorkQueue:
    """Runs that wait, of which each worker takes the next one, and the results of those that were made."""

    repository: Repository
    commit: str
    #: Every run, by its key: suites that ask the same of the same content.
    asked: Mapping[str, Sequence[Run]]
    remember: Callable[[Result], None]
    reporter: Reporter
    abandoned: Abandoned | None
    waiting: "queue.SimpleQueue[Run]" = field(default_factory=queue.SimpleQueue)
    results: list[Result] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Make run after run until none waits, or the rest is not wanted."""
        with scratch.slot(self.repository) as slot:
            while not self._ended():
                try:
                    run = self.waiting.get_nowait()
                except queue.Empty:
                    return
                self.reporter.started(run)
                self._made(self._with_secrets(run) if run.suite.secrets else self._attempt(run, slot))

    def _attempt(self, run: Run, slot: Checkout) -> Result:
        return Attempt(self.repository, slot, self.commit, run, self.reporter, self._ended).make()

    def _with_secrets(self, run: Run) -> Result:
        from homelab.verify import unlocked

        try:
            with unlocked.slot(self.repository, self.commit) as slot:
                # Nothing that another run left is in it, and nothing of it is left to another.
                result = self._attempt(run._replace(verify=run.verify._replace(caches=())), slot)
        except unlocked.Locked as locked:
            return Result(run, State.UNABLE, 0.0, reason=f"it cannot run here: {locked}")
        return result._replace(run=run)

    def at_ci(self, run: Run) -> None:
        """Make a run that CI decides."""
        from homelab.verify import by_ci

        self.reporter.started(run)
        self._made(by_ci.make(self.repository, self.commit, run, self._ended))

    def guard(self, task: Callable[[], None]) -> None:
        """Run a worker's task. What it raises ends all of them, and the caller's thread raises it."""
        try:
            task()
        except BaseException as error:
            self.errors.append(error)
            self.stop.set()

    def _made(self, result: Result) -> None:
        for run in self.asked[result.run.key]:
            own = result._replace(run=run)
            self.remember(own)
            self.results.append(own)
            self.reporter.ended(own)

    def _ended(self) -> bool:
        return self.stop.is_set() or bool(self.abandoned and self.abandoned())


def _work_off(work: _WorkQueue, tasks: Sequence[Callable[[], None]]) -> None:
    """Start the workers and wait for them; on an interruption end their suites first."""
    threads = [threading.Thread(target=work.guard, args=[task], daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():  # a wait without limit would not let a signal's handler run
                thread.join(0.1)
                work.reporter.tick()
    except BaseException:
        work.stop.set()
        for thread in threads:
            thread.join(30)
        raise
