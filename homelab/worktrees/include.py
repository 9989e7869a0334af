"""Ignored files that a started worktree gets from the main one: those that ``.worktreeinclude`` lists.

The file has the syntax of ``.gitignore``. What it names is copied only where git ignores it; nothing that stands in the new
worktree is overwritten, nothing is read or written outside of the two worktrees, and a link stays a link.
"""

import filecmp
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from homelab import output
from homelab.errors import Failed
from homelab.git.repository import Repository

NAME = ".worktreeinclude"
_HALF = ".homelab-copy"


def bring(main: Repository, path: Path, without: Path) -> int:
    """Copy the listed files from the main worktree to the one at `path`, none from below `without`. Return how many."""
    root = main.worktree
    if root is None and (path / NAME).is_file():
        output.say(f"{NAME} names files to copy, but there is no main worktree to copy them from")
    if root is None or not (root / NAME).is_file() or (root / NAME).is_symlink():
        return 0
    count = 0
    for name in _listed(main):
        source = root / name
        if source.is_relative_to(without) or path.is_relative_to(source) or not _is_plain_way(path, name):
            continue
        try:
            count += _copy(source, path / name)
        except OSError as error:
            output.warn(f"note: {output.line(name)} is not copied: {(error.strerror or str(error)).lower()}")
    if count:
        output.say(f"copied {count} {'file' if count == 1 else 'files'} that {NAME} lists")
    return count


def _listed(main: Repository) -> Iterator[str]:
    """Yield the files of the main worktree that are both listed and ignored, as paths from its root."""
    done = main.run("ls-files", "-z", "--others", "--ignored", f"--exclude-from={NAME}")
    names = [name for name in done.stdout.split(b"\0") if name and not name.endswith(b"/")]
    if done.returncode:
        raise Failed(f"{NAME} cannot be read: {done.words}", hint=f"mend {NAME}, it has the syntax of .gitignore")
    if not names:
        return
    ignored = main.run("check-ignore", "-z", "--stdin", input=b"".join(name + b"\0" for name in names))
    for name in ignored.stdout.split(b"\0"):
        if name:
            yield os.fsdecode(name)


def _is_plain_way(path: Path, name: str) -> bool:
    """Return whether no link of the new worktree stands on the way to a file, which might lead anywhere."""
    folders = [path.joinpath(*Path(name).parts[:n]) for n in range(1, len(Path(name).parts))]
    return not any(os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()) for folder in folders)


def _copy(source: Path, target: Path) -> bool:
    """Return whether the file was copied: whole, and only where nothing stood."""
    mode = source.lstat().st_mode
    if os.path.lexists(target) or not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(_HALF)
    half.unlink(missing_ok=True)
    shutil.copy2(source, half, follow_symlinks=False)
    half.rename(target)
    return True


def is_copy(root: Path, path: Path, name: str) -> bool:
    """Return whether a file or folder of the worktree at `path` stands the same in the main one, so that nothing is lost."""
    here, there = path / name, root / name
    try:
        if here.is_dir() and not here.is_symlink():
            return all(is_copy(root, path, os.fspath(inner.relative_to(path))) for inner in here.iterdir())
        modes = here.lstat().st_mode, there.lstat().st_mode
    except OSError:
        return False
    if stat.S_IFMT(modes[0]) != stat.S_IFMT(modes[1]):
        return False
    if stat.S_ISLNK(modes[0]):
        return here.readlink() == there.readlink()
    return stat.S_ISREG(modes[0]) and os.access(here, os.R_OK) and filecmp.cmp(here, there, shallow=False)
