"""What the shell hook may decide without Python: which names need thought, and which very updates were judged already.

A memo, not the truth: it may be deleted at any time. Only a full judgement writes a marker, for one ref and one pair of
commits; commit ids settle history, deletion and policy alike, which a receipt of a tree cannot. See docs/adr/0008.
"""

import contextlib
import os
from pathlib import Path

from homelab import shim, storage
from homelab.git import Repository
from homelab.policy import Aim


def refresh(repository: Repository, aim: Aim, *, everything: bool = False) -> Path | None:
    """The shell hook knows the target's rules of this moment; returns the folder of its markers, or None without a target.

    Where `everything` needs thought, a blank needle stands for all: it is in every line.
    """
    if aim.remote is None or aim.default is None or aim.tip is None:
        return None
    tracked = f"refs/remotes/{aim.remote}/{aim.default}"
    if _target(repository) != tracked:
        repository.run("symbolic-ref", "-m", "homelab", shim.TARGET, tracked)
    # By the file that the aim was read from: should the target move meanwhile, its new rules get none of the old names.
    folder = shim.memo(repository.common_dir, aim.blob)
    names = (" ",) if everything else shim.needles(aim.protect)
    path, content = folder / "protected", "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
    with contextlib.suppress(OSError):  # without the memo everything is thought about, which is slower and as safe
        if not path.exists() or path.read_bytes() != content:
            storage.replace(path, content)
    return folder


def is_used(repository: Repository) -> bool:
    """Tell whether a shell hook of this clone may look into a memo."""
    return _target(repository) is not None


def _target(repository: Repository) -> str | None:
    """Return the ref that the shell hook takes for the target's, or None."""
    with contextlib.suppress(OSError):  # a file but with reftable, and a process less
        content = (repository.common_dir / shim.TARGET).read_bytes()
        if content.startswith(b"ref: refs/"):
            return os.fsdecode(content.removeprefix(b"ref: ").rstrip(b"\n"))
    return repository.line("symbolic-ref", "--quiet", shim.TARGET)


def mark(folder: Path, ref: str, old: str, new: str) -> None:
    """The very update passes the shell hook from now on."""
    path = folder / ref / f"{old}-{new}"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
