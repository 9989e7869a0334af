"""Grants: a person's word that one commit may reach one branch: unverified, on a command of their own, or deleting much.

A grant names a commit, so it says nothing of any other; one whose receipt is gone is none. Who may give one is
`homelab.landing.override`'s.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from homelab.git.repository import Repository
from homelab.system import files
from homelab.verify.receipts import Receipts


class Kind(StrEnum):
    """What is granted."""

    NO_VERIFY = "no-verify"
    #: Instead of suites, where there are none: the receipt of a person's own command.
    VERIFY_CMD = "verify-cmd"
    #: More deletions than `[gate] max_deleted` allows.
    DELETIONS = "deletions"


class Grant(NamedTuple):
    """A person's word for one commit on one branch."""

    commit: str
    branch: str
    kind: Kind
    who: str
    when: str
    #: The receipt that backs a `VERIFY_CMD`.
    key: str | None = None


_TYPES = dict.fromkeys(Grant._fields, str) | {"key": str | None}


def grant(repository: Repository, given: Grant) -> None:
    """Let the commit, and no other, reach the branch."""
    content = json.dumps({"v": 1, **given._asdict()}, indent=1).encode() + b"\n"
    files.replace(_path(repository, given.commit, given.branch, given.kind), content)


def revoke(repository: Repository, commit: str, branch: str) -> None:
    """Take back all that was granted for a commit on a branch."""
    for kind in Kind:
        _path(repository, commit, branch, kind).unlink(missing_ok=True)


def granted(repository: Repository, commit: str, branch: str, *kinds: Kind) -> Grant | None:
    """Return the first grant of these kinds for a commit on a branch, or None."""
    return next((found for kind in kinds if (found := _read(repository, commit, branch, kind))), None)


def _read(repository: Repository, commit: str, branch: str, kind: Kind) -> Grant | None:
    document = files.document(_path(repository, commit, branch, kind), _TYPES)
    if document is None:
        return None
    found = Grant(**{name: document[name] for name in Grant._fields})
    if (found.commit, found.branch, found.kind) != (commit, branch, kind):
        return None
    if kind is Kind.VERIFY_CMD and (found.key is None or Receipts(repository.state).load(found.key) is None):
        return None
    return found


def _path(repository: Repository, commit: str, branch: str, kind: Kind) -> Path:
    return repository.state / "grants" / f"{commit}-{branch.encode().hex()[:80]}-{kind}.json"
