"""What became of the last run of each suite here: its log, its result, and how long it usually takes.

For people only: a record may be lost, and nothing is decided by it. One small file a run, so that many who verify at once do
not wait for each other.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from homelab.git.repository import Repository
from homelab.system import clock, files
from homelab.verify.suites import Run

if TYPE_CHECKING:
    from homelab.verify.results import Result

#: What a run counts against those before it.
_WEIGHT = 0.3


class Last(NamedTuple):
    """The last run of a suite in a folder."""

    name: str
    dir: str
    result: str
    reason: str
    log: str | None
    commit: str
    finished: str
    seconds: float
    #: What it usually takes, in seconds.
    usual: float
    #: Of the content that it ran on.
    key: str

    @property
    def is_red(self) -> bool:
        """Return whether it failed."""
        return self.result in ("failed", "timeout")

    @property
    def label(self) -> str:
        """Return how it is named on a command line: ``stack:stacks/dns``."""
        return self.name if self.dir == "." else f"{self.name}:{self.dir}"


_TYPES = dict.fromkeys(Last._fields, str) | {"log": str | None, "seconds": float | int, "usual": float | int}


def remember(repository: Repository, commit: str, result: "Result") -> None:
    """Write down how a run ended. Never fails."""
    run = result.run
    path = _path(repository, run.suite.name, run.dir)
    before = _load(path)
    usual = before.usual if before else result.seconds
    if result.is_green and before:
        usual += (result.seconds - usual) * _WEIGHT
    log = str(result.log) if result.log else None
    record = Last(
        run.suite.name, run.dir, str(result.result), result.reason, log, commit, clock.now(), round(result.seconds, 3),
        round(usual, 3), run.key,
    )  # fmt: skip
    with contextlib.suppress(OSError):
        files.replace(path, json.dumps(record._asdict()).encode(), passing=True)


def of(repository: Repository, run: Run) -> Last | None:
    """Return the last run of a suite in a folder, whatever the content was, or None."""
    return _load(_path(repository, run.suite.name, run.dir))


def usual(repository: Repository, runs: Iterable[Run]) -> dict[str, float]:
    """Return the usual seconds of the runs that have ended here before, by their labels."""
    found = ((run.label, of(repository, run)) for run in runs)
    return {label: record.usual for label, record in found if record}


def runs(repository: Repository) -> list[Last]:
    """Return the last run of every suite and folder, the latest first."""
    return sorted(filter(None, map(_load, _folder(repository))), key=lambda record: record.finished, reverse=True)


def _folder(repository: Repository) -> Iterator[Path]:
    return (repository.state / "last").glob("*.json")


def _path(repository: Repository, name: str, folder: str) -> Path:
    digest = hashlib.sha256("\0".join((name, folder)).encode(errors="surrogateescape")).hexdigest()
    return repository.state / "last" / f"{digest[:32]}.json"


def _load(path: Path) -> Last | None:
    document = files.document(path, _TYPES)
    return Last(**{name: document[name] for name in Last._fields}) if document else None
