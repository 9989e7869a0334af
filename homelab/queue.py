"""Who waits to land: tickets, served in the order they were drawn.

A ticket is alive as long as its process holds its lock, so a dead one is passed over without guessing at process ids. Lock
attempts alone would not do: of twelve that poll for one lock, which gets it is chance.
"""

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from homelab import output, storage
from homelab.git import Repository


@dataclass(frozen=True, slots=True)
class Ticket:
    """One lander's place in the queue."""

    number: int
    branch: str
    worktree: str
    user: str
    host: str
    pid: int
    since: str


def _folder(repository: Repository) -> Path:
    return repository.state / "queue"


def _load(path: Path) -> Ticket | None:
    try:
        return Ticket(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _numbers(repository: Repository) -> list[int]:
    folder = _folder(repository)
    return sorted(int(path.stem) for path in folder.glob("*.lock") if path.stem.isdigit())


def _is_alive(repository: Repository, number: int) -> bool:
    """Tell whether a ticket's process lives; a dead one's files are gone afterwards."""
    lock = _folder(repository) / f"{number}.lock"
    if not lock.exists():
        return False
    fd = storage.hold(lock)
    if fd is None:
        return True
    lock.with_suffix(".json").unlink(missing_ok=True)
    lock.unlink(missing_ok=True)
    os.close(fd)
    return False


def waiting(repository: Repository) -> list[Ticket]:
    """Return the living tickets in the order in which they are served."""
    with storage.locked(repository.state / "locks" / "queue"):
        alive = [number for number in _numbers(repository) if _is_alive(repository, number)]
    found = (_load(_folder(repository) / f"{number}.json") for number in alive)
    return [ticket for ticket in found if ticket is not None]


@contextlib.contextmanager
def turn(repository: Repository, branch: str, user: str, waited: Callable[[int], None]) -> Iterator[Ticket]:
    """It is this process's turn to land, all who came before having ended. `waited` is told who is ahead when that changes."""
    ticket, fd = _draw(repository, branch, user)
    try:
        ahead = -1
        while (count := _ahead(repository, ticket.number)) > 0:
            if count != ahead:
                waited(count)
                ahead = count
            time.sleep(0.03)
        yield ticket
    finally:
        lock = _folder(repository) / f"{ticket.number}.lock"
        lock.with_suffix(".json").unlink(missing_ok=True)
        lock.unlink(missing_ok=True)
        os.close(fd)


def _ahead(repository: Repository, number: int) -> int:
    with storage.locked(repository.state / "locks" / "queue"):
        return sum(_is_alive(repository, other) for other in _numbers(repository) if other < number)


def _draw(repository: Repository, branch: str, user: str) -> tuple[Ticket, int]:
    folder = _folder(repository)
    with storage.locked(repository.state / "locks" / "queue"):
        last = folder / "last"
        try:
            drawn = int(last.read_text())
        except (OSError, ValueError):
            drawn = 0
        number = max([drawn, *_numbers(repository)]) + 1
        storage.replace(last, str(number).encode())
        fd = storage.hold(folder / f"{number}.lock")
        assert fd is not None
    place = os.fspath(repository.worktree or repository.git_dir)
    ticket = Ticket(number, branch, place, user, platform.node(), os.getpid(), output.now())
    storage.replace(folder / f"{number}.json", json.dumps(asdict(ticket)).encode())
    return ticket, fd
