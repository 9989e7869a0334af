"""How runs look while they are made and afterwards: the one drawing that `verify`, `work land` and `git push` share.

A line for each run that ended stays, cached ones are a number, and what runs now is drawn again at the end of a terminal.
Elsewhere the same lines come without colour and without what runs now. Many green folders of one suite are one line: a push
of 155 stacks must not scroll its one red away.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from homelab import output, terminal
from homelab.verify.reporter import Reporter
from homelab.verify.results import Result
from homelab.verify.suites import Run

#: A suite with more runs than this has its green ones told as one line, and of the others no more than so many by name.
_MANY = 8
#: So many running lines are drawn at the most; the rest is a number.
_ROOM = 6
_WIDEST_LABEL = 40
#: Bytes of a log that are streamed at one look.
_STREAMED = 1 << 16

#: The sign of a result, the word for it where the locale has no such sign, and its colour.
_SIGNS = {
    "passed": ("✓", "ok", "green"),
    "failed": ("✗", "FAILED", "red"),
    "timeout": ("✗", "FAILED", "red"),
    "red-before": ("!", "!", "yellow"),
    "unable": ("\u2013", "-", "yellow"),
    "skipped": ("\u2013", "-", "dim"),
}


@dataclass(slots=True)
class _Running:
    """A run that is being made, or a checkout that is being prepared for it."""

    run: Run
    since: float
    is_preparing: bool = False
    #: Its log, and how much of that has been shown.
    log: Path | None = None
    shown: int = 0


@dataclass(slots=True)
class _Folders:
    """The runs of a suite with many: how many there are, and how those ended that did."""

    total: int
    ended: int = 0
    green: int = 0
    seconds: float = 0.0
    others: Counter[str] = field(default_factory=Counter)


class Screen(Reporter):
    """Shows runs on stderr.

    `tell` says the closing line; where that is the answer, it goes to stdout. With `streams` what a suite says is shown while
    it says it. What `is_folded` has no line for a run that ended, since who asked tells what came of it.
    """

    def __init__(
        self,
        subject: str | None = None,
        tell: Callable[[str], None] = output.say,
        *,
        streams: bool = False,
        is_folded: bool = False,
    ) -> None:
        self._subject = subject
        self._streams = streams
        self._is_folded = is_folded
        self._tell = tell
        self._look = terminal.look()
        self._lock = threading.Lock()
        self._running: dict[int, _Running] = {}
        self._usual: Mapping[str, float] = {}
        self._began = time.monotonic()
        self._total = self._done = self._frame = self._width = 0
        self._many: dict[str, _Folders] = {}

    def begin(self, commit: str, runs: Sequence[Run], cached: int, usual: Mapping[str, float]) -> None:
        """Say what is verified and how much of it has to be run."""
        self._began, self._total, self._usual = time.monotonic(), len(runs), usual
        counts = Counter(run.suite.name for run in runs)
        self._many = {name: _Folders(count) for name, count in counts.items() if count > _MANY}
        labels = [output.line(run.label) for run in runs] + ["prepare"] * any(run.prepare for run in runs)
        self._width = min(max(map(terminal.columns_of, labels), default=0), _WIDEST_LABEL)
        if runs:
            known = f", {cached} cached" if cached else ""
            output.say(f"verifying {output.line(self._subject or commit[:7])}: {len(runs)} to run{known}")

    def started(self, run: Run) -> None:
        """Show that a run goes on."""
        with self._lock:
            self._running[id(run)] = _Running(run, time.monotonic())

    def preparing(self, run: Run) -> None:
        """Show that the checkout of a run is prepared."""
        with self._lock:
            if now := self._running.get(id(run)):
                now.is_preparing = True

    def prepared(self, run: Run, seconds: float) -> None:
        """Say how long the checkout of a run took to prepare."""
        with self._lock:
            if now := self._running.get(id(run)):
                now.is_preparing, now.since = False, time.monotonic()
            self._line("passed", "prepare", seconds, output.line(run.verify.prepare or ""))

    def logging(self, run: Run, log: Path) -> None:
        """Stream what the run writes from now on."""
        with self._lock:
            if now := self._running.get(id(run)):
                self._stream(now)
                now.log, now.shown = log, 0

    def _stream(self, one: _Running, *, whole: bool = False) -> None:
        """Print what a log has got since the last look: whole lines, and the rest when it is `whole`."""
        if not self._streams or one.log is None:
            return
        try:
            with one.log.open("rb") as file:
                file.seek(one.shown)
                content = file.read(-1 if whole else _STREAMED)
        except OSError:
            return
        end = content.rfind(b"\n") + 1
        if whole or (not end and len(content) == _STREAMED):
            end = len(content)
        one.shown += end
        for row in output.plain(content[:end].decode(errors="replace")).splitlines():
            output.row(f"  {self._look.paint(output.line(one.run.label), 'dim')} | {row}")

    def ended(self, result: Result) -> None:
        """Say how a run ended: in a line of its own, or in that of its suite where that has many green ones."""
        name, word = result.run.suite.name, str(result.result)
        with self._lock:
            if now := self._running.pop(id(result.run), None):
                self._stream(now, whole=True)
            self._done += 1
            many = self._many.get(name)
            if many is not None:
                many.ended += 1
                many.green += result.is_green
                many.seconds += result.seconds
                many.others[word] += not result.is_green
            if many is None or (not result.is_green and many.others[word] <= _MANY):
                words = ", ".join(filter(None, (result.reason, "flaky" if result.flaky else "")))
                self._line(word, result.run.label, result.seconds, words)
            if many is not None and many.ended == many.total:
                self._fold(name)

    def tick(self) -> None:
        """Draw again what runs now, and for how long."""
        with self._lock:
            for one in self._running.values():
                self._stream(one)
        if not self._look.is_live or output.is_quiet():
            return
        with self._lock:
            self._frame += 1
            now = time.monotonic()
            self._look = terminal.look()  # the window may have been made narrower
            rows = [self._running_line(one, now) for one in list(self._running.values())[:_ROOM]]
            more = f" · {len(self._running) - _ROOM} more run" if len(self._running) > _ROOM else ""
            state = f"  {self._done} of {self._total} · {output.minutes(now - self._began)}{more}"
            if not self._look.has_unicode:
                state = state.replace("·", "-")
            terminal.draw([*rows, self._look.paint(self._look.cut(state), "dim")])

    def finish(self) -> None:
        """Take what is drawn away. Suites that were interrupted get their line."""
        terminal.erase()
        with self._lock:
            for name in list(self._many):
                self._fold(name)

    def verified(self, commit: str, results: Sequence[Result]) -> None:
        """Say the closing line."""
        self._tell(closing(commit, results, time.monotonic() - self._began))

    def _fold(self, name: str) -> None:
        many = self._many.pop(name)
        count = f"{many.green} of {many.total}" if many.green < many.total else f"all {many.total}"
        parts = [f"{count} green"] if many.green else []
        parts += [f"{count - _MANY} more {word}" for word, count in many.others.items() if count > _MANY]
        if parts:
            word = "skipped" if many.ended < many.total else "passed" if many.green else many.others.most_common(1)[0][0]
            self._line(word, name, many.seconds, ", ".join(parts))

    def _line(self, word: str, label: str, seconds: float, rest: str) -> None:
        if self._is_folded:
            return
        sign, plain, colour = _SIGNS.get(word, ("✗", "FAILED", "red"))
        shown = self._look.sign(sign, f"{plain:6}")
        words = f"{self._label(label)}  {output.duration(seconds):>6}   {output.line(rest)}".rstrip()
        room = None if self._look.width is None else self._look.width - 3 - len(shown)
        output.row(f"  {self._look.paint(shown, colour)} {self._look.cut(words, room)}")

    def _label(self, label: str) -> str:
        shown, width = output.line(label), self._width
        if self._look.width is not None:
            width = min(width, max(self._look.width - 24, 8))
            shown = self._look.cut(shown, width)
        return shown + " " * (width - terminal.columns_of(shown))

    def _running_line(self, one: _Running, now: float) -> str:
        usual = self._usual.get(one.run.label)
        note = f"prepare: {output.line(one.run.verify.prepare or '')}" if one.is_preparing else ""
        if usual and not note:
            note = f"usually {output.minutes(usual)}"
        words = (
            f"  {self._look.spinner(self._frame)} {self._label(one.run.label)}  {output.minutes(now - one.since):>6}   {note}"
        )
        return self._look.cut(words.rstrip())


def closing(commit: str, results: Sequence[Result], seconds: float) -> str:
    """Return one line that says that a commit is verified, in what time and how."""
    words = Counter(str(result.result) for result in results)
    ran = sum(count for word, count in words.items() if word not in ("cached", "red-before", "unable", "skipped"))
    parts = ((ran, "ran"), (words["cached"], "cached"), (words["red-before"], "red before"))
    counts = ", ".join(f"{count} {word}" for count, word in parts if count)
    return f"verified {commit[:7]} in {output.duration(seconds)}" + (f": {counts}" if counts else "")
