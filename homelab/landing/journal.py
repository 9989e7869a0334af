"""The journal: what landed, who let what through, and what was being pushed when a process died.

An intent is on disk before a push starts and is deleted when its outcome is known; whoever finds one asks the remote. The
log only grows. It has a line of a kilobyte or so for each landing: the suites that ran by name, and the others as counts.
"""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from homelab.system import files

#: Bytes of the log's end that are read for the last landings: some hundred of them.
_TAIL = 1 << 18
#: What is kept of a run, and for which results: the others are counted.
_KEPT = ("name", "dir", "result", "seconds", "reason", "flaky")
_COUNTED = ("cached",)
#: Landings at the log's end among which those of a pushed tip are looked for.
_LAST = 200
_WORDS = ("id", "started", "user", "host", "session", "branch", "remote", "target", "commit", "status")
_WORDS_OR_NONE = ("finished", "reason", "pushed", "base")


class Landing(NamedTuple):
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
    #: The target's tip after the push; it has the landing's own commit, and those of others that landed with it.
    pushed: str | None = None
    suites: Sequence[Mapping[str, Any]] = ()
    counts: Mapping[str, int] = {}
    status: str = "pushing"
    finished: str | None = None
    reason: str | None = None
    attempts: int = 1
    #: Whether it may delete most of the target's files, by a person's word.
    allow_deletions: bool = False


_INTENT = dict.fromkeys((*_WORDS, "head", "tree"), str) | {"attempts": int, "allow_deletions": bool}


def kept(documents: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return what the log keeps of how suites ended: those that ran, and the number of each result."""
    ran = [
        {name: row[name] for name in _KEPT if row.get(name) is not None}
        for row in documents
        if row["result"] not in _COUNTED
    ]  # fmt: skip
    counts = Counter(str(row["result"]) for row in documents)
    return ran, {result: counts.pop(result) for result in ("passed", "cached") if result in counts} | counts


class Journal(NamedTuple):
    """The log and the intents below one clone's state folder."""

    folder: Path

    @property
    def log(self) -> Path:
        """The file of the log."""
        return self.folder / "landings.jsonl"

    @property
    def _intents(self) -> Path:
        return self.folder / "landing"

    def intend(self, landing: Landing) -> int:
        """Write the intent. Return the descriptor of its lock, which the push inherits and so shows that it still runs."""
        path = self._intents / f"{landing.id}.json"
        fd = files.hold(path.with_suffix(".lock"))
        assert fd is not None
        try:
            files.replace(path, json.dumps(landing._asdict()).encode())
        except BaseException:
            self.drop(landing.id)
            os.close(fd)
            raise
        return fd

    def close(self, landing: Landing) -> None:
        """Add the landing's outcome to the log, and delete its intent."""
        files.append(self.log, landing._asdict())
        self.drop(landing.id)

    def hear(self, tip: str, said: Mapping[str, Any]) -> None:
        """Add what CI said of a pushed tip to the landings that it brought. Never fails: they stay landed.

        Each is appended once more, since the log only grows; readers take nothing else from a landing's second line.
        """
        with contextlib.suppress(OSError):
            for row in self.recent(_LAST):
                is_of_tip = row["status"] == "landed" and (row.get("pushed") or row["commit"]) == tip
                if is_of_tip and (row.get("ci") or {}).get("verdict") != said["verdict"]:
                    files.append(self.log, {**row, "ci": dict(said)})

    def drop(self, identity: str) -> None:
        """Delete the intent of this landing."""
        path = self._intents / f"{identity}.json"
        path.unlink(missing_ok=True)
        path.with_suffix(".lock").unlink(missing_ok=True)

    def open_intents(self) -> Iterator[tuple[Landing, Path]]:
        """Yield the intents that are not settled, each with its lock file. Delete damaged ones: nothing was pushed for them."""
        for lock in self._intents.glob("*.lock"):
            if not lock.with_suffix(".json").exists() and not is_in_flight(lock):
                lock.unlink(missing_ok=True)  # killed before the intent was written
                for half in self._intents.glob(f".{lock.stem}.json.*"):
                    half.unlink(missing_ok=True)
        for path in sorted(self._intents.glob("*.json")):
            record = files.document(path, _INTENT)
            known = record is not None and not record.keys() - set(Landing._fields)
            if record is not None and known and _is_sound(record) and record["id"] == path.stem:
                yield Landing(**record), path.with_suffix(".lock")
            else:
                files.remove(path)
                self.drop(path.stem)

    def landings(self) -> tuple[list[dict[str, Any]], int]:
        """Return the log, oldest first, each landing once, and how many of its lines are damaged."""
        try:
            return _read(files.content(self.log))
        except FileNotFoundError:
            return [], 0

    def recent(self, count: int) -> list[dict[str, Any]]:
        """Return the last landings of the log, oldest first, without reading all of a long one."""
        try:
            content = files.content(self.log, last=_TAIL)
        except FileNotFoundError:
            return []
        return _read(content if len(content) < _TAIL else content.partition(b"\n")[2])[0][-count:]


def _read(content: bytes) -> tuple[list[dict[str, Any]], int]:
    found: dict[str, dict[str, Any]] = {}
    damaged = 0
    for text in content.split(b"\n"):
        if not text:
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            record = None
        if not _is_sound(record):
            damaged += 1
        elif (earlier := found.get(record["id"], {})).get("status") != "landed":
            found[record["id"]] = record
        elif record.get("ci"):
            earlier["ci"] = record["ci"]
    return list(found.values()), damaged


def _is_sound(record: object) -> bool:
    """Return whether every field that is used has the type it should. Plain loops: a log has ten thousand lines."""
    if not isinstance(record, dict) or not isinstance(record.get("verified"), bool):
        return False
    for name in _WORDS:
        if not isinstance(record.get(name), str):
            return False
    for name in _WORDS_OR_NONE:
        if not isinstance(record.get(name, None if name == "pushed" else 0), str | None):  # 0.1 did not write `pushed`
            return False
    suites, counts, said = record.get("suites"), record.get("counts", {}), record.get("ci")
    if said and not _is_said(said):
        return False
    if not isinstance(suites, list) or not isinstance(counts, dict):
        return False
    for row in suites:
        if not isinstance(row, dict) or not isinstance(row.get("name"), str) or not isinstance(row.get("result"), str):
            return False
        if not files.is_sound(row.get("seconds", 0.0), float | int) or not isinstance(row.get("dir", "."), str):
            return False
    return all(isinstance(number, int) for number in counts.values())


def _is_said(said: object) -> bool:
    """Tell whether it is what CI said of a landing."""
    if not isinstance(said, dict) or not isinstance(said.get("verdict"), str) or not isinstance(said.get("checks") or [], list):
        return False
    return files.is_sound(said.get("waited") or 0, float | int) and all(
        isinstance(name, str) for name in said.get("checks") or ()
    )


def is_in_flight(lock: Path) -> bool:
    """Return whether the lander of an intent, or the push that it started, still runs."""
    fd = files.hold(lock)
    if fd is None:
        return True
    os.close(fd)
    return False
