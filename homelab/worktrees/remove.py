"""Removing work: the folder is renamed away first and deleted last, the branch by compare and swap with what was judged.

Killed anywhere, the same command run again ends the job. Whether work may go is `homelab.worktrees.clean`'s.
"""

import contextlib
import os
import secrets
import shlex
from pathlib import Path
from typing import NamedTuple

from homelab import output
from homelab.errors import Failed
from homelab.git.repository import Repository
from homelab.policy.states import State
from homelab.system import files
from homelab.worktrees import registry as worktree
from homelab.worktrees.registry import Layout, Worktree


class Work(NamedTuple):
    """A piece of work to remove: a worktree with its branch, or a branch that has lost its worktree."""

    name: str
    worktree: Worktree | None
    branch: str | None
    tip: str | None

    @property
    def path(self) -> Path | None:
        """Where its folder is, or was."""
        return self.worktree.path if self.worktree else None

    def document(self) -> dict[str, object]:
        """Return what answers in JSON call it by."""
        return {"topic": self.name, "path": str(self.path) if self.path else None, "branch": self.branch}


def remove(plan: Layout, rules: State, work: Work) -> str | None:
    """Remove folder, registration and branch. Return the command that brings the commits back.

    The branch stays, and None is returned, where it is protected, in use elsewhere, or was moved since it was judged.
    """
    repository = plan.repository
    if entry := work.worktree:
        if os.path.lexists(entry.path):
            _move_away(repository, entry.path)
        repository.out("worktree", "remove", "--force", "--force", "--", str(entry.path))
        _remove_empty(plan, entry.path.parent)
    if not work.tip or (work.branch and not _delete_branch(repository, rules, work.branch, work.tip)):
        return None
    undo = f"git branch {shlex.quote(work.branch or f'rescued-{work.tip[:10]}')} {work.tip}"
    output.say(f"undo: {undo}")
    return undo


def _delete_branch(repository: Repository, rules: State, branch: str, tip: str) -> bool:
    if rules.protects(branch) or any(other.branch == branch for other in worktree.registered(repository)):
        return False
    done = repository.run("update-ref", "--no-deref", "-d", f"refs/heads/{branch}", tip)
    if done.returncode:
        output.warn(f"the branch {branch} stays: {done.words}")
        return False
    repository.run("config", "--remove-section", f"branch.{branch}")
    return True


def _remove_empty(plan: Layout, folder: Path) -> None:
    with contextlib.suppress(OSError):
        while folder != plan.directory and folder.is_relative_to(plan.directory):
            folder.rmdir()
            folder = folder.parent


def _trash(repository: Repository) -> Path:
    return repository.state / "trash"


def _move_away(repository: Repository, path: Path) -> None:
    """Rename the whole folder to a place that `empty_trash` knows. Raises `Failed`."""
    trash = _trash(repository)
    trash.mkdir(parents=True, exist_ok=True)
    name = secrets.token_hex(8)
    if path.lstat().st_dev == trash.stat().st_dev:
        with contextlib.suppress(OSError):  # two mounts of one file system share the number, and refuse the rename
            path.rename(trash / name)
            return
    beside = path.with_name(f"{worktree.TRASH}{name}")
    files.replace(trash / f"{name}.at", os.fsencode(beside))
    try:
        path.rename(beside)
    except OSError as error:
        raise Failed(
            f"{path} cannot be moved away: {error.strerror}", hint=f"`ls -ld {path} {path.parent}` shows whose it is"
        ) from None


def unfinished(repository: Repository) -> frozenset[Path]:
    """Return where the worktrees stood that a killed run has moved away, and that git still has registered there."""
    found = set()
    for path in _rubbish(repository):
        with contextlib.suppress(OSError):
            folder = Path(os.fsdecode(files.content(path))) if path.suffix == ".at" else path
            kept = repository.common_dir / "worktrees" / Path(os.fsdecode(files.content(folder / ".git")).strip()).name
            found.add(Path(os.fsdecode(files.content(kept / "gitdir")).strip()).parent)
    return frozenset(found)


def _rubbish(repository: Repository) -> list[Path]:
    trash = _trash(repository)
    return list(trash.iterdir()) if trash.is_dir() else []


def empty_trash(repository: Repository) -> None:
    """Delete what was moved away, by this run or by a killed one. Warn about what cannot be deleted."""
    if not _trash(repository).is_dir():
        return
    with worktree.exclusive(repository):
        rubbish = _rubbish(repository)
    for path in rubbish:
        if path.suffix == ".at":
            with contextlib.suppress(OSError):
                beside = Path(os.fsdecode(files.content(path)))
                if beside.name.startswith(worktree.TRASH):
                    _delete(beside)
                if not os.path.lexists(beside):
                    path.unlink()
        else:
            _delete(path)


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):  # what stays is named by the caller
        files.remove(path)
    if path.exists():
        output.warn(f"{path} cannot be deleted; it is out of the way, and nothing in it is needed")
