"""What there is to know about a gate: a finding, how much it matters, and what mends it."""

from enum import StrEnum
from typing import NamedTuple

#: What mends most of what can be wrong.
INSTALL = "homelab hooks install"


class Severity(StrEnum):
    """How much a finding matters: a failure means that the gate does not hold."""

    FAILURE = "failure"
    WARNING = "warning"
    NOTE = "note"


FAILURE, WARNING, NOTE = Severity


class Finding(NamedTuple):
    """One thing to know about the gate here; `repair` is the command, or what to do, that mends it."""

    id: str
    severity: Severity
    message: str
    repair: str | None = None
