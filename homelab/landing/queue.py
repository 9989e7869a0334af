"""Who waits to land: tickets, served in the order they were drawn, and the answers that a leader gives for others.

The first living ticket without an answer leads; it may serve those behind it too. A ticket is alive as long as its process
holds its lock, so a dead one is passed over without guessing at process ids. Lock attempts alone would not do: of twelve
that poll for one lock, which gets it is chance.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from homelab.git.repository import Repository
from homelab.system import clock, files, identity

#: Seconds between two looks of one who waits: for an answer, and at whether those ahead still live.
_POLL, _LOOK = 0.03, 0.15


@dataclass(frozen=True, slots=True)
class Ticket:
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
    #: It brings its own way of verifying, or none, so nobody may land it together with others.
    alone: bool = False
    #: When it was drawn, in seconds of the clock that this host's processes share.
    drawn: float = 0.0


def _folder(repository: Repository) -> Path:
    return repository.state / "queue"


def _mutex(repository: Repository) -> Path:
    return repository.state / "locks" / "queue"


def _load(path: Path) -> Ticket | None:
    try:
        return Ticket(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _numbers(repository: Repository) -> list[int]:
    return sorted(int(path.stem) for path in _folder(repository).glob("*.lock") if path.stem.isdigit())


def _waits(repository: Repository, number: int) -> bool:
    """Tell whether a ticket's process lives and has no answer; a dead one's files are gone afterwards."""
    lock = _folder(repository) / f"{number}.lock"
    if not lock.exists():
        return False
    fd = files.hold(lock)
    if fd is None:
        return not lock.with_suffix(".answer").exists()
    _discard(lock)
    os.close(fd)
    return False


def _discard(lock: Path) -> None:
    for suffix in (".json", ".answer", ".lock"):
        lock.with_suffix(suffix).unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """What kills have left is gone: half-written files, and answers to those that went before they came."""
    for path in folder.glob("*"):
        if path.name != "last":
            path.unlink(missing_ok=True)


def waiting(repository: Repository, *, behind: int = 0) -> list[Ticket]:
    """Return the living tickets behind a number that have no answer, in the order in which they are served."""
    if not _numbers(repository):  # nothing to lock, which a read-only git directory would not allow
        return []
    with files.locked(_mutex(repository)):
        alive = [number for number in _numbers(repository) if number > behind and _waits(repository, number)]
    found = (_load(_folder(repository) / f"{number}.json") for number in alive)
    return [ticket for ticket in found if ticket is not None]


def is_waiting(repository: Repository, ticket: Ticket) -> bool:
    """Tell whether a ticket's lander still waits for its answer."""
    with files.locked(_mutex(repository)):
        return _waits(repository, ticket.number)


def answer(repository: Repository, ticket: Ticket, document: dict[str, Any]) -> None:
    """The ticket's lander is told what became of it, and is served."""
    files.replace(_folder(repository) / f"{ticket.number}.answer", json.dumps(document).encode(), passing=True)


@dataclass(slots=True)
class Place:
    """The place of this process in the queue."""

    repository: Repository
    ticket: Ticket

    def ready(self, branch: str, head: str, *, alone: bool) -> None:
        """The ticket says what it brings."""
        self.ticket = replace(self.ticket, branch=branch, head=head, alone=alone)
        self._write()

    def _write(self) -> None:
        path = _folder(self.repository) / f"{self.ticket.number}.json"
        files.replace(path, json.dumps(asdict(self.ticket)).encode(), passing=True)

    def wait(self, waited: Callable[[int], None]) -> dict[str, Any] | None:
        """Return the answer that a leader gave, or None when it is our turn to lead.

        `waited` is told how many are ahead when that changes.
        """
        ahead, looked = list[int](), -_LOOK
        while (answered := self._answer()) is None:
            # A leader that has ended takes its files along; only a look at the locks finds one that was killed.
            if time.monotonic() - looked >= _LOOK or not (_folder(self.repository) / f"{ahead[0]}.lock").exists():
                told, ahead, looked = len(ahead), self._ahead(), time.monotonic()
                if not ahead:
                    return self._answer()  # a leader answers first, and is gone afterwards
                if len(ahead) != told:
                    waited(len(ahead))
            time.sleep(_POLL)
        return answered

    def _answer(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((_folder(self.repository) / f"{self.ticket.number}.answer").read_bytes())
        except (OSError, ValueError):
            return None
        return found

    def _ahead(self) -> list[int]:
        """Return the living tickets without an answer that were drawn before ours."""
        with files.locked(_mutex(self.repository)):
            numbers = [number for number in _numbers(self.repository) if number < self.ticket.number]
            return [number for number in numbers if _waits(self.repository, number)]


@contextlib.contextmanager
def drawn(repository: Repository, user: str, session: str) -> Iterator[Place]:
    """Yield a place at the queue's end; it is gone afterwards, also after a kill."""
    folder = _folder(repository)
    with files.locked(_mutex(repository)):
        last = folder / "last"
        try:
            before = int(last.read_text())
        except (OSError, ValueError):
            before = 0
        if not (numbers := _numbers(repository)):
            _sweep(folder)
        number = max([before, *numbers]) + 1
        _discard(folder / f"{number}.lock")  # a number comes again when `last` is lost with the power
        files.replace(last, str(number).encode(), passing=True)
        fd = files.hold(folder / f"{number}.lock")
    assert fd is not None
    where = os.fspath(repository.worktree or repository.git_dir)
    ticket = Ticket(number, user, identity.host(), session, os.getpid(), clock.now(), where, drawn=time.monotonic())
    place = Place(repository, ticket)
    try:
        place._write()
        yield place
    finally:
        _discard(folder / f"{number}.lock")
        os.close(fd)
