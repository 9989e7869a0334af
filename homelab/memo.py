"""What the shell hook may decide without Python: which names need thought, and which very updates were judged already.

A memo, not the truth: it may be deleted at any time. Only a full judgement writes a marker, for one ref and one pair of
commits; commit ids settle history, deletion and policy alike, which a receipt of a tree cannot. See docs/adr/0009.
"""

import contextlib
from pathlib import Path

from homelab import config, storage
from homelab.git import Repository
from homelab.policy import Aim

#: Raised when a marker promises something else than before.
VERSION = "1"
REF = "refs/homelab/target"

_WILD = frozenset("*?[")


def _folder(repository: Repository, blob: str | None) -> Path:
    return repository.state / "gate" / VERSION / (blob or "none")


def needles(aim: Aim, *, everything: bool = False) -> str:
    """Return what a push line must contain to need thought, one needle a line; a blank needle is in every line."""
    if everything:
        return " \n"
    rows = []
    for pattern in aim.protect:
        fixed = pattern[: next((n for n, char in enumerate(pattern) if char in _WILD), len(pattern))]
        rows.append(f" refs/heads/{fixed}" + (" " if fixed == pattern else ""))
    return "".join(f"{row}\n" for row in rows)


def refresh(repository: Repository, aim: Aim, *, everything: bool = False) -> Path | None:
    """The shell hook knows the target's rules of this moment; returns the folder of its markers, or None without a target."""
    if aim.remote is None or aim.default is None:
        return None
    tracked = f"refs/remotes/{aim.remote}/{aim.default}"
    if repository.line("symbolic-ref", "--quiet", REF) != tracked:
        repository.run("symbolic-ref", REF, tracked)
    folder = _folder(repository, repository.oid(f"{REF}:{config.NAME}"))
    path, content = folder / "protected", needles(aim, everything=everything).encode()
    with contextlib.suppress(OSError):  # without the memo everything is thought about, which is slower and as safe
        if not path.exists() or path.read_bytes() != content:
            storage.replace(path, content)
    return folder


def mark(folder: Path, ref: str, old: str, new: str) -> None:
    """The very update passes the shell hook from now on."""
    path = folder / ref / f"{old}-{new}"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
