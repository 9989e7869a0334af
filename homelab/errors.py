"""Everything that can go wrong, as seen by the person who has to repair it.

An error owns its exit code and its remedy. Nothing here prints; `homelab.output` is the one place that turns an error into
words. The codes are those of the table in README.md.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar


class Ending(BaseException):
    """Why a command ends, in one sentence; what to do about it; and the command to run now, where there is one."""

    kind: ClassVar[str] = "failed"
    exit_code: int = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        next: str | None = None,
        fields: Mapping[str, Any] | None = None,
        evidence: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.next = next
        #: What the answer in JSON says besides the error.
        self.fields: dict[str, Any] = dict(fields or {})
        #: What shows it: each a sentence of ours and the words of somebody else.
        self.evidence = tuple(evidence)


class HomelabError(Ending, Exception):
    """What went wrong."""


class Failed(HomelabError):
    """What we ran failed: a verification is red, or a program that we need did not do its work."""


def of_system_call(error: OSError) -> Failed:
    """Return what a failed system call means for the person: the system's words, and the path."""
    name = f" ({error.filename})" if error.filename else ""
    return Failed(
        f"{(error.strerror or str(error)).lower()}{name}", hint="free or repair what the path names, then run it again"
    )


class Usage(HomelabError):
    """Wrong usage, or a bad label, topic or configuration. Nothing was touched."""

    kind = "usage"
    exit_code = 2


class Refused(HomelabError):
    """A rule said no. Nothing was changed."""

    kind = "refused"
    exit_code = 3


class Busy(HomelabError):
    """Someone else holds the resource."""

    kind = "busy"
    exit_code = 4


class Conflict(HomelabError):
    """A merge conflict that a person has to resolve."""

    kind = "conflict"
    exit_code = 5


class Review(HomelabError):
    """Not landed: the target is protected, and the branch was pushed for review instead."""

    kind = "review"
    exit_code = 6


class Unreachable(HomelabError):
    """The remote, the claim store or the CI cannot be reached."""

    kind = "unreachable"
    exit_code = 7


class CiRed(HomelabError):
    """CI is not green, or wants somebody to act."""

    kind = "ci-red"
    exit_code = 8


class CiSilent(HomelabError):
    """CI says nothing: no pipeline, skipped, superseded without a successor, or time is up."""

    kind = "ci-silent"
    exit_code = 9


class Bug(HomelabError):
    """Our own fault."""

    kind = "bug"
    exit_code = 70


class Interrupted(Ending, KeyboardInterrupt):
    """Ended by a signal: the exit code is 128 plus its number. It is no error, so whoever goes on after one does not go on."""

    kind = "interrupted"

    def __init__(self, signum: int) -> None:
        super().__init__(f"ended by signal {signum}", hint="run the same command again, it continues where it was")
        self.exit_code = 128 + signum


class Left(Interrupted):
    """A person has left what stays open until a signal ends it, so nothing is printed."""


class ChildExit(HomelabError):
    """A command that we ran on someone's behalf ended with this code; it has said why, so nothing is printed."""

    kind = "child"

    def __init__(self, code: int) -> None:
        super().__init__(f"the command ended with {code}")
        self.exit_code = code


#: Those with a code of their own in the table of exit codes.
KINDS = (Failed, Usage, Refused, Busy, Conflict, Review, Unreachable, CiRed, CiSilent, Bug)
