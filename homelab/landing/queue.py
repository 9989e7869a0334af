"""The queue: tickets, served in the order they were drawn, and the answers that a leader gives for others.

The first living ticket without an answer leads; it may serve those behind it too. A ticket is alive as long as its process
holds its lock, so a dead one is passed over without guessing at process ids. Lock attempts alone would not do: of twelve
that poll for one lock, which gets it is chance.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from homelab import output
from homelab.system import clock, files, identity

#: Seconds between two looks of one who waits: for an answer, and at whether those ahead still live.
_POLL, _LOOK = 0.03, 0.15


class Ticket(NamedTuple):
    """One lander's place in the queue, drawn before it knows what it brings."""

    number: int
    user: str
    host: str
    session: str
    pid: int
    since: str
    worktree: str
    branch: str | None = None
    #: The commit that is to land; None while the lander still looks at its worktree.
    head: str | None = None
    #: Whether it brings its own way of verifying, or none, so that it never lands together with others.
    alone: bool = False
    #: When it was drawn, in seconds of the clock that this host's processes share.
    drawn: float = 0.0


_TYPES = {
    "number": int, "user": str, "host": str, "session": str, "pid": int, "since": str, "worktree": str,
    "branch": str | None, "head": str | None, "alone": bool, "drawn": float | int,
}  # fmt: skip


class Ahead(NamedTuple):
    """What one who waits sees: the tickets before it, and the other branches of its batch while that is verified."""

    tickets: tuple[Ticket, ...]
    batch: tuple[str, ...]


class Queue(NamedTuple):
    """The tickets below one clone's state folder."""

    state: Path

    @property
    def _folder(self) -> Path:
        return self.state / "queue"

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        return files.locked(self.state / "locks" / "queue")

    def _lock(self, number: int) -> Path:
        return self._folder / f"{number}.lock"

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.lock") if path.stem.isdecimal())

    def _load(self, number: int) -> Ticket | None:
        record = files.document(self._folder / f"{number}.json", _TYPES)
        return Ticket(**record) if record and not record.keys() - _TYPES and record["number"] == number else None

    def _waits(self, number: int) -> bool:
        """Return whether a ticket's process lives and has no answer. Delete the files of a dead one."""
        lock = self._lock(number)
        if not lock.exists():
            return False
        fd = files.hold(lock)
        if fd is None:
            return not lock.with_suffix(".answer").exists()
        _discard(lock)
        os.close(fd)
        return False

    def waiting(self, *, behind: int = 0) -> list[Ticket]:
        """Return the living tickets behind a number that have no answer, in the order in which they are served."""
        if not self._numbers():  # nothing to lock, which a read-only git directory would not allow
            return []
        with self._locked():
            alive = [number for number in self._numbers() if number > behind and self._waits(number)]
        return [ticket for number in alive if (ticket := self._load(number)) is not None]

    def is_waiting(self, ticket: Ticket) -> bool:
        """Return whether a ticket's lander still waits for its answer."""
        with self._locked():
            return self._waits(ticket.number)

    def answer(self, ticket: Ticket, document: dict[str, Any]) -> None:
        """Tell the ticket's lander what became of it."""
        files.replace(self._folder / f"{ticket.number}.answer", json.dumps(document).encode(), passing=True)

    def announce(self, tickets: Sequence[Ticket]) -> None:
        """Say which tickets are being verified as one."""
        numbers = [ticket.number for ticket in tickets]
        files.replace(self._folder / "batch", json.dumps(numbers).encode(), passing=True)

    def batch(self) -> list[int]:
        """Return the numbers of the tickets that are being verified as one."""
        found = files.parsed(self._folder / "batch")
        return [number for number in found if isinstance(number, int)] if isinstance(found, list) else []

    def tell(self, ticket: Ticket, *, holding: str = "", running: Sequence[str] = ()) -> None:
        """Show others what the leader waits for before it pushes, and which runs it makes."""
        files.replace(self._folder / "now", json.dumps([ticket.number, holding, *running]).encode(), passing=True)

    def _now(self) -> tuple[int, str, list[str]]:
        """Return whose word it is, what that leader waits for and what it runs; nothing where no leader has said so."""
        match files.parsed(self._folder / "now"):
            case [int(number), str(holding), *running]:
                return number, holding, [label for label in running if isinstance(label, str)]
        return 0, "", []

    def rows(self) -> list[dict[str, Any]]:
        """Return who waits to land: the first one lands, those that are `verifying` together with it."""
        found, batch, (leader, holding, running) = self.waiting(), self.batch(), self._now()
        return [
            {"position": n, "branch": ticket.branch, "worktree": ticket.worktree, "user": ticket.user, "host": ticket.host,
             "session": ticket.session, "pid": ticket.pid, "since": ticket.since, "verifying": ticket.number in batch,
             "holding": holding or None if ticket.number == leader else None,
             "running": running if ticket.number == leader else []}
            for n, ticket in enumerate(found)
        ]  # fmt: skip

    @contextlib.contextmanager
    def drawn(self, worktree: Path, session: str) -> Iterator["Place"]:
        """Yield a place at the queue's end. It is given up after the block, and by a kill too."""
        with self._locked():
            number = self._next()
            fd = files.hold(self._lock(number))
        assert fd is not None
        ticket = Ticket(
            number, identity.user(), identity.host(), session, os.getpid(), clock.now(), os.fspath(worktree),
            drawn=time.monotonic(),
        )  # fmt: skip
        place = Place(self, ticket)
        try:
            place._write()
            yield place
        finally:
            _discard(self._lock(number))
            os.close(fd)

    def _next(self) -> int:
        last = self._folder / "last"
        try:
            before = int(files.content(last)[:15])
        except (OSError, ValueError):
            before = 0
        if not (numbers := self._numbers()):
            self._sweep()
        number = max([before, *numbers]) + 1
        _discard(self._lock(number))  # a number comes again when `last` is lost with the power
        files.replace(last, str(number).encode(), passing=True)
        return number

    def _sweep(self) -> None:
        """Delete files left by killed landers: partial writes, and answers nobody waits for."""
        for path in self._folder.glob("*"):
            if path.name != "last":
                path.unlink(missing_ok=True)


def state(row: Mapping[str, Any]) -> str:
    """Return in words what becomes of a row of the queue."""
    if row["position"]:
        return "verified with it" if row["verifying"] else f"{row['position']} ahead"
    return row["holding"] or (f"runs {output.names(row['running'], 3)}" if row["running"] else "landing")


def _discard(lock: Path) -> None:
    for suffix in (".json", ".answer", ".lock"):
        lock.with_suffix(suffix).unlink(missing_ok=True)


class Place:
    """The place of this process in the queue."""

    def __init__(self, queue: Queue, ticket: Ticket) -> None:
        self.queue, self.ticket = queue, ticket

    def ready(self, branch: str, head: str, *, alone: bool) -> None:
        """Say on the ticket what it brings."""
        self.ticket = self.ticket._replace(branch=branch, head=head, alone=alone)
        self._write()

    def _write(self) -> None:
        path = self.queue._folder / f"{self.ticket.number}.json"
        files.replace(path, json.dumps(self.ticket._asdict()).encode(), passing=True)

    def wait(self, tell: Callable[[Ahead], None]) -> dict[str, Any] | None:
        """Return the answer that a leader gave, or None when it is our turn to lead. `tell` hears each look."""
        ahead, looked = list[int](), -_LOOK
        while (answered := self._answer()) is None:
            # A leader that has ended takes its files along; only a look at the locks finds one that was killed.
            if time.monotonic() - looked >= _LOOK or not self.queue._lock(ahead[0]).exists():
                ahead, looked = self._ahead(), time.monotonic()
                if not ahead:
                    return self._answer()  # a leader answers first, and is gone afterwards
                if (seen := self._look(ahead)).tickets:
                    tell(seen)
            time.sleep(_POLL)
        return answered

    def _look(self, ahead: Sequence[int]) -> Ahead:
        tickets = tuple(ticket for number in ahead if (ticket := self.queue._load(number)) is not None)
        numbers = self.queue.batch()
        if self.ticket.number not in numbers:
            return Ahead(tickets, ())
        others = (self.queue._load(number) for number in numbers if number != self.ticket.number)
        return Ahead(tickets, tuple(other.branch for other in others if other is not None and other.branch))

    def _answer(self) -> dict[str, Any] | None:
        return files.document(self.queue._folder / f"{self.ticket.number}.answer", {})

    def _ahead(self) -> list[int]:
        """Return the living tickets without an answer that were drawn before ours."""
        with self.queue._locked():
            numbers = [number for number in self.queue._numbers() if number < self.ticket.number]
            return [number for number in numbers if self.queue._waits(number)]
