"""The verdict on a push, pure: what is known of each ref update goes in, refusals come out.

Git's own hook, pre-commit's, a server and `work land` all get their answer here, so that no two of them differ.
"""

from collections.abc import Iterable
from enum import StrEnum, auto
from typing import NamedTuple

from homelab.gate.deletions import Loss
from homelab.gate.updates import Delete, RefUpdate, Update


class Verdict(StrEnum):
    """What is known of a commit's verification."""

    GREEN = auto()
    #: A person granted this one commit.
    GRANTED = auto()
    MISSING = auto()
    RED = auto()
    UNVERIFIABLE = auto()
    #: A suite cannot run here, which says nothing of the commit.
    UNABLE = auto()
    #: The change's own rules, or the target's, cannot be read.
    UNREADABLE = auto()


class History(StrEnum):
    """What an update does to the commits that the branch has."""

    KEEPS = auto()
    DROPS = auto()
    #: The remote's commit is not in this clone, so nobody can tell.
    UNKNOWN = auto()
    #: The new object is no commit.
    NO_COMMIT = auto()


class Case(NamedTuple):
    """One update of a protected branch, and what is known of it."""

    update: RefUpdate
    branch: str
    history: History = History.KEEPS
    verdict: Verdict = Verdict.MISSING
    #: Why the verdict is what it is, for the message.
    reason: str = ""
    #: What to do about it, where whoever found it out knows better than the table below.
    hint: str = ""
    remote: str = "origin"
    #: Whether a server judges what it receives; it has no commit that it refused.
    received: bool = False
    #: What it deletes, where that is more than the `limit` in percent of the branch's files.
    loss: Loss | None = None
    limit: int = 100
    #: What shows it: each a sentence of ours and the words of somebody else.
    evidence: tuple[tuple[str, str], ...] = ()
    #: Whether a green holds for these two commits whatever else changes, so that a marker may stand for it.
    lasting: bool = False
    #: Whether it passes by a grant, which may be taken back.
    granted: bool = False
    #: Whether this is where landing puts work; else its commands lead to another branch.
    lands: bool = True
    #: Whether it shares no commit with where work lands: a remote that publishes takes what nothing here verifies.
    is_published: bool = False


class Refusal(NamedTuple):
    """Why one update may not happen, and what to do about it."""

    branch: str
    message: str
    hint: str


def judge(cases: Iterable[Case]) -> tuple[Refusal, ...]:
    """Return why the push may not happen; nothing when it may."""
    said = ((case, _refused(case)) for case in cases)
    return tuple(Refusal(case.branch, words[0], _published(case) or words[1]) for case, words in said if words is not None)


def _published(case: Case) -> str:
    if not case.is_published:
        return ""
    return f"it shares no commit with where work lands: if {case.remote} only publishes it, push it with `--no-verify`"


def _refused(case: Case) -> tuple[str, str] | None:
    """Return why one update may not happen and what to do about it, or None."""
    if isinstance(case.update, Delete):
        return f"{case.branch} is protected and may not be deleted", "leave it out of the push"
    short, theirs = case.update.new[:12], f"{case.remote}/{case.branch}"
    if case.history is History.NO_COMMIT:
        return f"{short} is no commit, and {case.branch} is protected", "push a commit"
    if case.history is History.UNKNOWN:
        then = "`homelab work land`" if case.lands else f"`git merge {theirs}` and push that"
        return f"{case.branch} on the remote has commits that are not in this clone", f"`git fetch {case.remote}`, then {then}"
    if case.history is History.DROPS:
        return (
            f"{short} drops commits that {case.branch} has",
            f"`git revert` what has to go, or `git merge {theirs}` and push that",
        )
    if case.loss is not None and isinstance(case.update, Update):
        shown = f"git diff --stat --diff-filter=D {case.update.old[:12]} {short}"
        way = "`homelab work land --allow-deletions`" if case.lands else "push them with `--no-verify`"
        return (
            f"{short} deletes {case.loss} of {case.branch}, and [gate] max_deleted allows {case.limit} percent",
            f"`{shown}` shows them; if they are meant to go, {way}",
        )
    return _unproved(case, short)


def _unproved(case: Case, short: str) -> tuple[str, str] | None:
    reason = f": {case.reason}" if case.reason else ""
    match case.verdict:
        case Verdict.GREEN | Verdict.GRANTED:
            return None
        case Verdict.MISSING:
            hint = f"`homelab verify {short}`"
            if case.received:
                hint = f"push it as an unprotected branch, run {hint} in the server's repository, then push it here again"
            return f"{short} is not verified for {case.branch}{reason}", hint
        case Verdict.UNABLE:
            return f"{short} is not verified for {case.branch}{reason}", case.hint
        case Verdict.RED:
            return f"{short} is red, so it may not reach {case.branch}{reason}", "mend it and commit"
        case Verdict.UNREADABLE:
            return f"the rules for {case.branch} cannot be read{reason}", case.hint or "mend homelab.toml and commit"
        case Verdict.UNVERIFIABLE:
            return f"nothing can verify {short} for {case.branch}{reason}", case.hint or "`homelab init`"
