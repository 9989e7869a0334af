"""What is remembered of reds: which runs are red on the target too, and which suites depend on more than their inputs.

A red lets nothing pass by itself; `homelab.verify.baseline` decides what it means for a change.
"""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from homelab import output
from homelab.system import clock, files
from homelab.verify.receipts import Receipts
from homelab.verify.suites import Run, digest

#: Seconds after which a run that was red on the target is made there again.
MAX_AGE = 86400
#: So many commits that reds come from are told; the rest is a number.
_MOST = 4


class RedBefore(NamedTuple):
    """A run that was red on the target's tip."""

    key: str
    #: When this clone first saw it red, as ISO 8601.
    since: str
    #: The tip on which it was red last, and when that was in seconds since the epoch.
    commit: str
    at: float
    #: Who last changed what decides it, in words, or empty where nobody can say.
    origin: str = ""


_TYPES = {"key": str, "since": str, "commit": str, "at": float | int}


class Told(NamedTuple):
    """What people are told of one red: which run, since when it is known, and who last changed what decides it."""

    label: str
    since: str
    origin: str = ""


def words(reds: Iterable[Told]) -> list[str]:
    """Return a line for each commit that reds come from, the latest first, and no more of them than one reads."""
    by_origin: dict[str, list[Told]] = {}
    for red in reds:
        by_origin.setdefault(red.origin, []).append(red)
    groups = sorted(by_origin.items(), key=lambda group: group[0].rpartition(" at ")[2], reverse=True)
    lines = []
    for origin, of_it in groups[:_MOST]:
        who, _, moment = origin.rpartition(" at ")
        by = f"last changed in {output.line(who)} {output.ago(moment)}, " if who else ""
        first = output.ago(min(red.since for red in of_it))
        lines.append(f"{output.names((red.label for red in of_it), 4)}; {by}first seen red {first}")
    more = sum(len(of_it) for _, of_it in groups[_MOST:])
    return [*lines, f"{more} more"] if more else lines


class Reds(NamedTuple):
    """The reds that one clone remembers, below its folder of state."""

    state: Path

    def known(self, key: str) -> RedBefore | None:
        """Return what was red on a tip of the target under a key within the last day, or None."""
        found = self._read(key)
        return found if found and 0 <= time.time() - found.at < MAX_AGE else None

    def record(self, key: str, commit: str, origin: str) -> RedBefore:
        """Remember that a run is red on the target's tip; it is as old as when it was first seen. Raises `OSError`."""
        earlier = self._read(key)
        found = RedBefore(key, earlier.since if earlier else clock.now(), commit, time.time(), origin)
        files.replace(self._path("red-before", key), json.dumps({"v": 1, **found._asdict()}).encode())
        return found

    def distrust(self, run: Run) -> None:
        """Keep no result of this run until its suite's definition changes. Raises `OSError`."""
        files.replace(self._path("distrusted", run.key), digest(run.suite._asdict()).encode())
        self.forget([run.key])

    def distrusted(self, run: Run) -> bool:
        """Return whether a run was once green on the target and red on a change under one key."""
        try:
            return files.content(self._path("distrusted", run.key)) == digest(run.suite._asdict()).encode()
        except OSError:
            return False

    def any_distrusted(self, runs: Iterable[Run]) -> bool:
        """Return whether one of the runs is distrusted; where none ever was, no file is looked for."""
        return (self.state / "distrusted").is_dir() and any(self.distrusted(run) for run in runs)

    def forget(self, keys: list[str]) -> None:
        """Forget the greens under these keys, and all that was concluded from them: whole trees, and the gate's markers."""
        import shutil  # with its archives 2 ms of what a status imports

        kept = Receipts(self.state)
        for key in keys:
            kept.forget(key)
        kept.forget_trees()
        shutil.rmtree(self.state / "gate", ignore_errors=True)  # a memo of greens, which may go at any time

    def _read(self, key: str) -> RedBefore | None:
        document = files.document(self._path("red-before", key), _TYPES)
        if document is None or document["key"] != key:
            return None
        return RedBefore(key, document["since"], document["commit"], document["at"], str(document.get("origin", "")))

    def _path(self, kind: str, key: str) -> Path:
        return self.state / kind / key[:2] / key
