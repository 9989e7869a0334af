"""A folder that holds exactly one commit, whatever was in it before and whatever a suite does to it.

Our git directory and index stand beside the checkout, out of a suite's reach; the `.git` inside is a copy made for each
checkout. Nothing a suite does to it reaches the user's clone or our judgement. All of it may be deleted at any time.
"""

import contextlib
import filecmp
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from homelab.errors import Failed
from homelab.git import attributes
from homelab.git.repository import Repository
from homelab.system import files, process
from homelab.verify import borrowed_git, pristine, strays

#: Bytes; a disk with less than this is full.
_FULL = 1 << 20
_HINT = "free or repair that folder, or set XDG_CACHE_HOME to another place, then run it again"


@contextlib.contextmanager
def speaking_of(folder: Path) -> Iterator[None]:
    """Let what the system says of the folder be the error of a scratch checkout. Raises `Failed`."""
    try:
        yield
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise Failed(f"the scratch folder {error.filename or folder} cannot be used: {words}", hint=_HINT) from None


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
        self._index = self._git_dir / "index"
        self._repository = repository
        self._env = env
        #: More options of git for what is checked out.
        self._settings = settings
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
                    raise Failed(f"the disk of the scratch folder {self._folder} is full", hint=_HINT) from None
                self._require(commit)
                self._throw_away()
                self._bring(commit, caches)

    def changed(self) -> tuple[str, ...]:
        """Return the tracked paths whose bytes, kind or executable bit are no longer the commit's. Raises `Failed`."""
        with speaking_of(self._folder):
            self._prepare()
            if not self._index.exists():  # without it nothing would seem changed
                raise Failed(f"the scratch folder {self._folder} was removed meanwhile", hint="run it again")
            return self._differing(self._touched())

    def leftovers(self, caches: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the topmost paths that are neither tracked nor in `caches`."""
        with speaking_of(self._folder):
            self._prepare()
            return tuple(sorted(strays.strays(self.path, self._tracked(), caches)))

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
        found = strays.strays(self.path, self._tracked()) if caches else []
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
        return _read(self._folder / "notes")

    def _bring(self, commit: str, caches: Sequence[str]) -> None:
        clone = self._prepare()
        state = self._folder / "state"
        there = _read(state)
        wanted = {"commit": commit, "filters": clone.filters}
        files.remove(self.path / ".git")
        (self._git_dir / "index.lock").unlink(missing_ok=True)
        if there != wanted:
            state.unlink(missing_ok=True)
        if not self._same_attributes(there, wanted):
            for path in self._tracked().files:
                if path.startswith(tuple(f"{cache}/" for cache in caches)):
                    files.remove(self.path / path)
            self._index.unlink(missing_ok=True)
        for path in strays.strays(self.path, self._tracked(), caches):
            files.remove(self.path / path)
        if there != wanted or not self._index.exists():
            self._read_tree(commit)
        if self._touched():
            files.open_up(self.path)
            self._read_tree(commit)
            if paths := self._differing(self._touched()):
                raise Failed(f"{paths[0]} in the scratch checkout {self.path} cannot be made the commit's", hint=_HINT)
        self._give_git(commit, clone)
        if there != wanted:
            files.replace(state, json.dumps(wanted).encode())

    def _prepare(self) -> borrowed_git.Clone:
        """Make the checkout's folder and our git directory where they are missing, and write our configuration."""
        clone = self._clone = self._clone or borrowed_git.look(self._repository, self._env)
        made = self._git_dir / "made"
        if not made.exists() or made.read_text() != clone.object_format:
            self._throw_away()
            borrowed_git.make(self._git_dir, clone, self._env)
            made.write_text(clone.object_format)
        borrowed_git.write(self._git_dir, clone, base=(self._git_dir / "base").read_bytes())
        if self.path.is_symlink() or not self.path.is_dir():
            files.remove(self.path)
            self.path.mkdir()
        files.allow(os.fspath(self.path))
        return clone

    def _same_attributes(self, there: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
        """Tell whether git's own switch would be right: it leaves files alone whose attributes alone have changed."""
        if not there or there["filters"] != wanted["filters"] or not self._index.exists():
            return False
        if there == wanted:
            return True
        commits = there["commit"], wanted["commit"]
        done = self._git("diff-tree", "-r", "--name-only", "-z", *commits, "--", attributes.PATHSPEC)
        return done.returncode == 0 and not done.stdout

    def _git(self, *args: str | Path, input: bytes = b"") -> process.Completed:
        where = [f"--git-dir={self._git_dir}", f"--work-tree={self.path}"]
        env = borrowed_git.environment(self._env)
        # When we are killed git goes on: as long as it writes, the slot is not free.
        return process.complete(
            ["git", *where, *self._settings, *args], cwd=self.path, env=env, input=input, pass_fds=[self.lock_fd]
        )

    def _require_git(self, *args: str | Path, input: bytes = b"") -> bytes:
        done = self._git(*args, input=input)
        if done.returncode:
            hint = "bring its large files with `git lfs fetch`, then run it again" if b"lfs" in done.stderr else _HINT
            raise Failed(f"git {args[0]} failed in the scratch checkout {self.path}: {done.words}", hint=hint)
        return done.stdout

    def _read_tree(self, commit: str) -> None:
        question = ("read-tree", "--reset", "-u", commit)
        if self._git(*question).returncode:
            self._fetch_missing(commit)
            self._require_git(*question)

    def _fetch_missing(self, commit: str) -> None:
        """Let a partial clone itself fetch what it lacks of the commit: how it reaches its remote may be its own setting."""
        settings = self._clone.settings if self._clone else ()
        promised = [name for name, _ in settings if name.startswith("remote.") and name.endswith(".promisor")]
        if not promised:
            return
        remote = promised[0].removeprefix("remote.").removesuffix(".promisor")
        listing = self._repository.run("rev-list", "--objects", "--missing=print", "--no-walk", commit).stdout
        missing = b"".join(row[1:] + b"\n" for row in listing.splitlines() if row.startswith(b"?"))
        # As git itself does it where an object is missing, but all of them at once.
        self._repository.run(
            "-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head",
            "--recurse-submodules=no", "--filter=blob:none", remote, "--stdin", input=missing,
        )  # fmt: skip

    def _tracked(self) -> strays.Tracked:
        if not self._index.exists():
            return strays.Tracked()
        return strays.tracked(self._require_git("ls-files", "-s", "-z"))

    def _touched(self) -> list[str]:
        """Return the tracked paths whose inode says that something was done to them."""
        question = ("diff-files", "--name-only", "-z", "--ignore-submodules=all")
        done = self._git(*question)
        if done.stderr:  # what it may not look at it passes over, and succeeds
            files.open_up(self.path)
        listing = self._require_git(*question) if done.stderr or done.returncode else done.stdout
        return os.fsdecode(listing).split("\0")[:-1]

    def _differing(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of `names` that are not what git would check out for them."""
        if not names:
            return ()
        compare = self._folder / "compare"
        files.remove(compare)
        try:
            self._require_git("checkout-index", "-q", "-z", "--stdin", f"--prefix={compare}/", input=_joined(names))
            return tuple(sorted(name for name in names if not _same(self.path / name, compare / name)))
        finally:
            files.remove(compare)

    def _give_git(self, commit: str, clone: borrowed_git.Clone) -> None:
        """Give the checkout a repository of its own, with which a suite may do as it likes."""
        inside = self.path / ".git"
        inside.mkdir()
        if self.is_apart:
            self._give_copies(commit, inside)
            return
        objects = (self._git_dir / "objects",)  # what a partial clone's checkout has fetched
        base = (self._git_dir / "base").read_bytes()
        borrowed_git.write(inside, clone, base=base, extra_objects=objects, hooks=inside / "hooks")
        borrowed_git.show(inside, clone, commit)
        shutil.copy2(self._index, inside / "index")

    def _give_copies(self, commit: str, inside: Path) -> None:
        """Give the checkout copies of the commit's objects: nothing in it leads to a server's repository."""
        assert self._clone is not None
        alone = self._clone._replace(settings=(), alternates=b"", shallow=f"{commit}\n".encode(), packed_refs=b"", symbolic={})
        base = (self._git_dir / "base").read_bytes()
        borrowed_git.write(inside, alone, base=base, hooks=inside / "hooks")
        borrowed_git.show(inside, alone, commit)
        listing = self._require_git("rev-list", "--objects", "--no-object-names", "--no-walk", commit)
        (inside / "objects" / "pack").mkdir()
        self._require_git("pack-objects", "-q", inside / "objects" / "pack" / "pack", input=listing)
        shutil.copy2(self._index, inside / "index")

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
        if self._repository.run(*question).returncode and self._git(*question).returncode:
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


def _joined(names: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _same(one: Path, other: Path) -> bool:
    """Tell whether two paths have the same kind, content and executable bit."""
    try:
        modes = [path.lstat().st_mode for path in (one, other)]
    except OSError:
        return False
    kinds = [(stat.S_IFMT(mode), mode & stat.S_IXUSR if stat.S_ISREG(mode) else 0) for mode in modes]
    if kinds[0] != kinds[1]:
        return False
    if stat.S_ISLNK(modes[0]):
        return one.readlink() == other.readlink()
    return os.access(one, os.R_OK) and filecmp.cmp(one, other, shallow=False)
