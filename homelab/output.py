"""The only printer: answers go to stdout, narration to stderr, and here an error becomes words and an exit code.

Text that came from outside (names, purposes, a remote's or a suite's output) passes through `clean`, so that no control
character reaches a terminal raw.
"""

import errno
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from homelab import terminal
from homelab.errors import Bug, ChildExit, Ending, Interrupted, Left, of_system_call

_BAD = re.compile(r"\bred: |NOT VERIFIED|\bnot landed\b|\bCI (red|asks|unknown)\b|\borphaned\b")
_GOOD = re.compile(r"\bverified\b|\bCI green\b")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

_quiet = False
_json = False


def configure(*, quiet: bool, as_json: bool) -> None:
    """Set whether narration is left out, and whether a failure is one JSON document on stdout."""
    global _quiet, _json
    _quiet, _json = quiet, as_json


def as_json() -> bool:
    """Return whether the answer is to be one JSON document."""
    return _json


def is_quiet() -> bool:
    """Return whether narration is left out."""
    return _quiet


def clean(text: str) -> str:
    """Return `text` with every control character but newline and tab written out, as ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def plain(text: str) -> str:
    """Return `text` without colours and with every other control character written out."""
    return clean(_COLOURS.sub("", text).replace("\r\n", "\n"))


def line(text: str) -> str:
    """Return `text` as one printable line."""
    return clean(text).replace("\n", "\\n").replace("\t", " ")


def names(found: Iterable[str], limit: int = 10) -> str:
    """Return names from outside as one printable list, the first `limit` of them in words."""
    every = list(found)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(line(name) for name in every[:limit]) + more


def columns(
    heading: Sequence[str], rows: Iterable[Sequence[str]], *, colours: Mapping[str, Callable[[str], str]] | None = None
) -> list[str]:
    """Return a table of cells from anywhere as lines, its heading first, as wide as stdout's terminal.

    `colours` says of the columns that it names which colour a cell has, "" for none.
    """
    look, cells = terminal.look(sys.stdout), [[line(cell) for cell in row] for row in rows]
    tones = {heading.index(name): tone for name, tone in (colours or {}).items()}
    head, *lines = look.columns([heading, *cells], colours=tones)
    return [look.paint(head, "dim"), *lines]


def verdict_colour(words: str) -> str:
    """Return the colour of words that say how something stands, "" where it is neither good nor bad."""
    if _BAD.search(words):
        return "red"
    return "green" if _GOOD.search(words) else ""


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def answers() -> Any:
    """Return the stream that answers go to."""
    return sys.stdout


def answer(text: str) -> None:
    """Print what was asked for on stdout."""
    _write(sys.stdout, text)


def answer_path(path: Path) -> None:
    """Print the path that was asked for: on a terminal so that it can be read, elsewhere byte by byte, for `cd "$(…)"`."""
    if sys.stdout.isatty():
        answer(line(str(path)))
        return
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(path) + b"\n")
        sys.stdout.flush()
    except OSError:
        _drop(sys.stdout)
        raise


def tell(word: str, text: str) -> None:
    """Print an entry of an answer: a word, and in a column beside it what it says, broken between words on a terminal."""
    sentence(f"{word:8} {line(text)}", 9)


def sentence(text: str, indent: int = 2) -> None:
    """Print a sentence of an answer, broken between words on a terminal."""
    look = terminal.look(sys.stdout)
    for row in look.wrap(text, min(indent, (look.width or 80) // 8)):
        answer(row)


def answer_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    _write(sys.stdout, json.dumps(document, indent=2, ensure_ascii=True))


def watch(look: Callable[[], tuple[object, str]], *, as_json: bool, seconds: float = 1) -> None:
    """Show what `look` returns, a document and its words, whenever it changes; in place on a terminal.

    With JSON it is a document a line. Raises `Left` at a signal, which is how one leaves.
    """
    live, shown = sys.stdout.isatty() and not as_json, None
    try:
        while True:
            document, words = look()
            if live:
                answer(f"\x1b[H\x1b[J{words}")
            elif document != shown:
                answer(json.dumps(document) if as_json else words)
            shown = document
            time.sleep(seconds)
    except Interrupted as error:
        raise Left(error.exit_code - 128) from None


def say(text: str) -> None:
    """Narrate one line on stderr, unless quiet."""
    if not _quiet:
        warn(text)


def waits_for(what: str) -> Callable[[float], None]:
    """Return what hears how long something has taken, and says what is waited for: after 2 s, after 4, after 8 and so on.

    Lines that stay, and not one that is drawn again: ssh and git ask for a passphrase or a name on the same terminal.
    """
    due = 2.0 if terminal.look().is_live else 16.0

    def hear(seconds: float) -> None:
        nonlocal due
        if seconds >= due:
            due *= 2
            say(f"waiting for {line(what)}, {duration(seconds)} so far")

    return hear


def row(text: str) -> None:
    """Print one line of a table or a drawing on stderr, unless quiet. What came from outside is clean already."""
    if not _quiet:
        _write(sys.stderr, text)


def warn(text: str) -> None:
    """Print lines on stderr, each behind our name, quiet or not."""
    look = terminal.look()
    for part in clean(text).splitlines() or [""]:
        for row in look.wrap(f"homelab: {part}" if part else "homelab:"):
            _write(sys.stderr, row)


def quote(text: str) -> None:
    """Print somebody else's lines on stderr, indented so that one sees who speaks."""
    for part in clean(_COLOURS.sub("", text)).splitlines():
        _write(sys.stderr, f"  | {part}")


def _write(stream: Any, text: str) -> None:
    # A name that is not UTF-8 arrives with surrogates; a stream in strict mode would raise on it.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        with terminal.above():
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            stream.flush()
    except OSError:
        if stream is sys.stdout:  # narration that nobody can read ends nothing: a landing or an apply is under way
            _drop(stream)
            raise


def show(error: Ending) -> None:
    """Print the error's sentence and hint on stderr, and its document on stdout when JSON was asked for."""
    if isinstance(error, (ChildExit, Left)):
        return
    for sentence, others in error.evidence:
        warn(sentence)
        quote(others)
    warn(line(error.message) if "\n" not in error.message else error.message)
    if error.hint:
        warn(f"hint: {line(error.hint)}")
    if _json:
        words = {"kind": error.kind, "message": error.message, "hint": error.hint, "next": error.next}
        answer_json({"ok": False, "error": words, **error.fields})


def report(entry: Callable[[], None]) -> int:
    """Run `entry` and return its exit code. Print a failure as a sentence and a hint, never as a traceback."""
    code = 0
    try:
        entry()
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        code = failed(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _drop(stream)
    return code


def failed(error: Exception | KeyboardInterrupt) -> int:
    """Return the exit code of the error that is being handled, and print it as a sentence and a hint."""
    known: Ending
    match error:
        case Ending():
            known = error
        case KeyboardInterrupt():
            known = Interrupted(2)
        case BrokenPipeError():  # the reader has gone; what it wanted it has
            return 141
        case OSError(errno=int()):
            known = of_system_call(error)
        case RuntimeError(args=(str(words),)) if words.startswith("Symlink loop"):  # `Path.resolve`, before Python 3.13
            known = of_system_call(OSError(errno.ELOOP, words))
        case _:  # the one place where our own faults become words
            return _bug()
    show(known)
    return known.exit_code


def _drop(stream: Any) -> None:
    """Let what is still written to a stream go nowhere: Python would write it once more at its end, and show its own error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _bug() -> int:
    import traceback

    from homelab.system import bug_reports

    text = traceback.format_exc()
    place = bug_reports.write(f"{sys.argv!r}\n{text}".encode(errors="backslashreplace"))
    if place is None:
        sys.stderr.write(clean(text))
        place = "the lines above"
    error = Bug("this is a fault of homelab itself", hint=f"the traceback is in {place}; please report it")
    show(error)
    return error.exit_code


def ago(moment: str) -> str:
    """Return how long ago an ISO 8601 moment was, for people: ``3 min ago``; ``?`` where a damaged record has none."""
    try:
        seconds = time.time() - datetime.fromisoformat(moment).timestamp()
    except (ValueError, OverflowError):
        return "?"
    return f"{duration(abs(seconds))} {'ago' if seconds >= 0 else 'from now'}"


def size(count: int) -> str:
    """Return a number of bytes for people, in its largest fitting unit."""
    for step, unit in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} B"


def minutes(seconds: float) -> str:
    """Return a length of time that is still growing, for people: ``1:05``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def duration(seconds: float) -> str:
    """Return a length of time for people, in its largest fitting unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
