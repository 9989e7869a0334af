"""The workers that make runs: as many as jobs allow, each with a scratch checkout of its own.

How one run is made is `homelab.verify.attempt`'s.
"""

import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from homelab.git.repository import Repository
from homelab.verify import scratch
from homelab.verify.attempt import Abandoned, Attempt
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
    """Return how the runs ended, made by as many workers as jobs are allowed.

    Give each green to `remember` at once, so that nothing is lost when a later one is interrupted.
    """
    if not runs:
        return []
    jobs = min(len(runs), max(run.verify.jobs or os.cpu_count() or 1 for run in runs))
    work = _WorkQueue(repository, commit, remember, reporter, abandoned)
    for run in runs:
        work.waiting.put(run)
    _work_off(work, jobs)
    if work.errors:
        raise work.errors[0]
    skipped = (Result(run, State.SKIPPED, 0.0, reason="it was not reached") for run in runs if run.key not in work.results)
    return [*work.results.values(), *skipped]


@dataclass(slots=True)
class _WorkQueue:
    """Runs that wait, of which each worker takes the next one, and the results of those that were made."""

    repository: Repository
    commit: str
    remember: Callable[[Result], None]
    reporter: Reporter
    abandoned: Abandoned | None
    waiting: "queue.SimpleQueue[Run]" = field(default_factory=queue.SimpleQueue)
    results: dict[str, Result] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Make run after run until none waits, or the rest is not wanted."""
        try:
            with scratch.slot(self.repository) as slot:
                while not self._ended():
                    try:
                        run = self.waiting.get_nowait()
                    except queue.Empty:
                        return
                    self.reporter.started(run)
                    result = Attempt(self.repository, slot, self.commit, run, self.reporter, self._ended).make()
                    if result.is_green:
                        self.remember(result)
                    self.results[run.key] = result
                    self.reporter.ended(result)
        except BaseException as error:  # handed to the caller's thread, which raises it
            self.errors.append(error)
            self.stop.set()

    def _ended(self) -> bool:
        return self.stop.is_set() or bool(self.abandoned and self.abandoned())


def _work_off(work: _WorkQueue, jobs: int) -> None:
    """Start the workers and wait for them; on an interruption end their suites first."""
    threads = [threading.Thread(target=work.work, daemon=True) for _ in range(jobs)]
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
