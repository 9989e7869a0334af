"""Timing of whole processes in turns: A B C A B C …, so that whatever the machine does meanwhile meets all alike."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One command; `before` is done first in each round and is not timed."""

    argv: Sequence[str | Path]
    cwd: Path
    env: Mapping[str, str]
    before: Callable[[], object] = lambda: None
    input: bytes = b""

    def once(self) -> float:
        """Return the milliseconds that one run took. A failure ends the whole benchmark: its time would mean nothing."""
        self.before()
        began = time.perf_counter()
        done = subprocess.run(
            [str(part) for part in self.argv], cwd=self.cwd, env=self.env, input=self.input, capture_output=True, check=False
        )
        took = (time.perf_counter() - began) * 1e3
        if done.returncode:
            raise SystemExit(f"{self.argv} ended with {done.returncode}:\n{done.stderr.decode(errors='replace')}")
        return took


@dataclass
class Rows:
    """A table of whatever was counted."""

    title: str
    note: str
    names: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)

    def markdown(self) -> str:
        """Return the table."""
        rows = [self.names, ["---", *["--:"] * (len(self.names) - 1)], *self.rows]
        return f"### {self.title}\n\n{self.note}\n\n" + "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


@dataclass
class Table:
    """Times by case; each is compared with the case that `beside` names for it, or with the first."""

    title: str
    note: str = ""
    times: dict[str, list[float]] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)

    def run(self, cases: Mapping[str, Case], rounds: int) -> "Table":
        """Every case was run so many times, in turns, after one round that does not count."""
        for case in cases.values():
            case.once()
        self.times = {name: [] for name in cases}
        for number in range(rounds):
            progress(f"{self.title}: {number + 1} of {rounds}")
            for name, case in cases.items():
                self.times[name].append(case.once())
        return self

    def median(self, name: str) -> float:
        """Return a case's median in milliseconds."""
        return statistics.median(self.times[name])

    def added(self, name: str, base: str) -> float:
        """Return the median of the differences within each round, in milliseconds."""
        return statistics.median(a - b for a, b in zip(self.times[name], self.times[base], strict=True))

    def markdown(self) -> str:
        """Return the table."""
        first = next(iter(self.times))
        found = Rows(self.title, self.note, ("", "median ms", "least", "more", "ratio"))
        for name, times in self.times.items():
            base = self.beside.get(name, first)
            more, ratio = self.added(name, base), self.median(name) / self.median(base)
            found.rows.append((name, f"{self.median(name):.1f}", f"{min(times):.1f}", f"{more:+.1f}", f"{ratio:.2f}"))
        return found.markdown()


def progress(text: str) -> None:
    """Say on a terminal how far it is."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")


def machine() -> str:
    """Return what the numbers were measured on."""
    cpu = next((row.partition(":")[2].strip() for row in _rows("/proc/cpuinfo") if row.startswith("model name")), "unknown")
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    system = f"{os.uname().sysname} {os.uname().release.partition('-')[0]}"
    return f"{cpu}, {os.cpu_count()} cores, {system}, {git}, Python {sys.version.split()[0]}"


def _rows(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
