"""What each remote was last known to protect, kept in the clone so that a ref which is moved or lost takes nothing away."""

import contextlib
import json
from collections.abc import Mapping, Sequence

from homelab.git.repository import Repository
from homelab.system import files

_NAME = "protected.json"


def read(repository: Repository) -> dict[str, tuple[str, ...]]:
    """Return what was last known, by remote. A file that is missing or damaged knows nothing."""
    try:
        document = json.loads((repository.state / _NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {
        name: tuple(value)
        for name, value in document.items()
        if isinstance(value, list) and all(isinstance(each, str) for each in value)
    }


def keep(repository: Repository, protect: Mapping[str, Sequence[str]]) -> None:
    """Keep what these remotes protect now. A clone that cannot be written in reads the same from the remote's refs."""
    before = read(repository)
    after = {**before, **{name: tuple(value) for name, value in protect.items()}}
    if after != before:
        with contextlib.suppress(OSError):
            files.replace(repository.state / _NAME, json.dumps(after, indent=1).encode())
