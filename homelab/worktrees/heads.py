"""The commits at which worktrees are, all of them asked at once: what they say, how old they are, how far from the target."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from homelab.git.repository import Repository


@dataclass(frozen=True, slots=True)
class Head:
    """A commit that somebody works on."""

    subject: str
    #: ISO 8601 in UTC.
    committed_at: str
    #: How many commits it has that the target does not; None where there is no target.
    ahead: int | None


def read(repository: Repository, target: str | None, oids: Iterable[str | None]) -> dict[str, Head]:
    """Return the commits by their object ids, the target's among them. Two processes, however many there are."""
    wanted = sorted({oid for oid in (*oids, target) if oid})
    if not wanted:
        return {}
    lines = "\n".join(wanted).encode()
    done = repository.run("log", "--no-walk=unsorted", "--ignore-missing", "--format=%H%x00%ct%x00%s", "--stdin", input=lines)
    ahead = _ahead(repository, target, wanted) if target else {}
    found = {}
    for row in os.fsdecode(done.stdout).splitlines():
        oid, _, rest = row.partition("\0")
        moment, _, subject = rest.partition("\0")
        if moment.isdigit():
            at = datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            found[oid] = Head(subject, at, ahead.get(oid))
    return found


def _ahead(repository: Repository, target: str, wanted: Iterable[str]) -> dict[str, int]:
    """Return how many commits each has that the target does not.

    ``%(ahead-behind)`` would say it, from git 2.41 on. What the heads have beside the target is little, so it is counted here.
    """
    lines = "\n".join((*wanted, f"^{target}")).encode()
    done = repository.run("rev-list", "--parents", "--ignore-missing", "--stdin", input=lines)
    if done.returncode:
        return {}
    parents = {row.split()[0]: row.split()[1:] for row in done.stdout.decode().splitlines() if row}
    return {oid: len(_reachable(parents, oid)) for oid in wanted}


def _reachable(parents: dict[str, list[str]], oid: str) -> set[str]:
    found: set[str] = set()
    waiting = [oid]
    while waiting:
        at = waiting.pop()
        if at in parents and at not in found:
            found.add(at)
            waiting += parents[at]
    return found
