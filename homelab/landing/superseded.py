"""Whether a verification that is being run has become pointless: asked by the workers while their suites run.

Two reasons. The queue has grown, and the run has hardly begun: one run for all is sooner done than two. The target has
moved on the remote, and what is being run is not what the next candidate needs.
"""

import threading
import time

from homelab.errors import Conflict, HomelabError
from homelab.git.remotes import ask_remote, fetch_branch
from homelab.landing import batch, candidate, journal, queue
from homelab.landing.batch import Member
from homelab.landing.publish import Target
from homelab.verify.suites import Demand

#: Seconds between two looks at the queue and at the remote, and how long a run takes that nobody has seen yet.
_QUEUE, _REMOTE, _UNKNOWN = 0.3, 15.0, 3.0
_WORDS = {"": "", "grown": "more landings have come", "moved": "the target moved"}


class Watch:
    """Called by the workers of a run: tells whether to give it up. `why` says for which reason it did."""

    def __init__(self, target: Target, members: list[Member], number: int, *, may_grow: bool) -> None:
        self._target, self._members, self._number, self._may_grow = target, members, number, may_grow
        self._lock = threading.Lock()
        self._commit: str | None = None
        self._needed: set[str] = set()
        self._began = self._queue_seen = self._remote_seen = time.monotonic()
        self._enough = _usual(target) / 2
        self._last = members[-1].ticket.number
        self.why = ""

    @property
    def words(self) -> str:
        """Why it was given up, for people."""
        return _WORDS[self.why]

    def begin(self, commit: str, demand: Demand) -> None:
        """A run for this commit begins; only the first is given up for a queue that has grown."""
        self._may_grow = self._may_grow and self._commit is None
        self._commit, self._needed = commit, {run.key for run in demand.runs}
        self._began = self._remote_seen = time.monotonic()

    def __call__(self) -> bool:
        """Tell whether the run has become pointless."""
        if self.why or not self._lock.acquire(blocking=False):
            return bool(self.why)
        try:
            now = time.monotonic()
            if self._may_grow and now - self._began < self._enough and now - self._queue_seen > _QUEUE:
                self._queue_seen = now
                self.why = "grown" if self._has_grown() else ""
            if not self.why and now - self._remote_seen > _REMOTE:
                self._remote_seen = now
                self.why = "moved" if self._has_moved() else ""
        finally:
            self._lock.release()
        return bool(self.why)

    def _has_grown(self) -> bool:
        """Tell whether at least as many could come along as are in the batch."""
        more = 0
        for ticket in queue.waiting(self._target.repository, behind=self._last):
            if ticket.head is None or ticket.alone:
                break
            more += 1
        room = batch.size(journal.landings(self._target.repository)) - len(self._members)
        return min(more, room) >= len(self._members)

    def _has_moved(self) -> bool:
        """Tell whether the target has moved, and with it a result that is being run for."""
        target = self._target
        try:
            tip = ask_remote(target.repository, target.remote, target.ref, timeout=10).get(target.ref)
            if tip in (None, self._members[0].base) or self._commit is None:
                return False
            base = fetch_branch(target.repository, target.remote, target.branch)
            merged = candidate.merge(target.repository, base, self._commit)
            return not self._needed <= {run.key for run in batch.demanded(target, base, merged.tree).runs}
        except Conflict:
            return True
        except HomelabError:
            return False


def _usual(target: Target) -> float:
    """Return how many seconds the last verification took that was not remembered."""
    for record in reversed(journal.landings(target.repository)[-20:]):
        if seconds := sum(suite["seconds"] for suite in record.get("suites", ()) if suite["result"] == "passed"):
            return float(seconds)
    return _UNKNOWN
