"""One verdict out of many checks. Silence and unknown words are never green. Pure: no request, no clock."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple


class Verdict(StrEnum):
    """What CI says of a check, or of a whole commit."""

    GREEN = "green"
    RED = "red"
    RUNNING = "running"
    #: Somebody has to act: approve, start by hand.
    ASKS = "asks"
    #: Ended from outside before it could say anything: cancelled, or replaced by a later push.
    GONE = "gone"
    SKIPPED = "skipped"
    NONE = "none"
    #: A word that no table knows.
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable"


#: The first that any check has is the verdict of all. Skipped beside green is green, skipped alone is no proof.
_ORDER = (Verdict.RED, Verdict.UNKNOWN, Verdict.ASKS, Verdict.RUNNING, Verdict.GONE, Verdict.GREEN, Verdict.SKIPPED)

#: It has not ended: another push may end it.
OPEN = frozenset((Verdict.RUNNING, Verdict.ASKS))
#: These stand at once; the others may be one half of the answer, and have to hold for a while.
AT_ONCE = frozenset((Verdict.RED, Verdict.ASKS))


class Check(NamedTuple):
    """What one check of a commit says now."""

    name: str
    #: The system's own word.
    word: str
    verdict: Verdict
    url: str | None = None
    #: Names this run of the check; a later run of the same check has another.
    id: str = ""
    #: What people call the run: a pipeline's number, where there is one.
    number: str = ""

    @property
    def label(self) -> str:
        """Return how people name it: its name, and the run's number where it has one."""
        return f"{self.name} #{self.number}" if self.number else self.name

    def document(self) -> dict[str, Any]:
        """Return it as answers in JSON have it."""
        return {"name": self.name, "word": self.word, "verdict": str(self.verdict), "url": self.url}


def judge(checks: Iterable[Check]) -> Verdict:
    """Return the verdict of all checks of a commit."""
    found = {check.verdict for check in checks}
    return next((verdict for verdict in _ORDER if verdict in found), Verdict.NONE)


def names(checks: Iterable[Check], *verdicts: Verdict) -> list[str]:
    """Return the names of the checks with these verdicts, sorted, each once; of all checks without verdicts."""
    return sorted({check.name for check in checks if not verdicts or check.verdict in verdicts})
