"""What one who waits for a claim is shown: who holds it, until when and why, the place in the queue, and the time.

On a terminal it is one line that is drawn again, elsewhere one line now and another when something has changed.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from homelab import output, terminal
from homelab.claims import render
from homelab.claims.model import Blocked


@contextlib.contextmanager
def shown(seconds: float) -> Iterator[Callable[[Blocked, int], None]]:
    """Yield what shows the wait of so many seconds at the most; its line is gone afterwards."""
    begun, said, look = time.monotonic(), None, terminal.look()

    def tell(found: Blocked, position: int) -> None:
        nonlocal said
        if output.is_quiet():
            return
        if look.is_live:
            times = f"{output.minutes(time.monotonic() - begun)} of {output.minutes(seconds)}"
            # What changes comes first: the end of the line is cut where the terminal is narrow.
            terminal.draw([look.cut(f"waiting  {times}  {_place(position)}: {render.in_front(found)}")])
        elif (now := (_lasting(found), position)) != said:
            said = now
            output.say(f"waiting: {render.in_front(found)}; {_place(position)}, {output.duration(seconds)} at the most")

    try:
        yield tell
    finally:
        terminal.erase()


def _lasting(found: Blocked) -> Blocked:
    """Return what is in the way without what changes at every look: the time that a lease has left, and who runs."""
    return found._replace(claims=tuple(claim._replace(left=None, pids=()) for claim in found.claims))


def _place(position: int) -> str:
    if position == 1:
        return "you are next"
    ending = "th" if position % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(position % 10, "th")
    return f"you are {position}{ending}"
