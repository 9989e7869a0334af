"""The commits at which worktrees are, all of them asked at once: what they say, how old they are, how far from the target."""

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from homelab.git.repository import Repository
from homelab.system import clock


class Head(NamedTuple):
    """A commit that somebody works on."""

    subject: str
    #: ISO 8601 in UTC; None where the commit does not say.
    committed_at: str | None
    #: How many commits it has that the target does not; None where there is no target.
    ahead: int | None
    #: How many commits the target has that it does not; None where that was not asked.
    behind: int | None


def words(head: Head | None) -> dict[str, str | None]:
    """Return what answers in JSON say of a commit."""
    return {"subject": head.subject if head else None, "committed_at": head.committed_at if head else None}


def read(repository: Repository, target: str | None, oids: Iterable[str | None], *, both_ways: bool = False) -> dict[str, Head]:
    """Return the commits by their object ids, the target's among them. One process, however many there are.

    How far they are behind takes another.
    """
    wanted = sorted({oid for oid in (*oids, target) if oid})
    if not wanted:
        return {}
    apart = _apart(repository, target, wanted, both_ways=both_ways) if target else {}
    read = repository.objects.commits(wanted)
    return {oid: Head(*_said(content), *apart.get(oid, (None, None))) for oid, content in read}


def _said(commit: bytes) -> tuple[str, str | None]:
    """Return a commit's subject, as ``%s`` has it, and when it was made."""
    head, _, message = commit.partition(b"\n\n")
    words = dict(row.partition(b" ")[::2] for row in head.split(b"\n"))
    encoding = words.get(b"encoding", b"utf-8").decode(errors="replace")
    try:
        text = message.decode(encoding, "surrogateescape")
    except (LookupError, UnicodeError):
        text = os.fsdecode(message)
    begun = itertools.dropwhile(lambda row: not row.strip(), text.split("\n"))
    subject = " ".join(row.rstrip() for row in itertools.takewhile(str.strip, begun))
    moment = words.get(b"committer", b"").rpartition(b" ")[0].rpartition(b" ")[2]
    return subject, clock.stamp(int(moment)) if moment.isdigit() else None


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
