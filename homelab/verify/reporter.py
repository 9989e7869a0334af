"""What a person sees while suites run: a live line on a terminal, plain lines elsewhere."""

import sys
import threading
from typing import Any

from homelab import output
from homelab.verify.runner import Reporter, Result
from homelab.verify.suites import Run


class Live(Reporter):
    """One line on a terminal's stderr: a spinner, how many are done, what runs, and for how long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[str] = []
        self._bar: Any = None
        self._task: Any = None

    def begin(self, total: int) -> None:
        """The line stands."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def started(self, run: Run) -> None:
        """The line names the run."""
        with self._lock:
            self._running.append(run.label)
            self._show()

    def ended(self, result: Result) -> None:
        """The line counts the run; what is not green gets a line that stays."""
        with self._lock:
            if result.run.label in self._running:
                self._running.remove(result.run.label)
            self._bar.advance(self._task)
            self._show()
            if not result.is_green:
                self._bar.console.print(f"homelab: {output.line(result.run.label)}: {output.line(result.reason)}", markup=False)

    def finish(self) -> None:
        """The line is gone."""
        self._bar.stop()

    def _show(self) -> None:
        from rich.markup import escape

        self._bar.update(self._task, description=escape(output.line(", ".join(self._running))))


def reporter() -> Reporter:
    """Return a live line for a terminal, plain lines for everything else."""
    return Live() if sys.stderr.isatty() and not output.is_quiet() else Reporter()
