"""What a landing in the queue is told: who is ahead, or who is verified together with it."""

import time
from types import TracebackType

from homelab import output, terminal
from homelab.landing.queue import Ahead


class Waiting:
    """Told every look at the queue. A line that lives on a terminal; elsewhere one line, and another when it changes."""

    def __init__(self) -> None:
        self._began, self._frame, self._said = time.monotonic(), 0, ""

    def __enter__(self) -> "Waiting":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        terminal.erase()

    def __call__(self, ahead: Ahead) -> None:
        """Show what has been seen of the queue."""
        look = terminal.look()
        if look.is_live and not output.is_quiet():
            took = int(time.monotonic() - self._began)
            state = f"{look.spinner(self._frame)} {took // 60}:{took % 60:02}  {words(ahead, since=True)}"
            terminal.draw([look.paint(look.cut(state), "dim")])
            self._frame += 1
        elif (said := words(ahead)) != self._said:
            self._said = said
            output.say(said)


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
