"""What landed, who let what through, and what was being pushed when a process died.

An intent is on disk before a push starts and goes when its outcome is known; whoever finds one settles it by asking the
remote. The log only grows.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from homelab.git.repository import Repository
from homelab.system import files


@dataclass(frozen=True, slots=True)
class Landing:
    """One landing, or the attempt at one, as the log keeps it."""

    id: str
    started: str
    user: str
    host: str
    session: str
    branch: str
    remote: str
    target: str
    head: str
    base: str | None
    commit: str
    tree: str
    #: False where a person said --no-verify.
    verified: bool
    suites: list[dict[str, Any]] = field(default_factory=list)
    status: str = "pushing"
    finished: str | None = None
    reason: str | None = None
    attempts: int = 1


def _log(repository: Repository) -> Path:
    return repository.state / "landings.jsonl"


def _intents(repository: Repository) -> Path:
    return repository.state / "landing"


def intend(repository: Repository, landing: Landing) -> int:
    """The intent is on disk; returns the descriptor of its lock, which the push inherits and so shows that it still runs."""
    path = _intents(repository) / f"{landing.id}.json"
    fd = files.hold(path.with_suffix(".lock"))
    assert fd is not None
    try:
        files.replace(path, json.dumps(asdict(landing)).encode())
    except BaseException:
        drop(repository, landing.id)
        os.close(fd)
        raise
    return fd


def close(repository: Repository, landing: Landing) -> None:
    """The log has the landing's outcome, and no intent of it is left."""
    files.append(_log(repository), asdict(landing))
    drop(repository, landing.id)


def drop(repository: Repository, identity: str) -> None:
    """No intent of this landing is left."""
    path = _intents(repository) / f"{identity}.json"
    path.unlink(missing_ok=True)
    path.with_suffix(".lock").unlink(missing_ok=True)


def open_intents(repository: Repository) -> Iterator[tuple[Landing, Path]]:
    """Yield the intents that are not settled, each with its lock file; a damaged one goes: nothing was pushed for it."""
    for lock in _intents(repository).glob("*.lock"):
        if not lock.with_suffix(".json").exists() and not is_in_flight(lock):
            lock.unlink(missing_ok=True)  # killed before the intent was written
            for half in _intents(repository).glob(f".{lock.stem}.json.*"):
                half.unlink(missing_ok=True)
    for path in sorted(_intents(repository).glob("*.json")):
        try:
            landing = Landing(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            drop(repository, path.stem)
            continue
        yield landing, path.with_suffix(".lock")


def is_in_flight(lock: Path) -> bool:
    """Tell whether the lander of an intent, or the push that it started, still runs."""
    fd = files.hold(lock)
    if fd is None:
        return True
    os.close(fd)
    return False


def landings(repository: Repository) -> list[dict[str, Any]]:
    """Return the log, oldest first; a landing that was settled twice stands once."""
    found: dict[str, dict[str, Any]] = {}
    for record in files.records(_log(repository)):
        identity = str(record.get("id"))
        if found.get(identity, {}).get("status") != "landed":
            found[identity] = record
    return list(found.values())
