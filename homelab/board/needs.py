"""What needs a person, from the document of `homelab status`: each with the moment it began and the command to type."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

#: Words of CI that want somebody to act.
_CI = {"red": "CI is red", "asks": "CI waits for somebody's approval", "unknown": "CI says a word that is not known"}


class Need(NamedTuple):
    """One thing that somebody has to look at."""

    what: str
    why: str = ""
    since: str | None = None
    command: str | None = None


def needs(found: Mapping[str, Any]) -> list[Need]:
    """Return what needs somebody, the most urgent first."""
    return [*_target(found), *_claims(found), *_landings(found), *_gate(found), *(Need(text) for text in found["problems"])]


def _target(found: Mapping[str, Any]) -> Iterator[Need]:
    target, ci = found.get("target"), found.get("ci")
    if target and target.get("verdict") == "red":
        yield Need(f"{target['branch']} is red", ", ".join(target.get("red") or ()), target.get("since"), "homelab log")
    if ci and ci.get("verdict") in _CI:
        bad = ", ".join(row["name"] for row in ci.get("checks") or () if row["verdict"] in ("red", "asks", "unknown"))
        yield Need(_CI[ci["verdict"]], bad, ci.get("at"), f"homelab ci status {ci['commit'][:12]}")


def _claims(found: Mapping[str, Any]) -> Iterator[Need]:
    for claim in found.get("claims") or ():
        if claim["state"] == "orphaned":
            steal = f"homelab claims steal {shlex.quote(claim['label'])} --reason '…' --force"
            yield Need(f"{claim['label']} is orphaned", "homelab is gone, its command still runs", claim["claimed_at"], steal)


def _landings(found: Mapping[str, Any]) -> Iterator[Need]:
    """Yield waivers, and the last landing of each branch where it was red."""
    seen = set()
    for row in found.get("landings") or ():
        if row["branch"] in seen:
            continue
        seen.add(row["branch"])
        if row["status"] == "landed" and not row["verified"]:
            yield Need(f"{row['branch']} landed without verification", row["reason"] or "", row["finished"], "homelab work log")
        elif row["status"] == "failed":
            red = ", ".join(run["name"] for run in row["suites"] if run["result"] in ("failed", "timeout"))
            yield Need(
                f"{row['branch']} did not land", f"red: {red}" if red else row["reason"] or "", row["finished"], "homelab log"
            )


def _gate(found: Mapping[str, Any]) -> Iterator[Need]:
    if found.get("repository") and found.get("gate") in ("none", "framework"):
        yield Need(
            "this clone has no whole gate", "a push from it can reach the target unverified", None, "homelab hooks install"
        )
