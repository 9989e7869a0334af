"""How runs are made: each on exactly its commit, in a scratch checkout, under a warden, by as many workers as jobs allow.

A result counts only when the suite left every tracked file as the commit has it. What a result is worth, and whether it is
remembered, is `homelab.verify.verification`'s.
"""

import os
import queue
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homelab import output
from homelab.git.repository import Repository
from homelab.system import process, supervise
from homelab.verify import no_tests, scratch
from homelab.verify.suites import Run

PASSED, CACHED, FAILED, TIMEOUT, SKIPPED = "passed", "cached", "failed", "timeout", "skipped"

_TAIL_LINES = 20
_TAIL_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Result:
    """How one run ended: passed, cached, failed, timeout, or skipped because it was not reached."""

    run: Run
    result: str
    seconds: float
    log: Path | None = None
    #: Why it is not green, in a few words.
    reason: str = ""
    flaky: bool = False
    vacuous: bool = False

    @property
    def is_green(self) -> bool:
        """Tell whether it passed, now or before."""
        return self.result in (PASSED, CACHED)

    def document(self) -> dict[str, Any]:
        """Return it as answers in JSON have it."""
        found: dict[str, Any] = {"name": self.run.suite.name, "dir": self.run.dir, "result": self.result}
        found |= {"seconds": round(self.seconds, 3), "log": str(self.log) if self.log else None, "key": self.run.key}
        if self.flaky:
            found["flaky"] = True
        if self.reason:
            found["reason"] = self.reason
        return found


class Reporter:
    """Told what happens while suites run; this one narrates plain lines."""

    def begin(self, total: int) -> None:
        """So many runs are to be made."""

    def started(self, run: Run) -> None:
        """A run has begun."""
        output.say(f"running {run.label}")

    def ended(self, result: Result) -> None:
        """A run has ended."""
        words = f"{result.result} {result.run.label} in {output.duration(result.seconds)}"
        output.say(f"{words}: {result.reason}" if result.reason else words)

    def finish(self) -> None:
        """All runs have ended."""


Abandoned = Callable[[], bool]


class Silent(Reporter):
    """Tells nothing."""

    def started(self, run: Run) -> None:
        """Nothing is said."""

    def ended(self, result: Result) -> None:
        """Nothing is said."""


def tail(log: Path) -> str:
    """Return the last lines of a log, whatever bytes it holds."""
    text = _end(log, _TAIL_BYTES)
    rows = [row[-400:] for row in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return "\n".join(rows[-_TAIL_LINES - 1 :]).strip("\n")


def _end(log: Path, size: int) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - size))
        return file.read().decode(errors="replace")


def make(
    repository: Repository,
    commit: str,
    runs: Sequence[Run],
    remember: Callable[[Result], None],
    reporter: Reporter,
    abandoned: Abandoned | None,
) -> list[Result]:
    """Return how the runs ended, made by as many workers as jobs are allowed, each in a checkout of its own.

    Each green is given to `remember` at once, so that nothing is lost when a later one is interrupted.
    """
    if not runs:
        return []
    jobs = min(len(runs), max(run.verify.jobs or os.cpu_count() or 1 for run in runs))
    pile = _Pile(repository, commit, remember, reporter, abandoned)
    for run in runs:
        pile.waiting.put(run)
    reporter.begin(len(runs))
    try:
        _work_off(pile.work, jobs, pile.stop)
    finally:
        reporter.finish()  # also when interrupted: a live line hides the cursor
    if pile.errors:
        raise pile.errors[0]
    skipped = (Result(run, SKIPPED, 0.0, reason="it was not reached") for run in runs if run.key not in pile.results)
    return [*pile.results.values(), *skipped]


@dataclass(slots=True)
class _Pile:
    """Runs that wait, of which each worker takes the next one, and what became of those that were taken."""

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
        """No run waits any more, or the rest is not wanted."""
        try:
            with scratch.slot(self.repository) as slot:
                while not self._ended():
                    try:
                        run = self.waiting.get_nowait()
                    except queue.Empty:
                        return
                    self.reporter.started(run)
                    result = _run(self.repository, slot, self.commit, run, self._ended)
                    if result.is_green:
                        self.remember(result)
                    self.results[run.key] = result
                    self.reporter.ended(result)
        except BaseException as error:  # handed to the caller's thread, which raises it
            self.errors.append(error)
            self.stop.set()

    def _ended(self) -> bool:
        return self.stop.is_set() or bool(self.abandoned and self.abandoned())


def _work_off(work: Callable[[], None], jobs: int, stop: threading.Event) -> None:
    """All workers have ended; an interruption ends their suites first."""
    threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():  # a wait without limit would not let a signal's handler run
                thread.join(0.1)
    except BaseException:
        stop.set()
        for thread in threads:
            thread.join(30)
        raise


def _run(repository: Repository, slot: scratch.Slot, commit: str, run: Run, ended: Abandoned) -> Result:
    """Return how a run ended, retries included."""
    red: Result | None = None
    for _ in range(1 + run.suite.retries):
        result = _once(repository, slot, commit, run, ended)
        if result.is_green:
            return Result(run, PASSED, result.seconds, result.log, result.reason, red is not None, result.vacuous)
        red = result
        if ended():
            break
    assert red is not None
    return red


def _once(repository: Repository, slot: scratch.Slot, commit: str, run: Run, ended: Abandoned) -> Result:
    slot.checkout(commit, run.verify.caches)
    if (failed := _prepare(repository, slot, run, ended)) is not None:
        return failed
    folder = slot.path / run.dir
    if not folder.is_dir():
        return Result(run, FAILED, 0.0, reason=f"there is no folder {run.dir} in the commit")
    log = _log(repository, run.suite.name, run.key)
    env = process.suite_environment((*run.verify.env, *run.suite.env))
    done = supervise.run(
        run.suite.run, cwd=folder, env=env, log=log, timeout=run.suite.timeout, keep_fds=(slot.lock_fd,), abandoned=ended
    )
    vacuous = (
        run.suite.detected and done.code is not None and no_tests.ran_nothing(run.suite.run, _end(log, 1 << 20), done.code)
    )
    if not vacuous and (reason := _reason(done, run.suite.timeout)):
        return Result(run, TIMEOUT if done.timed_out else FAILED, done.seconds, log, reason)
    if changed := slot.changed():
        return Result(run, FAILED, done.seconds, log, f"it changed tracked files: {_names(changed)}")
    return Result(run, PASSED, done.seconds, log, "it ran no test" if vacuous else "", vacuous=vacuous)


def _names(paths: Sequence[str]) -> str:
    return ", ".join(map(output.line, paths[:3])) + (" …" if len(paths) > 3 else "")


def _reason(done: supervise.Ended, timeout: int) -> str:
    """Return why a run is not green, or nothing."""
    if done.timed_out:
        return f"it was ended after its timeout of {output.duration(timeout)}"
    if done.abandoned:
        return "it was abandoned"
    if done.code is None or done.code < 0:
        return f"it was killed by {process.signal_name(-(done.code or 0))}"
    if done.code:
        hint = {126: " (a program in it cannot be executed)", 127: " (a program in it was not found)"}.get(done.code, "")
        return f"it ended with {done.code}{hint}"
    return ""


def _prepare(repository: Repository, slot: scratch.Slot, run: Run, ended: Abandoned) -> Result | None:
    """The checkout is prepared; what failed otherwise.

    It is prepared once for each state of its inputs, unless it leaves something outside the caches, which every run's clean
    checkout takes away again.
    """
    command = run.verify.prepare
    if command is None or run.prepare is None:
        return None
    if slot.noted("prepared") == run.prepare and slot.noted("prepared-outside") != "yes":
        return None
    slot.note("prepared", "")
    log = _log(repository, "prepare", run.key)
    env = process.suite_environment(run.verify.env)
    done = supervise.run(
        command, cwd=slot.path, env=env, log=log, timeout=run.suite.timeout, keep_fds=(slot.lock_fd,), abandoned=ended
    )
    if reason := _reason(done, run.suite.timeout):
        return Result(run, FAILED, done.seconds, log, f"[verify] prepare failed: {reason}")
    if changed := slot.changed():
        return Result(run, FAILED, done.seconds, log, f"[verify] prepare changed tracked files: {_names(changed)}")
    slot.note("prepared-outside", "yes" if slot.leftovers(run.verify.caches) else "no")
    slot.note("prepared", run.prepare)
    return None


def _log(repository: Repository, name: str, key: str) -> Path:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:40]
    folder = repository.state / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{plain}-{key[:12]}-{os.getpid()}-{threading.get_ident() % 10_000}.log"
