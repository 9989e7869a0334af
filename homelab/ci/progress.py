"""What one who follows CI is told: a line that lives on a terminal; elsewhere one line, and another when it changes."""

import threading
import time
from types import TracebackType

from homelab import output, terminal
from homelab.ci.report import sentence
from homelab.ci.watch import Outcome

#: Seconds between two pictures of the line; CI itself is asked less often.
_FRAME = 0.1


class Progress:
    """Told every look at CI while it is followed."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._look = terminal.look()
        self._is_live = self._look.is_live and not output.is_quiet()
        self._began, self._said = time.monotonic(), f"asking {where}"
        self._ended = threading.Event()
        self._drawer = threading.Thread(target=self._draw, daemon=True)

    def __enter__(self) -> "Progress":
        if self._is_live:
            self._drawer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_live:  # the verdict is the answer, or an error
            self._ended.set()
            self._drawer.join()
            terminal.erase()

    def tell(self, outcome: Outcome) -> None:
        """Say it where it is not what was said before."""
        words = sentence(outcome, self._where)
        if words != self._said and not self._is_live:
            output.say(words)
        self._said = words

    def _draw(self) -> None:
        frame = 0
        while not self._ended.wait(_FRAME):
            took = output.minutes(time.monotonic() - self._began)
            state = f"{self._look.spinner(frame)} {took}  {output.line(self._said)}"
            terminal.draw([self._look.paint(self._look.cut(state), "dim")])
            frame += 1
