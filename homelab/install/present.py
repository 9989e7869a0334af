"""Which gate a clone has, by what git would run on a push from it. Nothing is changed."""

import os
from pathlib import Path
from typing import NamedTuple

from homelab.git.configuration import Settings
from homelab.git.repository import Repository
from homelab.install import chain, hooks_path, shim


class Status(NamedTuple):
    """Which gate a clone has: `whole` sees every ref of a push, `framework` the first one only."""

    gate: str
    #: The file that git starts on a push.
    hook: Path
    #: Where ours stands and is reached from `hook`, or None.
    ours: Path | None
    #: What else runs on a push: each tool or file by name.
    chained: tuple[str, ...]


def slots(folder: Path, hook: str = "pre-push") -> tuple[Path, Path]:
    """Return where ours may be: at the front, or behind the hook of a framework."""
    return folder / hook, folder / f"{hook}.legacy"


def same(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one place."""
    return one.resolve() == other.resolve()


def status(repository: Repository, known: Settings | None = None) -> Status:
    """Return which gate this clone has, by what git would run on a push from here."""
    known = known or repository.settings()
    found = hooks_path.place(repository, known)
    front, legacy = slots(found.folder)
    ours = next((slot for slot in _reached(front, legacy) if shim.owner(slot) == "homelab"), None)
    following = chain.following(found.folder, "pre-push")
    apart = same(found.folder, hooks_path.own_folder(repository)) and not os.path.lexists(following)
    if apart and (former := hooks_path.former(repository)):
        following = (repository.worktree or repository.git_dir) / former / "pre-push"
    chained = [_named(front)] if ours == legacy else []
    if ours and os.access(following, os.X_OK):
        chained.append(_named(following))
    elif ours is None and os.access(front, os.X_OK):
        chained.append(_named(front))
    framework = any(name in shim.FRAMEWORKS for name in chained) and _configured(repository)
    chained += _commands(repository, known)
    return Status("whole" if ours else "framework" if framework else "none", front, ours, tuple(chained))


def _commands(repository: Repository, known: Settings) -> list[str]:
    """Return the commands of git's configuration that a push runs before any file; a git before 2.54 has none."""
    if not any(row.name.startswith("hook.") and row.name.endswith(".event") for row in known.rows):
        return []
    rows = (repository.line("hook", "list", "pre-push") or "").splitlines()
    off = ("disabled\t", "event-disabled\t", "hook from hookdir")
    return [f"hook.{row}" for row in rows if not row.startswith(off)]


def looks_at_commits(repository: Repository) -> bool:
    """Return whether a commit meets our pre-commit, in front or behind a framework's."""
    return any(shim.owner(slot) == "homelab" for slot in _reached(*slots(hooks_path.place(repository).folder, "pre-commit")))


def _reached(front: Path, legacy: Path) -> tuple[Path, ...]:
    """Return the slots that a push reaches: a file that is not executable is passed over without a word."""
    if not os.access(front, os.X_OK):
        return ()
    behind = shim.owner(front) in shim.FRAMEWORKS and os.access(legacy, os.X_OK)
    return (front, legacy) if behind else (front,)


def _named(path: Path) -> str:
    owner = shim.owner(path)
    return owner if owner and owner != "hand-written" else os.fspath(path)


def _configured(repository: Repository) -> bool:
    """Return whether the framework's own configuration here names our hook."""
    for name in (".pre-commit-config.yaml", ".pre-commit-config.yml", "prek.toml"):
        path = (repository.worktree or repository.git_dir) / name
        if path.is_file() and b"verified-push" in path.read_bytes():
            return True
    return False
