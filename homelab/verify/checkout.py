"""A folder that holds exactly one commit, whatever was in it before and whatever a suite does to it.

Our git directory and index stand beside the checkout, out of a suite's reach; the `.git` inside is a copy made for each
checkout. Nothing a suite does to it reaches the user's clone or our judgement. All of it may be deleted at any time.
"""

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from homelab.errors import Failed
from homelab.git.repository import Repository
from homelab.system import files
from homelab.verify import borrowed_git, pristine, strays
from homelab.verify.borrowed_git import HINT
from homelab.verify.tracked_files import TrackedFiles

#: Bytes; a disk with less than this is full.
_FULL = 1 << 20


@contextlib.contextmanager
def speaking_of(folder: Path) -> Iterator[None]:
    """Turn what the system says of the folder in the block into the error of a scratch checkout. Raises `Failed`."""
    try:
        yield
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise Failed(f"the scratch folder {error.filename or folder} cannot be used: {words}", hint=HINT) from None


class Checkout:
    """One scratch checkout, ours as long as `lock_fd` is open here or in a child."""

    def __init__(
        self,
        folder: Path,
        lock_fd: int,
        repository: Repository,
        env: Mapping[str, str],
        settings: tuple[str, ...] = (),
    ) -> None:
        #: The checkout, in a folder whose name no other clone's has: docker compose names containers and volumes by it.
        self.path = folder / f"{_plain_name(repository)}-{folder.parent.name[:6]}-{folder.name}"
        self.lock_fd = lock_fd
        self._folder = folder
        self._git_dir = folder / "git"
        self._repository = repository
        self._env = env
        self._files = TrackedFiles(self.path, self._git_dir, repository, env, settings, lock_fd)
        self._clone: borrowed_git.Clone | None = None

    def checkout(self, commit: str, caches: Sequence[str] = ()) -> None:
        """Make the folder the commit's tracked files and the `caches`, no more, with HEAD detached at it. Raises `Failed`."""
        with speaking_of(self._folder):
            self._clone = borrowed_git.look(self._repository, self._env)
            try:
                self._bring(commit, caches)
            except (Failed, OSError):
                # A full disk is no damage, and the caches are dear.
                if shutil.disk_usage(self._folder).free < _FULL:
                    raise Failed(f"the disk of the scratch folder {self._folder} is full", hint=HINT) from None
                self._require(commit)
                self._throw_away()
                self._bring(commit, caches)

    def changed(self) -> tuple[str, ...]:
        """Return the tracked paths whose bytes, kind or executable bit are no longer the commit's. Raises `Failed`."""
        with speaking_of(self._folder):
            self._prepare()
            if not self._files.index_file.exists():  # without it nothing would seem changed
                raise Failed(f"the scratch folder {self._folder} was removed meanwhile", hint="run it again")
            return self._files.changed()

    def leftovers(self, caches: Sequence[str] = ()) -> tuple[str, ...]:
        """Return what is not as it was checked out: paths neither tracked nor in `caches`, and tracked ones of another mode."""
        with speaking_of(self._folder):
            self._prepare()
            tracked = self._files.tracked()
            return tuple(sorted([*strays.strays(self.path, tracked, caches), *strays.odd(self.path, tracked)]))

    def clear(self, caches: Sequence[str]) -> None:
        """Remove what is not tracked from the caches."""
        with speaking_of(self._folder):
            for path in self._in(caches):
                files.remove(self.path / path)

    def keep(self, caches: Sequence[str]) -> None:
        """Keep a copy of what is in the caches now."""
        with speaking_of(self._folder):
            self.note("pristine", pristine.keep(self.path, self._in(caches), self._folder / "pristine"))

    def restore(self, caches: Sequence[str]) -> bool:
        """Put the caches back as they were kept, where anything in them was changed. Return whether that could be done."""
        with speaking_of(self._folder):
            before = self.noted("pristine") or ""
            now = pristine.restore(self.path, self._in(caches), self._folder / "pristine", before)
            if now not in (None, before):
                self.note("pristine", now)
            return now is not None

    def _in(self, caches: Sequence[str]) -> list[str]:
        """Return the topmost paths that are not tracked, and at, in or around a cache."""
        self._prepare()
        found = strays.strays(self.path, self._files.tracked()) if caches else []
        return sorted(
            path
            for path in found
            if any(f"{path}/".startswith(f"{cache}/") or cache.startswith(f"{path}/") for cache in caches)
        )

    def note(self, key: str, value: str) -> None:
        """Remember a value until the checkout is thrown away."""
        with speaking_of(self._folder):
            files.replace(self._folder / "notes", json.dumps({**self._notes(), key: value}).encode())

    def noted(self, key: str) -> str | None:
        """Return what was noted, or None."""
        return self._notes().get(key)

    def _notes(self) -> dict[str, str]:
        found = files.document(self._folder / "notes", {}) or {}
        return {name: value for name, value in found.items() if isinstance(value, str)}

    def _bring(self, commit: str, caches: Sequence[str]) -> None:
        clone = self._prepare()
        state = self._folder / "state"
        there = files.document(state, {"commit": str, "filters": str}) or {}
        wanted = {"commit": commit, "filters": clone.filters}
        files.remove(self.path / ".git")
        (self._git_dir / "index.lock").unlink(missing_ok=True)
        if there != wanted:
            state.unlink(missing_ok=True)
        if not self._may_switch(there, wanted):
            for path in self._files.tracked().files:
                if path.startswith(tuple(f"{cache}/" for cache in caches)):
                    files.remove(self.path / path)
            self._files.index_file.unlink(missing_ok=True)
        tracked = self._files.tracked()
        for path in strays.strays(self.path, tracked, caches):
            files.remove(self.path / path)
        for path in strays.odd(self.path, tracked):
            files.remove(self.path / path)
        if there != wanted or not self._files.index_file.exists():
            self._files.read_tree(commit, clone.settings)
        if self._files.touched():
            files.open_up(self.path)
            self._files.read_tree(commit, clone.settings)
            if paths := self._files.changed():
                raise Failed(f"{paths[0]} cannot be restored in the scratch checkout {self.path}", hint=HINT)
        self._give_git(commit, clone)
        if there != wanted:
            files.replace(state, json.dumps(wanted).encode())

    def _prepare(self) -> borrowed_git.Clone:
        """Make the checkout's folder and our git directory where they are missing, and write our configuration."""
        clone = self._clone = self._clone or borrowed_git.look(self._repository, self._env)
        made = self._git_dir / "made"
        if not made.exists() or made.read_bytes() != clone.object_format.encode():
            self._throw_away()
            borrowed_git.make(self._git_dir, clone, self._env)
            made.write_text(clone.object_format)
        borrowed_git.write(self._git_dir, clone, base=(self._git_dir / "base").read_bytes())
        if self.path.is_symlink() or not self.path.is_dir():
            files.remove(self.path)
            self.path.mkdir()
        files.allow(os.fspath(self.path))
        return clone

    def _may_switch(self, there: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
        """Return whether git's own switch makes the folder the commit's, so that no file has to be written anew."""
        if not there or there["filters"] != wanted["filters"] or not self._files.index_file.exists():
            return False
        return there == wanted or self._files.same_attributes(there["commit"], wanted["commit"])

    def _give_git(self, commit: str, clone: borrowed_git.Clone) -> None:
        """Give the checkout a repository of its own, with which a suite may do as it likes."""
        inside = self.path / ".git"
        inside.mkdir()
        base = (self._git_dir / "base").read_bytes()
        if self.is_apart:  # copies of the commit's objects: nothing in it leads to a server's repository
            clone = clone._replace(settings=(), alternates=b"", shallow=f"{commit}\n".encode(), packed_refs=b"", symbolic={})
            borrowed_git.write(inside, clone, base=base, hooks=inside / "hooks")
            listing = self._files.require("rev-list", "--objects", "--no-object-names", "--no-walk", commit)
            (inside / "objects" / "pack").mkdir()
            self._files.require("pack-objects", "-q", inside / "objects" / "pack" / "pack", input=listing)
        else:
            objects = (self._git_dir / "objects",)  # what a partial clone's checkout has fetched
            borrowed_git.write(inside, clone, base=base, extra_objects=objects, hooks=inside / "hooks")
        borrowed_git.show(inside, clone, commit)
        shutil.copy2(self._files.index_file, inside / "index")

    @property
    def is_apart(self) -> bool:
        """Whether a server runs what was pushed to it, which must not find its repository."""
        # git makes no quarantine for a push without new objects.
        return "GIT_QUARANTINE_PATH" in self._env or self._repository.worktree is None

    def logs(self) -> Path:
        """Return the folder for what suites say: on a server beside the checkout, since a descriptor has a path too."""
        return (self._folder if self.is_apart else self._repository.state) / "logs"

    def _require(self, commit: str) -> None:
        """Check that the clone has the commit. Raises `Failed`."""
        question = ("cat-file", "-e", f"{commit}^{{commit}}")
        if self._repository.run(*question).returncode and self._files.run(*question).returncode:
            raise Failed(f"the commit {commit[:12]} is not in this clone", hint="`git fetch`, then run it again")

    def _throw_away(self) -> None:
        """Empty the slot; move out of the way what cannot be removed (another user's files)."""
        for name in ("state", "notes"):
            (self._folder / name).unlink(missing_ok=True)
        for path in (self.path, self._git_dir):
            with contextlib.suppress(FileNotFoundError):
                path.rename(self._folder / f"trash-{path.name}-{time.time_ns()}")
        for path in self._folder.glob("trash-*"):
            with contextlib.suppress(OSError):
                files.remove(path)


def _plain_name(repository: Repository) -> str:
    """Return what a clone is called, as one harmless part of a path."""
    folder = repository.common_dir
    name = folder.parent.name if folder.name == ".git" else folder.name.removesuffix(".git")
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:30] or "clone"
