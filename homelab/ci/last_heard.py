"""Many who watch one commit, of whom one asks: a lock that the kernel frees, and a file with what it was told.

The file stays, and is what `homelab status` knows of CI without asking. When the one that asks dies, another takes over.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from homelab.ci.verdict import Check, Verdict
from homelab.ci.watch import Clock, Outcome
from homelab.git.repository import Repository
from homelab.system import files

#: Seconds of the clock between looks at the file.
_LOOK = 1.0
_MOST = 500
_TYPES = {
    "v": int, "at": float | int, "final": bool, "commit": str, "verdict": str, "checks": list, "waited": float | int,
    "followed": str | None, "reason": str, "hint": str, "is_cut": bool,
}  # fmt: skip


def together(
    repository: Repository,
    key: str,
    clock: Clock,
    watch: Callable[[Callable[[Outcome], None]], Outcome],
    *,
    limit: float,
    told: Callable[[Outcome], None],
    since: float,
) -> Outcome:
    """Return what `watch` returns. Of all processes that watch under one key, one calls it and tells the others.

    An answer that another got after `since` (seconds since 1970) is ours too.
    """
    path = _folder(repository) / f"{key}.json"
    start = clock.now()
    while True:
        fd = files.hold(path.with_suffix(".lock"))
        if fd is not None:
            try:
                if (found := _final(path, since)) is not None:
                    return found
                return _lead(path, watch, told)
            finally:
                files.free(fd)
        if (found := _final(path, since)) is not None:
            return found
        if (outcome := _read(path, since)) is not None:
            told(outcome)
        if clock.now() - start >= limit:
            return _cut(key, outcome, clock.now() - start)
        clock.sleep(_LOOK)


def _lead(path: Path, watch: Callable[[Callable[[Outcome], None]], Outcome], told: Callable[[Outcome], None]) -> Outcome:
    def tell(outcome: Outcome) -> None:
        _write(path, outcome, final=False)
        told(outcome)

    outcome = watch(tell)
    if not outcome.is_cut:  # our time is up, not that of the others
        _write(path, outcome, final=True)
    return outcome


def _cut(key: str, outcome: Outcome | None, waited: float) -> Outcome:
    if outcome is None:
        return Outcome(key.partition("-")[0], Verdict.RUNNING, waited=waited, is_cut=True)
    return outcome._replace(waited=waited, is_cut=True)


def remember(repository: Repository, key: str, outcome: Outcome) -> None:
    """Keep what one look found, for `remembered`."""
    _write(_folder(repository) / f"{key}.json", outcome, final=False)


def remembered(repository: Repository, key: str) -> tuple[Outcome, float] | None:
    """Return what was last heard and when (seconds since 1970), or None. Nobody is asked.

    `key` is that of a site, or a commit alone: then whatever site heard of it last.
    """
    found = sorted(_folder(repository).glob(f"{key}*.json"), key=_age)
    for path in found:
        if (outcome := _read(path, 0)) is not None:
            return outcome, path.stat().st_mtime
    return None


def discount(repository: Repository, commit: str, ids: Iterable[str]) -> None:
    """Remember that these checks were made for a try branch, and so do not count for the commit's push to the target.

    A commit status names no branch, and the same commit may land: its old green would be taken for the target's.
    """
    with contextlib.suppress(OSError):
        files.replace(_tried(repository, commit), json.dumps(sorted(ids)).encode(), passing=True)


def discounted(repository: Repository, commit: str) -> frozenset[str]:
    """Return the checks of a commit that were made for a try branch."""
    found = files.parsed(_tried(repository, commit))
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset()


def _tried(repository: Repository, commit: str) -> Path:
    return _folder(repository) / "tried" / f"{commit}.json"


def _folder(repository: Repository) -> Path:
    return repository.state / "ci"


def _age(path: Path) -> float:
    with contextlib.suppress(OSError):
        return -path.stat().st_mtime
    return 0.0


def _write(path: Path, outcome: Outcome, *, final: bool) -> None:
    checks = [check._asdict() for check in outcome.checks]
    document = {"v": 1, "at": time.time(), "final": final, **outcome._asdict(), "checks": checks}
    with contextlib.suppress(OSError):  # a disk that takes no more keeps nobody from the answer
        new = not path.exists()
        files.replace(path, json.dumps(document).encode() + b"\n", passing=True)
        if new:
            for old in sorted(path.parent.glob("*-*.json"), key=_age)[_MOST:]:
                old.unlink(missing_ok=True)
                old.with_suffix(".lock").unlink(missing_ok=True)


def _final(path: Path, earliest: float) -> Outcome | None:
    document = _document(path)
    return _outcome(document) if document and document.get("final") and document["at"] >= earliest else None


def _read(path: Path, earliest: float) -> Outcome | None:
    document = _document(path)
    return _outcome(document) if document and document["at"] >= earliest else None


def _document(path: Path) -> dict[str, Any] | None:
    document = files.document(path, _TYPES)
    return document if document and document["v"] == 1 else None


def _outcome(document: dict[str, Any]) -> Outcome | None:
    try:
        checks = tuple(Check(**{**row, "verdict": Verdict(row["verdict"])}) for row in document["checks"])
        fields = {name: document[name] for name in ("commit", "waited", "followed", "reason", "hint", "is_cut")}
        return Outcome(verdict=Verdict(document["verdict"]), checks=checks, **fields)
    except (KeyError, TypeError, ValueError):
        return None
