"""Claims as files in a folder: records replaced whole, one mutex a label, and the kernel as the witness of who lives.

    held/LABEL=ID.json      a claim            queue/LABEL=NUMBER=ID.json   a place in the queue
    alive/ID                locked by the claim's command and its keeper, or by the waiter; free when all of them are gone
    alive/ID.home           locked by homelab itself: free while `alive/ID` is held means orphaned
    labels/LABEL.lock       the mutex, never deleted   labels/LABEL.number   the last fence or ticket number
    committed/ID            leases on several labels stand once this exists: all of them or none
    history/2026-11.jsonl   the events

In a file's name a label's ``/`` is ``+``, which no label contains. Other users may write in the folder, so nothing in it is
reached but through `homelab.system.shared`.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from homelab.claims.model import Binding, Blocked, Board, Claim, Ticket, with_queue
from homelab.claims.stores import folder as place
from homelab.claims.stores import records
from homelab.claims.stores.base import Store
from homelab.claims.stores.file_records import Records, file_name, key
from homelab.claims.stores.ledger import event
from homelab.errors import Refused, Unreachable
from homelab.system import clock
from homelab.system import files as storage
from homelab.system.clock import Deadline
from homelab.system.shared import Shared

# Between two looks of a waiter at the one who is in its way.
_GLANCE = 0.02


class FileStore(Store):
    """The claims below one folder. Made when missing; refused where locks would lie or another user owns it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"file://{quote(os.fsencode(folder))}"
        self._fds: dict[str, list[int]] = {}
        mode = place.ensure(folder)
        with self._reaching():
            root = Shared(folder.resolve(), mode)
            place.furnish(folder)
            parts = {name: Shared(folder.resolve() / name, mode) for name in place.FOLDERS}
            if not root.exists("VERSION"):
                root.replace("VERSION", b'{"v":1}\n')
            _require_version(folder, root.read("VERSION"))
        self.records = Records(parts)
        place.sweep(parts)

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

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
                stack.enter_context(self.records.labels.locked(f"{key(label)}.lock"))
            self.records.past.check(_month())  # before anything is changed that could not be told of
            yield ledger
            ledger.commit()

    def look(self) -> Board:
        """Return all that is claimed and waited for. No mutex is taken: records are whole, and the dead are passed over."""
        with self._reaching():
            claims = [claim for _, claim, lives in self.records.claims() if lives]
            tickets = [ticket for _, ticket, _ in self.records.tickets() if ticket is not None]
        return with_queue(claims, tickets)

    def events(self, label: str | None) -> list[dict[str, Any]]:
        """Return the events, oldest first."""
        with self._reaching():
            events = [event for name in self.records.past.names() for event in self.records.past.records(name)]
        return [event for event in events if label in (None, event.get("label"))]

    def record(self, document: dict[str, Any]) -> None:
        """Append an event to the history."""
        with self._reaching():
            self.records.past.append(_month(), {"at": clock.now(), **document})

    def grasp(self, id: str) -> int:
        """Lock the id's files, once. Return the descriptor of the first."""
        if id not in self._fds:
            with self._reaching():
                fds = [self.records.alive.hold(id), self.records.alive.hold(f"{id}.home")]
            self._fds[id] = [fd for fd in fds if fd is not None]
            assert len(self._fds[id]) == 2, "the id is ours alone"
        return self._fds[id][0]

    def let_go(self, id: str) -> None:
        """Free the id's files, and remove them unless a record still needs them."""
        for fd in self._fds.pop(id, []):
            storage.free(fd)
        self.records.clear(id)

    def _pause(self, blocked: Blocked, ticket: str, labels: Sequence[str], until: float) -> None:
        # Until the one directly in our way is gone, or a second has passed.
        os.utime(self._fds[ticket][0])
        again = min(until, time.monotonic() + 1)
        while time.monotonic() < again:
            time.sleep(max(0.0, min(_GLANCE, again - time.monotonic())))
            if not self.records.is_in_the_way(blocked):
                return


class _Files:
    """The records of some labels, whose mutexes we hold: a `Ledger`."""

    def __init__(self, store: FileStore, labels: Collection[str]) -> None:
        self._store = store
        self._records = store.records
        self._labels = labels
        self._group: set[str] = set()

    def claims(self, label: str) -> list[Claim]:
        alive = []
        for name, claim, lives in self._records.claims(label):
            if lives:
                alive.append(claim)
                continue
            self._records.held.unlink(name)
            self._records.clear(claim.id)
            self.event(event("expired" if claim.binding is Binding.LEASE and not claim.damaged else "abandoned", claim))
        return alive

    def tickets(self, label: str) -> list[Ticket]:
        found = []
        for name, ticket, counts in self._records.tickets(label):
            if ticket is None:
                self._records.queue.unlink(name)
                self._records.clear(name.removesuffix(".json").rpartition("=")[2])
            elif counts:
                found.append(ticket)
        return found

    def number(self) -> int:
        names = [f"{key(label)}.number" for label in self._labels]
        number = 1 + max(self._number(name) for name in names)
        for name in names:
            self._records.labels.replace(name, b"%d\n" % number)
        return number

    def _number(self, name: str) -> int:
        """Return the number in a file, 0 where there is none. A damaged one is refused: a fence must never repeat."""
        try:
            text = self._records.labels.read(name)
        except FileNotFoundError:
            return 0
        if not re.fullmatch(rb"[0-9]{1,18}\n?", text):
            path, label = self._records.labels.path / name, name.removesuffix(".number").replace("+", "/")
            hint = f"write the label's highest fence into it, `homelab claims history {label}` shows it"
            raise Refused(f"the fence in {path} is damaged", hint=hint)
        return int(text)

    def put(self, claim: Claim, seconds: float | None) -> Claim:
        # The first record of a lease on several labels counts after `commit` only.
        name = file_name(claim)
        deadline = Deadline.after(seconds) if claim.binding is Binding.LEASE and seconds is not None else None
        written = claim._replace(expires_at=deadline.moment() if deadline else None, left=seconds)
        document = records.claim_document(claim)
        document["deadline"] = deadline and deadline.document()
        if deadline and len(self._labels) > 1 and not self._records.held.exists(name):
            document["group"] = True
            self._group.add(claim.id)
        self._records.held.replace(name, json.dumps(document, indent=1).encode() + b"\n")
        return written

    def commit(self) -> None:
        """Let the leases on several labels count, all at once."""
        for id in self._group:
            self._records.committed.replace(id, b"")

    def remove(self, claim: Claim) -> None:
        self._records.held.unlink(file_name(claim))
        if claim.binding is Binding.LEASE:
            self._records.clear(claim.id)

    def enqueue(self, ticket: Ticket) -> None:
        name = f"{key(ticket.label)}={ticket.number:012d}={ticket.id}.json"
        self._records.queue.replace(name, json.dumps(records.ticket_document(ticket)).encode())

    def dequeue(self, ticket_id: str, label: str) -> None:
        for name in self._records.queue.names(f"{key(label)}="):
            if name.endswith(f"={ticket_id}.json"):
                self._records.queue.unlink(name)

    def event(self, document: dict[str, Any]) -> None:
        self._store.record(document)

    def now(self) -> str:
        return clock.now()


def _month() -> str:
    return f"{clock.now()[:7]}.jsonl"


def _require_version(folder: Path, content: bytes) -> None:
    document, _ = records.parse(content)
    version = document.get("v")
    if not isinstance(version, int):
        raise Unreachable(f"the claim store's {folder / 'VERSION'} is damaged", hint='write {"v":1} into it')
    if version != records.VERSION:
        raise Refused(f"the claim store {folder} was made by a newer homelab", hint="install the newer homelab")
