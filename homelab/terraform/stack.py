"""A stack: the folder ``stacks/NAME``, found by its name or its path, and the one label that is claimed for it.

Invariant: one folder has one name, however it is spelled. Two names would be two claims, and two applies at once.
"""

import os
from pathlib import Path
from typing import NamedTuple

from homelab.claims import labels
from homelab.errors import Usage

_MARKS = ("terragrunt.hcl", "root.hcl")


class Stack(NamedTuple):
    """The folder ``stacks/NAME`` below `root`."""

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """Where the runner runs."""
        return self.root / "stacks" / self.name

    @property
    def label(self) -> str:
        """What is claimed for it. Raises `Usage` for a name that no label can have."""
        return labels.label(f"stack:{self.name}")


def find(name: str, cwd: Path | None = None) -> Stack:
    """Return the stack of that name, or of a path such as ``.`` or ``./stacks/NAME``. Raises `Usage` with the nearest names."""
    here = cwd or Path.cwd()
    top = _root(here)
    folder = here / name if name.split("/")[0] in (".", "..") else top / "stacks" / name.removeprefix("stacks/")
    found = _listed(top / "stacks", folder)
    if found is None or name.startswith("-"):
        import difflib

        known = sorted(e.name for e in os.scandir(top / "stacks") if e.is_dir() and not e.name.startswith("."))
        near = difflib.get_close_matches(name, known, 3, 0.5) or known[:10]
        hint = f"did you mean {', '.join(near)}?" if near else f"{top / 'stacks'} is empty"
        raise Usage(f"there is no stack {name!r} in {top / 'stacks'}", hint=hint)
    return Stack(top, found)


def _root(here: Path) -> Path:
    """Return the nearest folder above that has stacks. Raises `Usage`."""
    unmarked = None
    for folder in (here, *here.parents):
        if (folder / "stacks").is_dir():
            if any((folder / mark).is_file() for mark in _MARKS):
                return folder
            unmarked = unmarked or folder
    if unmarked:
        # Any project may have a folder `stacks`: one file more says that these are terraform's.
        hint = f"`touch {unmarked / 'root.hcl'}` says that these are terraform's"
        raise Usage(f"beside {unmarked / 'stacks'} there is no {' or '.join(_MARKS)}", hint=hint)
    raise Usage(
        f"no folder above {here} has stacks",
        hint="change into a repository with a folder `stacks` beside a terragrunt.hcl or root.hcl",
    )


def _listed(stacks: Path, folder: Path) -> str | None:
    """Return the name of a folder below `stacks` as the folders list it; None where it is not below.

    A link, ``a//b``, ``a/.`` and, where case does not count, ``A`` are other spellings of the same folder.
    """
    try:
        parts = folder.resolve(strict=True).relative_to(stacks.resolve()).parts
    except (OSError, ValueError):
        return None
    place, name = stacks.resolve(), []
    for part in parts:
        entries = {entry.name for entry in place.iterdir()}
        name.append(part if part in entries else next((e for e in entries if (place / e).samefile(place / part)), part))
        place /= part
    hidden = any(part.startswith(".") for part in name)
    return "/".join(name) if name and not hidden and place.is_dir() else None
