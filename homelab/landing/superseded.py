"""Runs that have become pointless: asked by the workers while their suites run.

Two reasons. The queue has grown, and the run has hardly begun: one run for all is sooner done than two. The target has
moved on the remote, and what is being run is not what the next candidate needs.
"""

import threading
import time
from enum import StrEnum

from homelab.errors import Conflict, HomelabError
from homelab.git.remotes import ask_remote, fetch_branch
from homelab.landing import batch, candidate
from homelab.landing.batch import Member
from homelab.landing.target import Target
from homelab.verify.suites import Demand

#: Seconds between two looks at the queue and at the remote, and how long a run takes that nobody has seen yet.
_QUEUE, _REMOTE, _UNKNOWN = 0.3, 15.0, 3.0


class Reason(StrEnum):
    """Why a run was given up."""

    GROWN = "more landings have come"
    MOVED = "the target moved"


class Watch:
    """Decides, when the workers of a run ask, whether to give it up. `why` is the reason."""

    def __init__(self, target: Target, members: list[Member], number: int, *, may_grow: bool) -> None:
        self._target, self._members, self._number, self._may_grow = target, members, number, may_grow
        self._lock = threading.Lock()
        self._commit: str | None = None
        self._needed: set[str] = set()
        self._began = self._queue_seen = self._remote_seen = time.monotonic()
        self._enough = _usual(target) / 2
        self._last = members[-1].ticket.number
        self.why: Reason | None = None

    def begin(self, commit: str, demand: Demand) -> None:
        """Start watching a run. Only the first run may be given up because the queue grew."""
        self._may_grow = self._may_grow and self._commit is None
        self._commit, self._needed = commit, {run.key for run in demand.runs}
        self._began = self._remote_seen = time.monotonic()

    def __call__(self) -> bool:
        """Return whether the run has become pointless."""
        if self.why is not None or not self._lock.acquire(blocking=False):
            return self.why is not None
        try:
            now = time.monotonic()
            if self._may_grow and now - self._began < self._enough and now - self._queue_seen > _QUEUE:
                self._queue_seen = now
                self.why = Reason.GROWN if self._has_grown() else None
            if self.why is None and now - self._remote_seen > _REMOTE:
                self._remote_seen = now
                self.why = Reason.MOVED if self._has_moved() else None
        finally:
            self._lock.release()
        return self.why is not None

    def _has_grown(self) -> bool:
        """Return whether as many landings again could join as the batch has now."""
        more = 0
        for ticket in self._target.queue.waiting(behind=self._last):
            if ticket.head is None or ticket.alone:
                break
            more += 1
        room = batch.room(self._target) - len(self._members)
        return min(more, room) >= len(self._members)

    def _has_moved(self) -> bool:
        """Return whether the target has moved so far that the next candidate needs other runs than these."""
        target = self._target
        try:
            tip = ask_remote(target.repository, target.remote, target.ref, timeout=10).get(target.ref)
            if tip in (None, self._members[0].base) or self._commit is None:
                return False
            base = fetch_branch(target.repository, target.remote, target.branch)
            merged = candidate.merge(target.repository, base, self._commit)
            return not self._needed <= {run.key for run in batch.demand_of(target, base, merged.tree).runs}
        except Conflict:
            return True
        except HomelabError:
            return False


def _usual(target: Target) -> float:
    """Return how many seconds the last verification took that was not remembered."""
    for record in reversed(target.journal.recent(20)):
        if seconds := sum(suite.get("seconds", 0) for suite in record.get("suites", ()) if suite["result"] == "passed"):
            return float(seconds)
    return _UNKNOWN
