"""What became of a landing: the answer of `work land`, carried by the error where it failed."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a landing ended."""

    LANDED = "landed"
    ALREADY_LANDED = "already-landed"
    FAILED = "failed"
    REFUSED = "refused"
    BUSY = "busy"
    CONFLICT = "conflict"
    REVIEW = "review"
    UNREACHABLE = "unreachable"

    @classmethod
    def of_error(cls, kind: str) -> "Status":
        """Return the status for an error of this kind."""
        return {"usage": cls.REFUSED}.get(kind) or (cls(kind) if kind in tuple(cls) else cls.FAILED)


@dataclass(slots=True)
class Report:
    """A landing as far as it has come."""

    branch: str | None = None
    target: str | None = None
    remote: str | None = None
    commit: str | None = None
    tree: str | None = None
    #: The target's tip after the push: of a batch, the last member's commit. CI runs for this one alone.
    pushed: str | None = None
    attempts: int = 0
    suites: list[dict[str, Any]] = field(default_factory=list)
    #: What CI said of the pushed tip, where it was followed.
    ci: dict[str, Any] | None = None
    status: Status = Status.FAILED

    @property
    def ok(self) -> bool:
        """Whether the target on the remote has the work."""
        return self.status in (Status.LANDED, Status.ALREADY_LANDED)

    def fields(self) -> dict[str, Any]:
        """Return what an answer in JSON says of it, on failure too."""
        found = asdict(self)
        return found if self.ci is not None else {name: value for name, value in found.items() if name != "ci"}
