"""The last landings as a page or a listing shows them, and how the suites did in them. Reads values, no file."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_SHOWN = "started finished user session branch target commit pushed status verified reason counts ci".split()
_RAN = ("passed", "failed", "timeout")
#: Runs of a suite whose times are shown.
_TIMES = 30


def shown(journal: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return the last landings, newest first, each with the suites that ran for it."""
    last = reversed(journal[-count:])
    return [{**{name: row.get(name) for name in _SHOWN}, "suites": list(row.get("suites") or ())} for row in last]


def suites(journal: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each suite how often it ran, was green and was flaky, and its last times in seconds, oldest first."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for landing in journal:
        for run in landing.get("suites") or ():
            if run.get("result") in _RAN:
                found.setdefault(run["name"], []).append(run)
    return [_suite(name, runs) for name, runs in sorted(found.items())]


def _suite(name: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    times = [float(run.get("seconds") or 0) for run in runs]
    return {
        "name": name,
        "runs": len(runs),
        "passed": sum(run["result"] == "passed" for run in runs),
        "flaky": sum(bool(run.get("flaky")) for run in runs),
        "median": round(_median(times), 3),
        "times": times[-_TIMES:],
    }


def _median(times: Sequence[float]) -> float:
    # `statistics` takes as long to import as all of this module's work: it brings fractions and decimals.
    found, middle = sorted(times), len(times) // 2
    return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2
