"""What a landing in the queue is told: who is ahead, or who is verified together with it.

On a terminal it is one line that is drawn again, elsewhere one line now and another when something has changed.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from homelab import output, terminal
from homelab.landing.queue import Ahead


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
