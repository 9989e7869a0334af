"""Scratch checkouts for a test, and what is in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from homelab.git.repository import discover
from homelab.verify import scratch
from homelab.verify.checkout import Checkout
from tests.support.world import World


@contextmanager
def slot(world: World, clone: Path | None = None) -> Iterator[Checkout]:
    with scratch.slot(discover(clone or world.clone), env=world.env) as made:
        yield made


def files(root: Path) -> dict[str, str]:
    """Return every path below the root but the `.git`, with what it is."""
    found = {}
    for folder, names, others in os.walk(root):
        for name in [*names, *others]:
            path = Path(folder) / name
            if path.is_symlink():
                found[str(path.relative_to(root))] = f"-> {path.readlink()}"
            elif path.is_file():
                found[str(path.relative_to(root))] = f"{path.stat().st_mode & 0o100:o} {path.read_bytes()!r}"
            else:
                found[str(path.relative_to(root))] = "/" if path.is_dir() else "?"
        if ".git" in names and Path(folder) == root:
            names.remove(".git")
            del found[".git"]
    return found


def fresh(world: World, commit: str, clone: Path | None = None) -> dict[str, str]:
    """Return what a plain clone of the clone shows of the commit."""
    other = world.root / f"fresh-{commit[:9]}"
    if not other.exists():
        world.git("clone", "--quiet", "--no-checkout", "--shared", clone or world.clone, other, cwd=world.root)
        world.git("checkout", "--quiet", "--detach", commit, cwd=other)
    return files(other)


def state(clone: Path) -> dict[str, str]:
    return {str(path): path.read_bytes().hex() for path in sorted(clone.rglob("*")) if path.is_file()}
