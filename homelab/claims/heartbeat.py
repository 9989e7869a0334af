"""The heartbeat of a command's claim in a store that cannot see whether the command lives.

Invariant: the holder knows that its claim is lost before the store gives it to somebody else, by a clock of its own that
goes on in suspend and waits for no connection.
"""

import threading
from collections.abc import Callable, Iterable

from homelab.claims.model import State
from homelab.claims.stores.base import BEATS, HeartbeatStore
from homelab.errors import HomelabError
from homelab.system import clock

# How long before the end of a store's patience we call its claim lost, in seconds.
_MARGIN = 3.0


class Heart(threading.Thread):
    """Beats until it is stopped or everything is lost, and says so once through `tell`.

    `connect` opens the store again, since a connection serves one thread; `patience` is the store's.
    """

    def __init__(
        self,
        connect: Callable[[], HeartbeatStore],
        patience: float,
        id: str,
        labels: Iterable[str],
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(daemon=True)
        self._connect = connect
        self._patience = patience
        self._id = id
        self._labels = set(labels)
        self._tell = tell
        self._state = State.HELD
        self._pids: Callable[[], list[int]] = list
        self._wake = threading.Event()
        self._stopped = False
        self._last = clock.since_boot()

    def orphan(self, pids: Callable[[], list[int]]) -> None:
        """Report the claim as orphaned from now on, with the surviving processes."""
        self._pids = pids
        self._state = State.ORPHANED
        self._wake.set()

    def stop(self) -> None:
        """Send no further beat. One may be under way."""
        self._stopped = True
        self._wake.set()

    def run(self) -> None:
        """Beat in time, faster while the store does not answer. A watch beside it sees that it stays silent."""
        threading.Thread(target=self._watch, daemon=True).start()
        store: HeartbeatStore | None = None
        while self._labels and not self._stopped:
            sent = clock.since_boot()
            try:
                store = store or self._connect()
                mine = set(store.beat(self._id, self._state, self._pids()))
                self._last = sent
                if gone := self._labels - mine:
                    self._labels &= mine
                    self._tell(f"gone {' '.join(sorted(gone))}")
                pause = self._patience / BEATS
            except HomelabError:
                pause = 1.0
            self._wake.wait(pause)
            self._wake.clear()
        if store is not None:
            store.close()

    def _watch(self) -> None:
        """Say once that the claim has to be taken for lost: no connection can hold this up."""
        pause = threading.Event()
        while self._labels and not self._stopped:
            left = self._last + self._patience - _MARGIN - clock.since_boot()
            if left <= 0:
                self._tell(f"silent {' '.join(sorted(self._labels))}")
                return
            pause.wait(min(left, 1.0))
