"""One run in one scratch checkout: prepared where that is due, retried where the suite may be, and judged.

A result counts only when the suite left every tracked file as the commit has it. What a result is worth, and whether it is
remembered, is `homelab.verify.verification`'s.
"""

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from homelab import output
from homelab.git.repository import Repository
from homelab.system import process, supervise
from homelab.verify import no_tests
from homelab.verify.checkout import Checkout
from homelab.verify.inability import inability
from homelab.verify.reporter import Reporter
from homelab.verify.results import Result, State, end, log_name
from homelab.verify.suites import Run

Abandoned = Callable[[], bool]


class Attempt(NamedTuple):
    """A run that is to be made in a slot, unless `ended` says that nobody wants it any more."""

    repository: Repository
    slot: Checkout
    commit: str
    run: Run
    reporter: Reporter
    ended: Abandoned

    def make(self) -> Result:
        """Return how the run ended, retries included."""
        red: Result | None = None
        for _ in range(1 + self.run.suite.retries):
            result = self._once()
            if result.is_green:
                return result._replace(flaky=red is not None)
            red = result
            if self.ended() or result.result is State.UNABLE:
                break
        assert red is not None
        return red

    def _once(self) -> Result:
        run, suite = self.run, self.run.suite
        self.slot.checkout(self.commit, run.verify.caches)
        if (failed := self._prepare()) is not None:
            return failed
        folder = self.slot.path / run.dir
        if not folder.is_dir():
            return Result(run, State.FAILED, 0.0, reason=f"there is no folder {run.dir} in the commit")
        log = self._log(suite.name)
        self.reporter.logging(run, log)
        done = self._supervise(suite.run, folder, (*run.verify.env, *suite.env), log)
        vacuous = suite.detected and done.code is not None and no_tests.ran_nothing(suite.run, end(log, 1 << 20), done.code)
        if not vacuous and (reason := _reason(done, suite.timeout)):
            return self._red(done, log, reason)
        if changed := self.slot.changed():
            return Result(run, State.FAILED, done.seconds, log, f"it changed tracked files: {output.names(changed, 3)}")
        return Result(run, State.PASSED, done.seconds, log, "it ran no test" if vacuous else "", vacuous=vacuous)

    def _prepare(self) -> Result | None:
        """Run ``[verify] prepare`` if its inputs changed. Return the failed result, or None.

        What it leaves outside the caches is taken away by the next clean checkout, so then it is run each time. The caches are
        as it left them, or empty where nothing prepares: what another commit's suite wrote there is gone.
        """
        run, slot = self.run, self.slot
        caches = run.verify.caches
        if run.verify.prepare is None or run.prepare is None:
            slot.clear(caches)
            return None
        is_prepared = slot.noted("prepared") == run.prepare and slot.noted("prepared-outside") != "yes"
        if is_prepared and slot.restore(caches):
            return None
        slot.note("prepared", "")
        slot.clear(caches)
        self.reporter.preparing(run)
        log = self._log("prepare")
        self.reporter.logging(run, log)
        done = self._supervise(run.verify.prepare, slot.path, run.verify.env, log)
        if reason := _reason(done, run.suite.timeout):
            return self._red(done, log, f"[verify] prepare failed: {reason}")
        if changed := slot.changed():
            return Result(
                run, State.FAILED, done.seconds, log, f"[verify] prepare changed tracked files: {output.names(changed, 3)}"
            )
        slot.note("prepared-outside", "yes" if slot.leftovers(caches) else "no")
        slot.keep(caches)
        slot.note("prepared", run.prepare)
        self.reporter.prepared(run, done.seconds)
        return None

    def _red(self, done: supervise.Ended, log: Path, reason: str) -> Result:
        """Return how a run ended that is not green: red, too late, or unable to run here."""
        if done.code and (missing := inability(end(log, 1 << 16), done.code)):
            return Result(self.run, State.UNABLE, done.seconds, log, f"it cannot run here: {missing}")
        return Result(self.run, State.TIMEOUT if done.timed_out else State.FAILED, done.seconds, log, reason)

    def _supervise(self, command: str, folder: Path, variables: Iterable[str], log: Path) -> supervise.Ended:
        return supervise.run(
            command,
            cwd=folder,
            env=process.suite_environment(variables),
            log=log,
            timeout=self.run.suite.timeout,
            keep_fds=(self.slot.lock_fd,),
            abandoned=self.ended,
            private=self.run.suite.secrets,
        )

    def _log(self, name: str) -> Path:
        return self.slot.logs() / f"{log_name(name, self.run)}-{os.getpid()}-{threading.get_ident() % 10_000}.log"


def _reason(done: supervise.Ended, timeout: int) -> str:
    """Return why a run is not green, or nothing."""
    if done.timed_out:
        return f"it was ended after its timeout of {output.duration(timeout)}"
    if done.abandoned:
        return "it was abandoned"
    if done.code is None or done.code < 0:
        return f"it was killed by {process.signal_name(-(done.code or 0))}"
    if done.code:
        return f"it ended with {done.code}{' (a program in it cannot be executed)' if done.code == 126 else ''}"
    return ""
