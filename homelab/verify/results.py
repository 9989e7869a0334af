"""How runs ended, in words for machines and for people. Nothing is run and nothing is remembered here."""

import contextlib
import re
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from homelab.verify import excerpt
from homelab.verify.reds import Told
from homelab.verify.suites import Run


class State(StrEnum):
    """How a run ended; the words stand in answers in JSON and in the journal."""

    PASSED = "passed"
    #: It passed before, under the same key.
    CACHED = "cached"
    FAILED = "failed"
    TIMEOUT = "timeout"
    #: It was not reached.
    SKIPPED = "skipped"
    #: It is red on the target too, with the same content.
    RED_BEFORE = "red-before"
    #: Something that it needs is missing here, which says nothing of the commit.
    UNABLE = "unable"

    @property
    def is_green(self) -> bool:
        """Return whether it passed, now or before."""
        return self in (State.PASSED, State.CACHED)

    @property
    def blocks(self) -> bool:
        """Return whether it keeps a commit from the target."""
        return not self.is_green and self is not State.RED_BEFORE


class Result(NamedTuple):
    """How one run ended."""

    run: Run
    result: State
    #: What it took, in seconds.
    seconds: float
    log: Path | None = None
    #: Why it is not green, in a few words.
    reason: str = ""
    #: A red came before the green.
    flaky: bool = False
    #: It ran no test.
    vacuous: bool = False
    #: Where CI shows it, of a run that CI decided.
    url: str | None = None
    #: Since when it is known to be red on the target too, and who last changed what decides it.
    before: Told | None = None

    @property
    def is_green(self) -> bool:
        """Return whether it passed, now or before."""
        return self.result.is_green

    def document(self) -> dict[str, Any]:
        """Return the result as answers in JSON have it."""
        found: dict[str, Any] = {"name": self.run.suite.name, "dir": self.run.dir, "result": self.result}
        found |= {"seconds": round(self.seconds, 3), "log": str(self.log) if self.log else None, "key": self.run.key}
        if self.flaky:
            found["flaky"] = True
        if self.reason:
            found["reason"] = self.reason
        if self.url:
            found["url"] = self.url
        if self.run.suite.secrets:
            found["secrets"] = True
        return found


def documents(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return results as answers in JSON have them."""
    return [result.document() for result in results]


def evidence(found: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return for each result that is not green a sentence with the reason, and what counts in its log."""
    shown = []
    for row in found:
        if State(row["result"]).blocks and row["log"]:
            with contextlib.suppress(OSError):
                # What saw secrets may print them, and what is no terminal is kept somewhere.
                said = "" if row.get("secrets") and not sys.stderr.isatty() else excerpt.excerpt(Path(row["log"]))
                label = row["name"] if row["dir"] == "." else f"{row['name']} ({row['dir']})"
                shown.append((f"{label}: {row['reason']}; the log is {row['log']}", said))
    return shown


def log_name(name: str, run: Run) -> str:
    """Return how the name of a run's log begins, or of the log of what is done for it."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)[:40]}-{run.key[:12]}"


def end(log: Path, size: int) -> str:
    """Return the last `size` bytes of a log as text."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - size))
        return file.read().decode(errors="replace")
