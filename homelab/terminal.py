"""What a terminal shows: how wide it is, which signs and colours it has, and a region at its end that is drawn again.

Everything here is about stderr, where people are told what goes on. Elsewhere than on a terminal there is no colour and no
region; NO_COLOR and a locale without UTF-8 are honoured. Only `homelab.output` prints.
"""

import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_CODES = {"green": "32", "red": "31", "yellow": "33", "dim": "2", "bold": "1"}
_COLOURS = re.compile(r"(\x1b\[[0-9;]*m)")
_SPINNER, _PLAIN_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"

#: The lines of the region that are on the screen now, and who may draw.
_drawn = 0
_lock = threading.RLock()


class Look(NamedTuple):
    """What a stream can show."""

    #: Whether the stream is a terminal on which lines can be drawn again.
    is_live: bool
    has_colour: bool
    has_unicode: bool
    #: Columns; None where nothing has to be cut.
    width: int | None

    def paint(self, text: str, colour: str) -> str:
        """Return the text in a colour, or as it is where the stream has none."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.has_colour and text else text

    def sign(self, sign: str, plain: str) -> str:
        """Return the sign, or the plain word where the locale has no such character."""
        return sign if self.has_unicode else plain

    def spinner(self, frame: int) -> str:
        """Return one of the pictures of a thing that turns."""
        pictures = _SPINNER if self.has_unicode else _PLAIN_SPINNER
        return pictures[frame % len(pictures)]

    def cut(self, text: str, columns: int | None = None) -> str:
        """Return the text, cut to the columns of the stream (or so many), with a sign that something is missing.

        Colours take no column, and end with the text.
        """
        width = self.width if columns is None else columns
        if width is None or columns_of(text) <= width:
            return text
        kept, left = "", width - 1
        for part in _COLOURS.split(text):
            if part.startswith("\x1b"):
                kept += part
                continue
            for char in part:
                left -= columns_of(char)
                if left < 0:
                    return kept + self.sign("…", "~") + ("\x1b[0m" if "\x1b" in kept else "") if width > 0 else ""
                kept += char
        return kept


def columns_of(text: str) -> int:
    """Return how many columns a text takes: two for wide characters, none for those that combine and for colours."""
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def look(stream: object = None) -> Look:
    """Return what a stream can show now; stderr by default."""
    stream = stream or sys.stderr
    is_terminal = bool(getattr(stream, "isatty", bool)())
    capable = is_terminal and os.environ.get("TERM", "dumb") not in ("", "dumb")
    width = None
    if is_terminal:
        import shutil

        # One column is left free: a line that fills the last one wraps on some terminals, and the region would climb.
        width = max(shutil.get_terminal_size().columns - 1, 20)
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    return Look(
        is_live=capable,
        has_colour=capable and not os.environ.get("NO_COLOR"),
        has_unicode=encoding == "utf8",
        width=width,
    )


def draw(lines: Sequence[str]) -> None:
    """Show the lines at the end of stderr's terminal in place of those that were drawn before."""
    global _drawn
    with _lock:
        climb = f"\x1b[{_drawn - 1}A" if _drawn > 1 else ""
        sys.stderr.write(f"\r{climb}\x1b[J" + "\n".join(lines))
        sys.stderr.flush()
        _drawn = len(lines)


def erase() -> None:
    """Take what is drawn off the terminal, so that lines which stay can be printed."""
    if _drawn:
        draw(())


@contextlib.contextmanager
def above() -> Iterator[None]:
    """Hold the region still while something is printed in its place. It is drawn again when its owner next does so."""
    with _lock:
        erase()
        yield
