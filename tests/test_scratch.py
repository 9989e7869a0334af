"""A scratch checkout is exactly one commit, and nothing done in it reaches the clone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from homelab import git, scratch
from tests.world import World


@contextmanager
def slot(world: World, clone: Path | None = None) -> Iterator[scratch.Slot]:
    with scratch.slot(git.discover(clone or world.clone), env=world.env) as made:
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


def test_the_folder_is_exactly_the_commit(world: World) -> None:
    (world.clone / "link").symlink_to("README")
    world.write({"run.sh": "#!/bin/sh\n"})
    (world.clone / "run.sh").chmod(0o755)
    world.git("add", "link")
    commit = world.commit({"a/b c/ü\nx": "1", "run.sh": "#!/bin/sh\n", ".gitignore": "*.o\n"})
    with slot(world) as made:
        made.checkout(commit, [])
        assert files(made.path) == fresh(world, commit)
        assert world.git("rev-parse", "HEAD", cwd=made.path) == commit
        assert world.git("status", "--porcelain", "--ignored", cwd=made.path) == ""
        assert made.changed() == made.leftovers([]) == ()
