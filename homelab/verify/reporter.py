"""What a person sees while suites run: a live line on a terminal, plain lines elsewhere.

Runs are made in threads: every event but `tick` may come from any of them.
"""

import sys
import threading
import time
from typing import Protocol

from homelab import output
from homelab.verify.results import Result
from homelab.verify.suites import Run

_FRAMES = "|/-\\"


class Reporter(Protocol):
    """Told what happens while suites run."""

    def begin(self, total: int, cached: int) -> None:
        """Learn that `total` runs are to be made, and that `cached` are known to be green."""

    def started(self, run: Run) -> None:
        """Learn that a run has begun."""

    def prepared(self, run: Run, seconds: float) -> None:
        """Learn that the checkout of a run was prepared anew, in so many seconds."""

    def ended(self, result: Result) -> None:
        """Learn how a run ended."""

    def tick(self) -> None:
        """Learn that time has passed: called about ten times a second by the thread that waits."""

    def finish(self) -> None:
        """Learn that all runs have ended, or were interrupted."""


class Silent:
    """Says nothing."""

    def begin(self, total: int, cached: int) -> None:
        """Say nothing."""

    def started(self, run: Run) -> None:
        """Say nothing."""

    def prepared(self, run: Run, seconds: float) -> None:
        """Say nothing."""

    def ended(self, result: Result) -> None:
        """Say nothing."""

    def tick(self) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


class Lines(Silent):
    """Narrates a plain line for each run, for pipes and logs."""

    def started(self, run: Run) -> None:
        """Name the run."""
        output.say(f"running {run.label}")

    def ended(self, result: Result) -> None:
        """Say how the run ended."""
        words = f"{result.result} {result.run.label} in {output.duration(result.seconds)}"
        output.say(f"{words}: {result.reason}" if result.reason else words)


class Live(Silent):
    """Redraws one line on a terminal's stderr: how many runs are done, for how long, and what runs.

    Drawn by hand: importing rich for this line took 170 ms and more, a tenth of that for all the rest.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[str] = []
        self._total = self._done = self._frame = 0
        self._began = time.monotonic()

    def begin(self, total: int, cached: int) -> None:
        """Show the line."""
        self._total = total
        self._began = time.monotonic()

    def started(self, run: Run) -> None:
        """Name the run in the line."""
        with self._lock:
            self._running.append(run.label)

    def ended(self, result: Result) -> None:
        """Count the run in the line; leave a line of its own for what is not green."""
        with self._lock:
            self._done += 1
            if result.run.label in self._running:
                self._running.remove(result.run.label)
            if not result.is_green:
                self._draw("")
                output.warn(f"{output.line(result.run.label)}: {output.line(result.reason)}")

    def tick(self) -> None:
        """Redraw the line."""
        with self._lock:
            self._frame = (self._frame + 1) % len(_FRAMES)
            seconds = int(time.monotonic() - self._began)
            counts = f"{self._done}/{self._total} {seconds // 60}:{seconds % 60:02}"
            self._draw(f"{_FRAMES[self._frame]} {counts} {output.line(', '.join(self._running))}")

    def finish(self) -> None:
        """Remove the line."""
        self._draw("")

    def _draw(self, text: str) -> None:
        import shutil

        width = shutil.get_terminal_size().columns
        sys.stderr.write(f"\r\x1b[K{text[: width - 1]}")
        sys.stderr.flush()


def reporter() -> Reporter:
    """Return a live line for a terminal, plain lines for everything else."""
    return Live() if sys.stderr.isatty() and not output.is_quiet() else Lines()
