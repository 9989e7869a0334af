"""Claims as files in a folder: records replaced whole, one mutex a label, and the kernel as the witness of who lives.

    held/LABEL=ID.json      a claim            queue/LABEL=NUMBER=ID.json   a place in the queue
    alive/ID                locked by the claim's command and its keeper, or by the waiter; free when all of them are gone
    alive/ID.home           locked by homelab itself: free while `alive/ID` is held means orphaned
    labels/LABEL.lock       the mutex, never deleted   labels/LABEL.number   the last fence or ticket number
    committed/ID            leases on several labels stand once this exists: all of them or none
    history/2026-11.jsonl   the events

In a file's name a label's ``/`` is ``+``, which no label contains.
"""

import contextlib
import json
import os
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from homelab.claims.model import Binding, Blocked, Claim, State, Ticket, with_queue
from homelab.claims.stores import folder as place
from homelab.claims.stores import records
from homelab.claims.stores.base import Store, event
from homelab.errors import Refused, Unreachable
from homelab.system import files as storage
from homelab.system import proc
from homelab.system.clock import Deadline, stamp

# Between two looks of a waiter at the one who is in its way.
_GLANCE = 0.02


def _key(label: str) -> str:
    return label.replace("/", "+")


class FileStore(Store):
    """The claims below one folder. Made when missing; refused where locks would lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"file://{quote(str(folder))}"
        self._fds: dict[str, list[int]] = {}
        self.mode = place.ensure(folder)
        with self._reaching():
            place.furnish(folder)
            version = folder / "VERSION"
            if not version.exists():
                storage.replace(version, b'{"v":1}\n', mode=self.mode)
            _require_version(version)
        place.sweep(folder, self.mode)

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise place.unreachable(self.folder, error) from None

    @contextlib.contextmanager
    def transaction(self, labels: Collection[str]) -> Iterator["_Files"]:
        """Hold the labels' mutexes for the block, taken in one order by everyone."""
        ledger = _Files(self, labels)
        with self._reaching(), contextlib.ExitStack() as stack:
            for label in sorted(set(labels)):
                stack.enter_context(storage.locked(self.folder / "labels" / f"{_key(label)}.lock", mode=self.mode))
            yield ledger
            ledger.commit()

    def board(self) -> list[Claim]:
        """Return all live claims. No mutex is taken: records are whole, and the dead are passed over."""
        with self._reaching():
            read = [found for path in _sorted(self.folder / "held") if (found := self._read(path))]
            claims = [self._shown(found[0]) for found in read if self._lives(*found)]
            tickets = [ticket for path in _sorted(self.folder / "queue") if (ticket := self.ticket(path))]
        return with_queue(claims, tickets)

    def events(self, label: str | None) -> list[dict[str, Any]]:
        """Return the events, oldest first."""
        with self._reaching():
            events = [event for path in _sorted(self.folder / "history") for event in storage.records(path)]
        return [event for event in events if label in (None, event.get("label"))]

    def record(self, document: dict[str, Any]) -> None:
        """Append an event to the history."""
        with self._reaching():
            at = stamp(time.time())
            path = self.folder / "history" / f"{at[:7]}.jsonl"
            storage.append(path, {"at": at, **document}, mode=self.mode)

    def alive(self, id: str) -> Path:
        """Return the file whose lock proves that a claim or ticket lives."""
        return self.folder / "alive" / id

    def grasp(self, id: str) -> int:
        """Lock the id's files, once. Return the descriptor of the first."""
        if id in self._fds:
            return self._fds[id][0]
        with self._reaching():
            alive = storage.hold(self.alive(id), mode=self.mode)
            home = storage.hold(self.alive(f"{id}.home"), mode=self.mode)
        assert alive is not None and home is not None, "the id is ours alone"
        self._fds[id] = [alive, home]
        return alive

    def let_go(self, id: str) -> None:
        """Free the id's files, and remove them unless a record still needs them."""
        for fd in self._fds.pop(id, []):
            storage.free(fd)
        self.clear(id)

    def clear(self, id: str) -> None:
        """Remove the id's files, unless a record still needs them."""
        if not any(path.name.endswith(f"={id}.json") for path in _sorted(self.folder / "held")):
            for path in (self.alive(id), self.alive(f"{id}.home"), self.folder / "committed" / id):
                path.unlink(missing_ok=True)

    def _pause(self, blocked: Blocked, ticket: str, labels: Sequence[str], until: float) -> None:
        # Until the one directly in our way is gone, or a second has passed.
        again = min(until, time.monotonic() + 1)
        while time.monotonic() < again:
            time.sleep(max(0.0, min(_GLANCE, again - time.monotonic())))
            if not self._still_there(blocked):
                return

    def _still_there(self, blocked: Blocked) -> bool:
        # The last one before us goes last: one look at a file tells, whatever the length of the queue.
        if blocked.tickets:
            return storage.is_held(self.alive(blocked.tickets[-1].id))
        claim = blocked.claims[0]
        path = self.folder / "held" / f"{_key(claim.label)}={claim.id}.json"
        if claim.binding is Binding.PROCESS:
            return path.exists() and storage.is_held(self.alive(claim.id))
        found = self._read(path)
        return found is not None and self._lives(*found)

    def _read(self, path: Path) -> tuple[Claim, Deadline | None, bool] | None:
        """Return what a record says, or None when it has just gone."""
        label, _, rest = path.name.removesuffix(".json").partition("=")
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        claim, deadline, group = records.read_claim(content, rest, label.replace("+", "/"))
        if deadline is not None:
            claim = replace(claim, expires_at=deadline.moment(), left=deadline.left())
        return claim, deadline, group

    def _lives(self, claim: Claim, deadline: Deadline | None, group: bool) -> bool:
        if claim.damaged is not None:
            # A lease's record is its only proof; a command's lock speaks for itself.
            return not self.alive(claim.id).exists() or storage.is_held(self.alive(claim.id))
        if claim.binding is Binding.PROCESS:
            return storage.is_held(self.alive(claim.id))
        if group and not (self.folder / "committed" / claim.id).exists():
            return False
        return deadline is not None and deadline.left() > 0

    def _shown(self, claim: Claim) -> Claim:
        """Return the claim with its state, and with the processes that keep it once homelab itself is gone."""
        if claim.binding is not Binding.PROCESS or storage.is_held(self.alive(f"{claim.id}.home")):
            return claim
        return replace(claim, state=State.ORPHANED, pids=tuple(_survivors(self.alive(claim.id), claim)))

    def ticket(self, path: Path) -> Ticket | None:
        """Return the ticket of a waiter that lives, or None."""
        try:
            found = records.sound_ticket(*records.parse(path.read_bytes()))[0]
        except FileNotFoundError:
            return None
        return found if found and storage.is_held(self.alive(found.id)) else None

    def standing(self, label: str) -> Iterator[tuple[Path, Claim, bool]]:
        """Yield the records of a label, and whether each lives."""
        for path in _sorted(self.folder / "held", f"{_key(label)}="):
            if found := self._read(path):
                lives = self._lives(*found)
                yield path, self._shown(found[0]) if lives else found[0], lives


class _Files:
    """The records of some labels, whose mutexes we hold: a `Ledger`."""

    def __init__(self, store: FileStore, labels: Collection[str]) -> None:
        self._store = store
        self._labels = labels
        self._group: set[str] = set()

    def claims(self, label: str) -> list[Claim]:
        alive = []
        for path, claim, lives in self._store.standing(label):
            if lives:
                alive.append(claim)
                continue
            path.unlink(missing_ok=True)
            self._store.clear(claim.id)
            self.event(event("expired" if claim.binding is Binding.LEASE and not claim.damaged else "abandoned", claim))
        return alive

    def tickets(self, label: str) -> list[Ticket]:
        found = []
        for path in _sorted(self._store.folder / "queue", f"{_key(label)}="):
            if (ticket := self._store.ticket(path)) is not None:
                found.append(ticket)
            else:
                path.unlink(missing_ok=True)
                self._store.clear(path.name.removesuffix(".json").rpartition("=")[2])
        return found

    def number(self) -> int:
        files = [self._store.folder / "labels" / f"{_key(label)}.number" for label in self._labels]
        number = 1 + max(_number(path) for path in files)
        for path in files:
            storage.replace(path, b"%d\n" % number, mode=self._store.mode)
        return number

    def put(self, claim: Claim, seconds: float | None) -> Claim:
        # The first record of a lease on several labels counts after `commit` only.
        path = self._path(claim)
        deadline = Deadline.after(seconds) if claim.binding is Binding.LEASE and seconds is not None else None
        document = records.claim_document(claim)
        document["deadline"] = deadline and deadline.document()
        if deadline and len(self._labels) > 1 and not path.exists():
            document["group"] = True
            self._group.add(claim.id)
        storage.replace(path, json.dumps(document, indent=1).encode() + b"\n", mode=self._store.mode)
        return replace(claim, expires_at=deadline.moment() if deadline else None, left=seconds)

    def commit(self) -> None:
        """Let the leases on several labels count, all at once."""
        for id in self._group:
            storage.replace(self._store.folder / "committed" / id, b"", mode=self._store.mode)

    def remove(self, claim: Claim) -> None:
        self._path(claim).unlink(missing_ok=True)
        if claim.binding is Binding.LEASE:
            self._store.clear(claim.id)

    def enqueue(self, ticket: Ticket) -> None:
        content = json.dumps(records.ticket_document(ticket)).encode()
        storage.replace(self._ticket_path(ticket.label, ticket.number, ticket.id), content, mode=self._store.mode)

    def dequeue(self, ticket_id: str, label: str) -> None:
        for path in _sorted(self._store.folder / "queue", f"{_key(label)}="):
            if path.name.endswith(f"={ticket_id}.json"):
                path.unlink(missing_ok=True)

    def event(self, document: dict[str, Any]) -> None:
        self._store.record(document)

    def now(self) -> str:
        return stamp(time.time())

    def _path(self, claim: Claim) -> Path:
        return self._store.folder / "held" / f"{_key(claim.label)}={claim.id}.json"

    def _ticket_path(self, label: str, number: int, id: str) -> Path:
        return self._store.folder / "queue" / f"{_key(label)}={number:012d}={id}.json"


def _sorted(folder: Path, prefix: str = "") -> list[Path]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except FileNotFoundError:
        return []
    return [folder / name for name in names if name.startswith(prefix) and not name.startswith(".")]


def _number(path: Path) -> int:
    """Return the number in a file, 0 where there is none. A damaged one is refused: a fence must never repeat."""
    try:
        return int(path.read_bytes())
    except FileNotFoundError:
        return 0
    except ValueError:
        hint = f"write the label's highest fence into it, `homelab claims history {path.stem.replace('+', '/')}` shows it"
        raise Refused(f"the fence in {path} is damaged", hint=hint) from None


def _require_version(path: Path) -> None:
    try:
        version = json.loads(path.read_bytes())["v"]
    except (ValueError, KeyError, TypeError):
        raise Unreachable(f"the claim store's {path} is damaged", hint='write {"v":1} into it') from None
    if version != records.VERSION:
        raise Refused(f"the claim store {path.parent} was made by a newer homelab", hint="install the newer homelab")


def _survivors(alive: Path, claim: Claim) -> list[int]:
    """Return the processes of an orphaned claim's command, its keeper left out."""
    keeper = claim.keeper.pid if claim.keeper else 0
    found = set(proc.openers(alive)) | (set(proc.descendants(keeper)) if claim.keeper == proc.identify(keeper) else set())
    return sorted(found - {keeper, os.getpid()})
