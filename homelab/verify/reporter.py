"""What is told while suites run, and to whom. How a person sees it is `homelab.verify.screen`'s.

Runs are made in threads: every event but `tick` may come from any of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from homelab.verify.results import Result
from homelab.verify.suites import Run


class Reporter:
    """Told what happens while suites run. This one says nothing of it; others override what they show."""

    def begin(self, commit: str, runs: Sequence[Run], cached: int, usual: Mapping[str, float]) -> None:
        """Learn which runs are to be made, how many more are known to be green, and the usual seconds of each label."""

    def started(self, run: Run) -> None:
        """Learn that a run has begun."""

    def preparing(self, run: Run) -> None:
        """Learn that the checkout of a run is being prepared."""

    def prepared(self, run: Run, seconds: float) -> None:
        """Learn that the checkout of a run was prepared anew, in so many seconds."""

    def logging(self, run: Run, log: Path) -> None:
        """Learn where a run, or what prepares its checkout, writes what it says."""

    def ended(self, result: Result) -> None:
        """Learn how a run ended."""

    def tick(self) -> None:
        """Learn that time has passed: called about ten times a second by the thread that waits."""

    def finish(self) -> None:
        """Learn that all runs have ended, or were interrupted."""

    def verified(self, commit: str, results: Sequence[Result]) -> None:
        """Learn that the commit is verified by these results."""
