"""What every system answers, and the small things that several of them share."""

import fnmatch
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from homelab.ci.verdict import Check, Verdict
from homelab.ci.words import STATUS


class System(Protocol):
    """One system's API, seen from one repository. Everything raises what `homelab.ci.client` raises."""

    def look(self, commit: str, branch: str | None) -> list[Check]:
        """Return what the checks of pushes say of a commit, the newest run of each; on `branch` alone where that is told."""

    def unfinished(self, branch: str) -> list[str]:
        """Return the commits of a branch whose push pipelines run, wait or are blocked, as far as one question tells."""

    def tail(self, check: Check) -> str:
        """Return the last lines of what a red check printed, empty where the API does not give them."""

    def answers(self) -> None:
        """Ask one question that every reader of the repository may ask."""


class Names(NamedTuple):
    """The names of the checks that count: all without patterns."""

    patterns: Sequence[str] = ()

    def count(self, name: str) -> bool:
        """Return whether a check counts. `ci/push/*` means `ci/push` too: a pipeline that has not named its parts yet."""
        return not self.patterns or any(
            name == pattern or fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(f"{name}/", pattern)
            for pattern in self.patterns
        )

    def among(self, checks: Iterable[Check]) -> list[Check]:
        """Return the checks that count."""
        return [check for check in checks if self.count(check.name)]


#: What a name says of the event behind it: `ci/woodpecker/cron/x`, `workflow / job (schedule)`.
_EVENT = re.compile(r"^ci/woodpecker/(?P<woodpecker>[a-z_]+)(?:/|$)|\((?P<actions>[a-z_]+)\)$")

#: What Woodpecker, Gitea and Forgejo write of a run that was ended from outside: their statuses have no word for it.
_ENDED = re.compile(r"^(Pipeline was cancell?ed|Has been cancell?ed|Cancell?ed)\b", re.IGNORECASE)


def of_push(name: str) -> bool:
    """Return whether a status' name speaks of a push, or of no event at all."""
    found = _EVENT.search(name)
    return found is None or (found["woodpecker"] or found["actions"]) == "push"


def newest(rows: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the latest row of each name, by its `id`, sorted by name."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        key = str(row.get(name) or "")
        if key not in found or integer(row.get("id")) > integer(found[key].get("id")):
            found[key] = row
    return [found[key] for key in sorted(found)]


def of_status(row: dict[str, Any]) -> Check:
    """Return the check that a commit status is; Gitea says `status` where GitHub says `state`."""
    word = str(row.get("status") or row.get("state") or "")
    verdict = STATUS.verdict(word)
    if verdict is Verdict.RED and _ENDED.match(str(row.get("description") or "")):
        verdict = Verdict.GONE
    url = link(row.get("target_url"))
    number = re.search(r"/(?:pipeline|runs)/(\d+)", url or "")
    name = str(row.get("context") or "default")
    return Check(name, word, verdict, url, f"status-{row.get('id')}", number[1] if number else "")


def integer(value: Any) -> int:
    """Return a number that an answer gives, 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def link(value: Any) -> str | None:
    """Return an address that a person may open, or None: an answer may hold anything, a script too."""
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else None
