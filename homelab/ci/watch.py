"""Waiting for a verdict that stands. Knows no system and no wall clock: `look` asks, `clock` waits, tests turn it by hand.

Seconds here are the clock's. Green is believed once it has held with the same names, since a second workflow may come late.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from homelab.ci.trouble import Away, Throttled
from homelab.ci.verdict import AT_ONCE, Check, Verdict, judge, names
from homelab.errors import Unreachable

#: How long green has to hold. A second workflow was seen 15 s late.
QUIET = 20.0
#: How long a pipeline may take to appear. Forges give the same answer for "not yet" and for "never".
GRACE = 60.0
#: How long CI may be away before that is the answer. A Woodpecker under load gave 503 for half a minute.
AWAY = 60.0
#: How long a look may have taken for another to follow at once.
_BRIEF = 10.0
#: How long all of it may take where nobody says otherwise.
LIMIT = 3600.0
_FIRST, _GROWTH, _LONGEST = 3.0, 1.3, 15.0


class Clock(Protocol):
    """What time it is, and waiting."""

    def now(self) -> float:
        """Return the seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Paced:
    """The real clock, on which everything lasts `pace` of what it says."""

    def __init__(self, pace: float = 1.0) -> None:
        self.pace = pace

    def now(self) -> float:
        """Return the seconds since some moment, longer than real ones."""
        return time.monotonic() / self.pace

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(max(0.0, seconds) * self.pace)


class Outcome(NamedTuple):
    """What CI said in the end."""

    #: The commit that was asked for.
    commit: str
    verdict: Verdict
    checks: tuple[Check, ...] = ()
    #: Seconds of the clock.
    waited: float = 0.0
    #: The later commit whose checks these are, where a push superseded the one asked for.
    followed: str | None = None
    #: Why CI could not be asked just now, and what to do about it.
    reason: str = ""
    hint: str = ""
    #: Whether it is the answer because time was up.
    is_cut: bool = False
    #: The last lines of what is red, each with the check's name, where the system gives them.
    tails: tuple[tuple[str, str], ...] = ()


class _Seen:
    """What was seen of one commit, and since when it has been so."""

    def __init__(self, began: float) -> None:
        self.began = self.since = began
        self.verdict: Verdict | None = None
        self.names: list[str] = []
        self.checks: tuple[Check, ...] = ()

    def add(self, checks: Sequence[Check], now: float) -> None:
        """Take in a look; what differs from the last one begins to hold now."""
        verdict, found = judge(checks), names(checks)
        if (verdict, found) != (self.verdict, self.names):
            self.since = now
        self.verdict, self.names, self.checks = verdict, found, tuple(checks)

    def due(self) -> float | None:
        """Return the moment from which what was seen counts as final, or None while it cannot."""
        if self.verdict in (None, Verdict.RUNNING):
            return None
        if self.verdict in AT_ONCE:
            return self.since
        return self.began + GRACE if self.verdict is Verdict.NONE else self.since + QUIET


def watch(
    look: Callable[[str], Sequence[Check]],
    commit: str,
    clock: Clock,
    *,
    limit: float = LIMIT,
    successor: Callable[[str], str | None] = lambda commit: None,
    told: Callable[[Outcome], None] = lambda outcome: None,
) -> Outcome:
    """Return CI's final verdict on a commit, or what was known after `limit` seconds.

    `successor` names the later tip that contains a commit whose run was ended; that tip is followed then. `told` hears of
    every look. What `look` raises besides `Away` is raised.
    """
    start = heard = clock.now()
    current, pause, seen = commit, _FIRST, _Seen(start)
    while True:
        answer, now, wait = _ask(look, current), clock.now(), pause
        trouble = answer if isinstance(answer, Unreachable) else None
        if isinstance(answer, Throttled):
            heard, wait = now + answer.seconds, answer.seconds
        elif not isinstance(answer, Unreachable):
            seen.add(answer, now)
            heard = now
        elif not isinstance(answer, Away) or now - heard >= AWAY:
            return _unreachable(commit, answer, now - start)
        followed = current if current != commit else None
        reason, hint = (trouble.message, trouble.hint or "") if trouble else ("", "")
        outcome = Outcome(commit, seen.verdict or Verdict.UNREACHABLE, seen.checks, now - start, followed, reason, hint)
        told(outcome)
        if trouble is None and seen.verdict is Verdict.GONE and (later := successor(current)):
            current, pause, seen = later, _FIRST, _Seen(now)
            continue
        due = None if trouble else seen.due()
        if due is not None and now >= due:
            return outcome
        if (left := start + limit - now) <= 0:
            return outcome._replace(is_cut=True)
        clock.sleep(min(wait, left, *([due - now] if due is not None else [])))
        pause = min(pause * _GROWTH, _LONGEST)


def _ask(look: Callable[[str], Sequence[Check]], commit: str) -> Sequence[Check] | Unreachable:
    """Return the checks of a commit, or why they cannot be had just now."""
    try:
        return look(commit)
    except Unreachable as error:
        return error


def once(look: Callable[[str], Sequence[Check]], commit: str, clock: Clock) -> Outcome:
    """Return what CI says of a commit now. A server that is away for a moment gets three tries, one that keeps silent none."""
    start = clock.now()
    for pause in (1.0, 2.0, None):
        try:
            checks = tuple(look(commit))
            return Outcome(commit, judge(checks), checks, clock.now() - start)
        except Unreachable as error:
            is_over = pause is None or clock.now() - start > _BRIEF
            if is_over or not isinstance(error, Away) or isinstance(error, Throttled):
                return _unreachable(commit, error, clock.now() - start)
            clock.sleep(pause or 0)
    raise AssertionError("the last pause is None")


def _unreachable(commit: str, error: Unreachable, waited: float) -> Outcome:
    return Outcome(commit, Verdict.UNREACHABLE, (), waited, reason=error.message, hint=error.hint or "")
