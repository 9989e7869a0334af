"""The records of a file store: what each file says, and whether what it speaks of lives.

Nothing here decides, and all that is changed is that the files of the dead are removed. Which files there are is told in
`homelab.claims.stores.files`.
"""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from homelab.claims.model import Binding, Blocked, Claim, State, Ticket
from homelab.claims.stores import records
from homelab.system import proc
from homelab.system.clock import Deadline
from homelab.system.shared import Shared

# How long a waiter may be silent before it is passed over, in seconds. It says once a second that it still looks, but of
# fifty that wait on two cores some come to it after more than eight, and order is what a queue is for.
_WAITER = 30.0


def key(label: str) -> str:
    """Return a label as it stands in a file's name."""
    return label.replace("/", "+")


def file_name(claim: Claim) -> str:
    """Return the name of a claim's file."""
    return f"{key(claim.label)}={claim.id}.json"


def _prefix(label: str | None) -> str:
    return "" if label is None else f"{key(label)}="


class Records:
    """What is kept below a store's folder, by the store's folders."""

    def __init__(self, parts: Mapping[str, Shared]) -> None:
        self.held, self.queue, self.alive = parts["held"], parts["queue"], parts["alive"]
        self.labels, self.committed, self.past = parts["labels"], parts["committed"], parts["history"]

    def clear(self, id: str) -> None:
        """Remove the id's files, unless a record still needs them."""
        if not any(name.endswith(f"={id}.json") for name in self.held.names()):
            self.alive.unlink(id)
            self.alive.unlink(f"{id}.home")
            self.committed.unlink(id)

    def is_in_the_way(self, blocked: Blocked) -> bool:
        """Return whether what kept a request from its labels is still there."""
        # The last one before us goes last: one look at a file tells, whatever the length of the queue.
        if blocked.tickets:
            return self._waits(blocked.tickets[-1].id)
        claim = blocked.claims[0]
        name = file_name(claim)
        if claim.binding is Binding.PROCESS:
            return self.held.exists(name) and self.alive.is_held(claim.id)
        found = self._read(name)
        return found is not None and self._lives(*found)

    def claims(self, label: str | None = None) -> Iterator[tuple[str, Claim, bool]]:
        """Yield the claims on a label, or all: the file, what it says, and whether it lives."""
        for name in self.held.names(_prefix(label)):
            if found := self._read(name):
                lives = self._lives(*found)
                yield name, self._shown(found[0]) if lives else found[0], lives

    def tickets(self, label: str | None = None) -> Iterator[tuple[str, Ticket | None, bool]]:
        """Yield the tickets for a label, first come first, or all: the file, None for the dead, and whether it counts."""
        for name in self.queue.names(_prefix(label)):
            found = self._ticket(name)
            yield name, found, found is not None and self._waits(found.id)

    def _read(self, name: str) -> tuple[Claim, Deadline | None, bool] | None:
        """Return what a record says, or None when it has just gone."""
        label, _, rest = name.removesuffix(".json").partition("=")
        try:
            content = self.held.read(name)
        except FileNotFoundError:
            return None
        except OSError:  # a link, or closed to us: whatever it is, it holds its label
            content = b""
        claim, deadline, group = records.read_claim(content, rest, label.replace("+", "/"))
        if deadline is not None:
            claim = claim._replace(expires_at=deadline.moment(), left=deadline.left())
        return claim, deadline, group

    def _lives(self, claim: Claim, deadline: Deadline | None, group: bool) -> bool:
        if claim.damaged is not None:
            # A lease's record is its only proof; a command's lock speaks for itself.
            return not self.alive.exists(claim.id) or self.alive.is_held(claim.id)
        if claim.binding is Binding.PROCESS:
            return self.alive.is_held(claim.id)
        if group and not self.committed.exists(claim.id):
            return False
        return deadline is not None and deadline.left() > 0

    def _shown(self, claim: Claim) -> Claim:
        """Return the claim with its state, and with the processes that keep it once homelab itself is gone."""
        if claim.binding is not Binding.PROCESS or self.alive.is_held(f"{claim.id}.home"):
            return claim
        return claim._replace(state=State.ORPHANED, pids=tuple(_survivors(self.alive.path / claim.id, claim)))

    def _ticket(self, name: str) -> Ticket | None:
        """Return the ticket of a waiter whose process is there, or None."""
        try:
            found = records.sound_ticket(*records.parse(self.queue.read(name)))[0]
        except OSError:
            return None
        return found if found and self.alive.is_held(found.id) else None

    def _waits(self, id: str) -> bool:
        """Return whether a waiter is alive and looks now and then. One that is stopped must not keep others waiting."""
        try:
            silent = time.time() - self.alive.touched(id)
        except FileNotFoundError:
            return False
        return self.alive.is_held(id) and abs(silent) < _WAITER


def _survivors(alive: Path, claim: Claim) -> list[int]:
    """Return the processes of an orphaned claim's command, its keeper left out."""
    keeper = claim.keeper.pid if claim.keeper else 0
    found = set(proc.openers(alive)) | (set(proc.descendants(keeper)) if claim.keeper == proc.identify(keeper) else set())
    return sorted(found - {keeper, os.getpid()})
