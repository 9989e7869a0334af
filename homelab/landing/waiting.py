"""What a landing in the queue is told: who is ahead, or who is verified together with it, and what runs now.

On a terminal it is one line that is drawn again, elsewhere one line now and another when something has changed.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from homelab import output, terminal
from homelab.landing.queue import Ahead, Place
from homelab.verify.results import Result
from homelab.verify.screen import Screen
from homelab.verify.suites import Run

#: Seconds between two words to others: a suite that is shorter is gone before somebody could read its name.
_PACE = 0.5


class Told(Screen):
    """Shows the leader's runs here, and tells those who look at the queue which ones they are."""

    def __init__(self, place: Place, subject: str) -> None:
        super().__init__(subject)
        self._place, self._told, self._labels = place, list[str](), dict[int, str]()
        self._at = time.monotonic()

    def started(self, run: Run) -> None:
        """Show that a run goes on."""
        super().started(run)
        self._labels[id(run)] = run.label

    def ended(self, result: Result) -> None:
        """Say how a run ended."""
        self._labels.pop(id(result.run), None)
        super().ended(result)

    def tick(self) -> None:
        """Draw again what runs now, and tell the others where it has changed."""
        super().tick()
        if time.monotonic() - self._at >= _PACE:
            self._tell_others(list(self._labels.values()))

    def finish(self) -> None:
        """Take what is drawn away, here and for the others."""
        super().finish()
        self._tell_others([])

    def _tell_others(self, labels: list[str]) -> None:
        if labels != self._told:
            self._place.queue.tell(self._place.ticket, running=labels)
            self._told, self._at = labels, time.monotonic()


@contextlib.contextmanager
def shown() -> Iterator[Callable[[Ahead], None]]:
    """Yield what shows a look at the queue; its line is gone afterwards."""
    began, frame, said = time.monotonic(), 0, ""

    def tell(ahead: Ahead) -> None:
        nonlocal frame, said
        look = terminal.look()
        if look.is_live and not output.is_quiet():
            took = output.minutes(time.monotonic() - began)
            terminal.draw([look.paint(look.cut(f"{look.spinner(frame)} {took}  {words(ahead, since=True)}"), "dim")])
            frame += 1
        elif (now := words(ahead)) != said:
            said = now
            output.say(said)

    try:
        yield tell
    finally:
        terminal.erase()


def words(ahead: Ahead, *, since: bool = False) -> str:
    """Return what one who waits is told, with how long the others have waited where `since`."""
    if ahead.batch:
        return f"being verified together with {output.names(ahead.batch)}"
    count = len(ahead.tickets)
    names = (
        f"{ticket.branch or 'one that starts'} ({ticket.user}{f', {output.ago(ticket.since)}' if since else ''})"
        for ticket in ahead.tickets
    )
    return f"waiting for {count} landing{'s' if count != 1 else ''} ahead: {output.names(names, limit=3)}"
