"""What a terminal shows: how wide it is, which signs and colours it has, and a region at its end that is drawn again.

Everything here is about stderr, where people are told what goes on. Elsewhere than on a terminal there is no colour and no
region; NO_COLOR and a locale without UTF-8 are honoured. Only `homelab.output` prints.
"""

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

_CODES = {"green": "32", "red": "31", "yellow": "33", "dim": "2", "bold": "1"}
_COLOURS = re.compile(r"(\x1b\[[0-9;]*m)")
#: Words with the space behind them; what stands in backticks is one.
_WORDS = re.compile(r"(?:next: |hint:   ).+|\s*(?:`[^`]*`|\S)(?:`[^`]*`|[^\s`])*\s?")
#: Columns that a table's column keeps, however narrow the terminal is.
_NARROWEST = 5
#: Columns that a table's last column, which mostly is free text, keeps while the others have all they want.
_TEXT = 12
_NONE: Mapping[int, Callable[[str], str]] = {}
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
        """Return the text in a colour, or as it is where the stream has none or the colour is ""."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.has_colour and text and colour else text

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

    def columns(
        self, rows: Sequence[Sequence[str]], indent: int = 0, colours: Mapping[int, Callable[[str], str]] = _NONE
    ) -> list[str]:
        """Return rows of cells in columns, two spaces apart. Where there is no room the last gives way, then the widest.

        `colours` says by its number what colours the cells of a column have, "" for none.
        """
        widths = [max(map(columns_of, column)) for column in zip(*rows, strict=True)]
        if self.width is not None:
            room = self.width - indent - 2 * (len(widths) - 1)
            widths[-1] = max(widths[-1] - max(sum(widths) - room, 0), min(widths[-1], _TEXT))
            while sum(widths) > room and max(widths) > _NARROWEST:
                widths[widths.index(max(widths))] -= 1
        lines = []
        for row in rows:
            text, gap = "", 0
            for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
                shown = self.cut(cell, width)
                tone = colours[number](cell) if shown and number in colours else ""
                text += " " * gap + self.paint(shown, tone) if shown else ""
                gap = (0 if shown else gap) + width - columns_of(shown) + 2
            lines.append(self.cut(text, None if self.width is None else self.width - indent))
        return lines

    def wrap(self, text: str, indent: int = 2) -> list[str]:
        """Return a sentence as lines that fit, broken between words and never in a command, which has to be copied."""
        if self.width is None or columns_of(text) <= self.width:
            return [text]
        lines = [""]
        for word in _WORDS.findall(text):
            if lines[-1].strip() and columns_of(lines[-1]) + columns_of(word.rstrip()) > self.width:
                lines[-1] = lines[-1].rstrip()
                lines.append(" " * indent)
                word = word.lstrip()
            lines[-1] += word
        return lines


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
        with contextlib.suppress(OSError):  # the terminal is gone, and what was drawn for it goes on
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
