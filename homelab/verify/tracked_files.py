"""The tracked files of a scratch checkout, as our git directory beside it knows them.

A suite cannot reach that directory, so what it says of the files is the commit's, whatever was done to them.
"""

import filecmp
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from homelab.errors import Failed
from homelab.git import attributes
from homelab.git.repository import Repository
from homelab.system import files, process
from homelab.verify import borrowed_git, strays
from homelab.verify.borrowed_git import HINT


class TrackedFiles(NamedTuple):
    """The files below `path` that the index in `git_dir` has."""

    path: Path
    git_dir: Path
    #: The clone, which may have to fetch what it lacks of a commit.
    repository: Repository
    env: Mapping[str, str]
    #: More options of git for what is checked out.
    settings: tuple[str, ...]
    lock_fd: int

    @property
    def index_file(self) -> Path:
        """The index; without it nothing is tracked."""
        return self.git_dir / "index"

    def run(self, *args: str | Path, input: bytes = b"") -> process.Completed:
        """Run git about these files, and return how it ended."""
        where = [f"--git-dir={self.git_dir}", f"--work-tree={self.path}"]
        env = borrowed_git.environment(self.env)
        # When we are killed git goes on: as long as it writes, the slot is not free.
        return process.complete(
            ["git", *where, *self.settings, *args], cwd=self.path, env=env, input=input, pass_fds=[self.lock_fd]
        )

    def require(self, *args: str | Path, input: bytes = b"") -> bytes:
        """Return what git prints about these files. Raises `Failed`."""
        done = self.run(*args, input=input)
        if done.returncode:
            hint = "bring its large files with `git lfs fetch`, then run it again" if b"lfs" in done.stderr else HINT
            raise Failed(f"git {args[0]} failed in the scratch checkout {self.path}: {done.words}", hint=hint)
        return done.stdout

    def read_tree(self, commit: str, settings: Sequence[tuple[str, str | None]]) -> None:
        """Make the files those of the commit. The clone's `settings` tell whether it may lack some. Raises `Failed`."""
        question = ("read-tree", "--reset", "-u", commit)
        if self.run(*question).returncode:
            self._fetch_missing(commit, settings)
            self.require(*question)

    def _fetch_missing(self, commit: str, settings: Sequence[tuple[str, str | None]]) -> None:
        """Let a partial clone itself fetch what it lacks of the commit: how it reaches its remote may be its own setting."""
        promised = [name for name, _ in settings if name.startswith("remote.") and name.endswith(".promisor")]
        if not promised:
            return
        remote = promised[0].removeprefix("remote.").removesuffix(".promisor")
        listing = self.repository.run("rev-list", "--objects", "--missing=print", "--no-walk", commit).stdout
        missing = b"".join(row[1:] + b"\n" for row in listing.splitlines() if row.startswith(b"?"))
        # As git itself does it where an object is missing, but all of them at once.
        self.repository.run(
            "-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head",
            "--recurse-submodules=no", "--filter=blob:none", remote, "--stdin", input=missing,
        )  # fmt: skip

    def tracked(self) -> strays.Tracked:
        """Return the paths."""
        if not self.index_file.exists():
            return strays.Tracked()
        return strays.tracked(self.require("ls-files", "-s", "-z"))

    def touched(self) -> list[str]:
        """Return the tracked paths whose inode says that something was done to them."""
        question = ("diff-files", "--name-only", "-z", "--ignore-submodules=all")
        done = self.run(*question)
        if done.stderr:  # what it may not look at it passes over, and succeeds
            files.open_up(self.path)
        listing = self.require(*question) if done.stderr or done.returncode else done.stdout
        return os.fsdecode(listing).split("\0")[:-1]

    def changed(self) -> tuple[str, ...]:
        """Return the paths whose bytes, kind or executable bit are not what git would check out for them."""
        names = self.touched()
        if not names:
            return ()
        compare = self.git_dir.with_name("compare")
        files.remove(compare)
        try:
            listing = b"".join(os.fsencode(name) + b"\0" for name in names)
            self.require("checkout-index", "-q", "-z", "--stdin", f"--prefix={compare}/", input=listing)
            return tuple(sorted(name for name in names if not _same(self.path / name, compare / name)))
        finally:
            files.remove(compare)

    def same_attributes(self, old: str, new: str) -> bool:
        """Return whether two commits look the same to filters: git's switch leaves files alone of which only that changed."""
        done = self.run("diff-tree", "-r", "--name-only", "-z", old, new, "--", attributes.PATHSPEC, f":(top){attributes.LFS}")
        return done.returncode == 0 and not done.stdout


def _same(one: Path, other: Path) -> bool:
    """Return whether two paths have the same kind, content and executable bit."""
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
