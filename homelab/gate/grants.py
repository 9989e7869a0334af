"""Grants: a person's word that one commit may reach one branch, without verification or on a command of their own.

A grant names a commit, so it says nothing of any other; one whose receipt is gone is none. Who may give one is
`homelab.landing.override`'s.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from homelab.git.repository import Repository
from homelab.system import files
from homelab.verify import receipts


@dataclass(frozen=True, slots=True)
class Grant:
    """A person's word for one commit on one branch."""

    commit: str
    branch: str
    #: "no-verify", or "verify-cmd" with the key of the receipt that backs it.
    kind: str
    who: str
    when: str
    key: str | None = None


def grant(repository: Repository, given: Grant) -> None:
    """Let the commit, and no other, reach the branch."""
    files.replace(
        _path(repository, given.commit, given.branch), json.dumps({"v": 1, **asdict(given)}, indent=1).encode() + b"\n"
    )


def revoke(repository: Repository, commit: str, branch: str) -> None:
    """Take back what was granted for a commit on a branch."""
    _path(repository, commit, branch).unlink(missing_ok=True)


def granted(repository: Repository, commit: str, branch: str) -> Grant | None:
    """Return the grant for a commit on a branch, or None."""
    try:
        document = json.loads(_path(repository, commit, branch).read_bytes())
        found = Grant(**{name: document[name] for name in Grant.__dataclass_fields__})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if (found.commit, found.branch) != (commit, branch):
        return None
    if found.kind == "verify-cmd" and (found.key is None or receipts.load(repository, found.key) is None):
        return None
    return found


def _path(repository: Repository, commit: str, branch: str) -> Path:
    return repository.state / "grants" / f"{commit}-{branch.encode().hex()[:80]}.json"
