"""What is remembered of a green result: one file a key, first writer wins, never changed afterwards.

A receipt stops accidents, not a hostile process of the same user. A file that cannot be read, or that speaks of another
key, is no receipt. Red results are not remembered.
"""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from homelab.system import files as storage

_DAY = 86400
MAX_AGE = 30 * _DAY
MAX_COUNT = 20_000
#: How many files of each kind stay.
_MOST = {"receipts": MAX_COUNT, "grants": 1000, "red-before": 2000, "gate": MAX_COUNT, "logs": 2000}
#: The name in the receipt of a whole tree under its policies.
TREE = "policy"


class Receipt(NamedTuple):
    """One green result."""

    key: str
    #: The suite, or "policy" for the receipt of a whole tree under its policies.
    name: str
    dir: str
    run: str
    seconds: float
    finished: str
    user: str
    host: str
    commit: str
    #: A red came before the green.
    flaky: bool = False
    #: The suite ran no test: it has not failed, and it has verified nothing.
    vacuous: bool = False
    #: Of a whole tree: what is to be told each time, such as an `each` that matches nothing.
    notes: tuple[str, ...] = ()
    #: Where CI shows it, of a run that CI decided.
    url: str = ""


class Receipts(NamedTuple):
    """The receipts of one clone, below its folder of state."""

    state: Path

    def load(self, key: str) -> Receipt | None:
        """Return the receipt filed under a key, or None. Remove a damaged one, which would win for ever as the first."""
        path = self._path(key)
        try:
            receipt = _decode(storage.content(path))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, RecursionError):
            receipt = None
        if receipt is None or receipt.key != key:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):  # a use keeps it young; where nothing can be written it still counts
            if time.time() - path.stat().st_mtime > _DAY:
                os.utime(path)
        return receipt

    def record(self, receipt: Receipt) -> None:
        """Remember a result; an earlier one under the same key stays. Raises `OSError`."""
        content = json.dumps({"v": 1, **receipt._asdict()}, indent=1).encode() + b"\n"
        storage.create(self._path(receipt.key), content)

    def forget(self, key: str) -> None:
        """Remove the receipt under the key."""
        self._path(key).unlink(missing_ok=True)

    def forget_trees(self) -> None:
        """Remove the receipts of whole trees, which were concluded from those of runs."""
        for path in self.state.joinpath("receipts").glob("*/*.json"):
            receipt = self.load(path.stem)
            if receipt is not None and receipt.name == TREE:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        # One join: three took more than reading the file, a thousand times over.
        return self.state.joinpath("receipts", key[:2], f"{key}.json")


def _decode(content: bytes) -> Receipt | None:
    """Return what a file says, or None where a field is missing or no such thing. Raises `ValueError`, `TypeError`."""
    document = json.loads(content)
    if not isinstance(document, dict) or document.get("v") != 1:
        return None
    if not isinstance(notes := document.get("notes", []), list):
        return None
    known = {name: document[name] for name in Receipt._fields if name in document}
    receipt = Receipt(**{**known, "notes": tuple(notes)})
    texts = ("key", "name", "dir", "run", "finished", "user", "host", "commit", "url")
    sound = all(isinstance(getattr(receipt, name), str) for name in texts) and isinstance(receipt.seconds, int | float)
    sound &= isinstance(receipt.flaky, bool) and isinstance(receipt.vacuous, bool)
    sound &= all(isinstance(note, str) for note in receipt.notes)
    return receipt if sound else None


def collect(state: Path) -> None:
    """Remove old receipts, grants, markers and logs, at most once a day; what may still be needed stays."""
    stamp = state / "collected"
    with contextlib.suppress(OSError):
        if stamp.exists() and time.time() - stamp.stat().st_mtime < _DAY:
            return
        storage.replace(stamp, b"")
        for folder, most in _MOST.items():
            _thin(state / folder, most)


def _thin(folder: Path, most: int) -> None:
    files = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                files.append((path.stat().st_mtime, path))
    files.sort(reverse=True)
    for n, (modified, path) in enumerate(files):
        if n >= most or time.time() - modified > MAX_AGE:
            path.unlink(missing_ok=True)
