"""The commits at which worktrees are, all of them asked at once: what they say, how old they are, how far from the target."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from homelab.git.repository import LOG, Repository
from homelab.system import clock


class Head(NamedTuple):
    """A commit that somebody works on."""

    subject: str
    #: ISO 8601 in UTC.
    committed_at: str
    #: How many commits it has that the target does not; None where there is no target.
    ahead: int | None
    #: How many commits the target has that it does not; None where that was not asked.
    behind: int | None


def words(head: Head | None) -> dict[str, str | None]:
    """Return what answers in JSON say of a commit."""
    return {"subject": head.subject if head else None, "committed_at": head.committed_at if head else None}


def read(repository: Repository, target: str | None, oids: Iterable[str | None], *, both_ways: bool = False) -> dict[str, Head]:
    """Return the commits by their object ids, the target's among them. Two processes, however many there are.

    How far they are behind takes a third.
    """
    wanted = sorted({oid for oid in (*oids, target) if oid})
    if not wanted:
        return {}
    lines = "\n".join(wanted).encode()
    done = repository.run(*LOG, "--no-walk=unsorted", "--ignore-missing", "--format=%H%x00%ct%x00%s", "--stdin", input=lines)
    apart = _apart(repository, target, wanted, both_ways=both_ways) if target else {}
    found = {}
    for row in os.fsdecode(done.stdout).splitlines():
        oid, _, rest = row.partition("\0")
        moment, _, subject = rest.partition("\0")
        if moment.isdigit():
            found[oid] = Head(subject, clock.stamp(int(moment)), *apart.get(oid, (None, None)))
    return found


def _apart(repository: Repository, target: str, wanted: Sequence[str], *, both_ways: bool) -> dict[str, tuple[int, int | None]]:
    """Return how many commits each has that the target does not, and the target that it does not.

    ``%(ahead-behind)`` would say it, from git 2.41 on. What all of them have in common is left out by git, and the rest is
    walked once: each commit hands the heads that it is reachable from on to its parents.
    """
    base = repository.line("merge-base", "--octopus", target, *wanted) if both_ways else target
    rows = "\n".join((*wanted, target, *([f"^{base}"] if base else []))).encode()
    done = repository.run("rev-list", "--topo-order", "--parents", "--ignore-missing", "--stdin", input=rows)
    if done.returncode:
        return {}
    reached: dict[str, int] = {}
    for number, oid in enumerate(wanted):
        reached[oid] = reached.get(oid, 0) | 2 << number
    reached[target] = reached.get(target, 0) | 1
    counts: Counter[int] = Counter()
    for row in done.stdout.decode().splitlines():
        oid, *parents = row.split()
        by = reached.get(oid, 0)
        counts[by] += 1
        for parent in parents:
            reached[parent] = reached.get(parent, 0) | by
    found: dict[str, tuple[int, int | None]] = {}
    for number, oid in enumerate(wanted):
        ahead = sum(count for by, count in counts.items() if by & 2 << number and not by & 1)
        behind = sum(count for by, count in counts.items() if by & 1 and not by & 2 << number)
        found[oid] = ahead, behind if both_ways else None
    return found
