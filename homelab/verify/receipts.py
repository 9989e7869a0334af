"""What is remembered of a green result: one file a key, first writer wins, never changed afterwards.

A receipt stops accidents, not a hostile process of the same user. A file that cannot be read, or that speaks of another
key, is no receipt. Red results are not remembered.
"""

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from homelab.git.repository import Repository
from homelab.system import files as storage

MAX_AGE = 30 * 86400
MAX_COUNT = 20_000


@dataclass(frozen=True, slots=True)
class Receipt:
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


def _path(repository: Repository, key: str) -> Path:
    # One join: three took more than reading the file, a thousand times over.
    return repository.common_dir.joinpath(repository.state.name, "receipts", key[:2], f"{key}.json")


def load(repository: Repository, key: str) -> Receipt | None:
    """Return the receipt filed under a key, or None."""
    path = _path(repository, key)
    try:
        document = json.loads(path.read_bytes())
        receipt: Receipt | None = Receipt(**{name: document[name] for name in Receipt.__dataclass_fields__ if name in document})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        receipt = None
    if receipt is None or receipt.key != key or document.get("v") != 1:
        with contextlib.suppress(OSError):
            path.unlink()  # or the first writer would win for ever
        return None
    if time.time() - path.stat().st_mtime > 86400:
        with contextlib.suppress(OSError):  # a use keeps it young; where nothing can be written it still counts
            os.utime(path)
    return receipt


def record(repository: Repository, receipt: Receipt) -> None:
    """The result is remembered; an earlier one under the same key stays."""
    storage.create(_path(repository, receipt.key), json.dumps({"v": 1, **asdict(receipt)}, indent=1).encode() + b"\n")


def forget(repository: Repository, key: str) -> None:
    """No receipt stands under the key."""
    _path(repository, key).unlink(missing_ok=True)


def collect(repository: Repository) -> None:
    """Old receipts, grants, markers and logs are gone, at most once a day; what may still be needed stays."""
    stamp = repository.state / "collected"
    with contextlib.suppress(OSError):
        if stamp.exists() and time.time() - stamp.stat().st_mtime < 86400:
            return
        storage.replace(stamp, b"")
        for folder, most in (("receipts", MAX_COUNT), ("grants", 1000), ("gate", MAX_COUNT), ("logs", 2000)):
            _thin(repository.state / folder, most)


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
