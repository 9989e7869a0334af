"""How long each suite usually takes, as a person who waits wants to know: a hint, which may be lost."""

import contextlib
import json
from collections.abc import Iterable

from homelab.git.repository import Repository
from homelab.system import files
from homelab.verify.results import Result

#: What the last run counts against those before it.
_WEIGHT = 0.3
#: Labels that are remembered; the ones that ran longest ago go first.
_MOST = 2000


def usual(repository: Repository) -> dict[str, float]:
    """Return the usual seconds of each run that has ever ended here, by its label."""
    try:
        found = json.loads((repository.state / "times.json").read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {label: float(seconds) for label, seconds in found.items() if isinstance(seconds, (int, float))}


def remember(repository: Repository, results: Iterable[Result]) -> None:
    """Write down what these runs took. Never fails."""
    ran = {result.run.label: result.seconds for result in results if result.is_green and result.seconds}
    if not ran:
        return
    known = usual(repository)
    for label, seconds in ran.items():
        before = known.pop(label, seconds)
        known[label] = round(before + (seconds - before) * _WEIGHT, 3)
    kept = dict(list(known.items())[-_MOST:])
    with contextlib.suppress(OSError):
        files.replace(repository.state / "times.json", json.dumps(kept).encode())
