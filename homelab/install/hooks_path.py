"""``core.hooksPath``: which folder's hooks git runs, and how ours comes to be that folder and ceases to be.

The value that was there is remembered in the same configuration file under a name of ours, so that giving it back needs
nothing else. What is in the folders is `homelab.install.install`'s.
"""

import os
from pathlib import Path
from typing import NamedTuple

from homelab.git.configuration import Settings
from homelab.git.repository import Repository

_NAME = "core.hooksPath"
_FORMER = "homelab.hookspath"


class Place(NamedTuple):
    """The folder whose hooks git runs, as configured. `scope` is None where nothing is configured."""

    folder: Path
    value: str | None
    scope: str | None


def place(repository: Repository, known: Settings | None = None) -> Place:
    """Return the folder whose hooks git runs here; git is not asked where the settings that are known have no such name."""
    default = repository.common_dir / "hooks"
    if known and not any(row.name == _NAME.lower() for row in known.rows):
        return Place(default, None, None)
    done = repository.run("config", "--show-scope", "--null", "--type=path", "--get", _NAME)
    if done.returncode:
        return Place(default, None, None)
    scope, value = os.fsdecode(done.stdout).split("\0")[:2]
    return Place((repository.worktree or repository.git_dir) / value, value, scope)


def own_folder(repository: Repository) -> Path:
    """Return the folder of our own that `core.hooksPath` names where it was set before."""
    return repository.state / "hooks"


def is_own(repository: Repository, found: Place) -> bool:
    """Return whether git runs the hooks of our folder, here or where the clone was before it was moved."""
    return found.value is not None and _names_ours(repository, found.value)


def _names_ours(repository: Repository, value: str) -> bool:
    ours, named = own_folder(repository), (repository.worktree or repository.git_dir) / value
    # The value is absolute: a relative one is looked for in each worktree, and found nowhere by a push from inside .git.
    return named.resolve() == ours.resolve() or (named.parts[-2:] == ours.parts[-2:] and not named.exists())


def follow(repository: Repository) -> None:
    """Let core.hooksPath name our folder where it is now, in each file that names it where the clone was before."""
    ours = os.fspath(own_folder(repository))
    for file in _files(repository):
        values = _values(repository, file, _NAME)
        if values and values[-1] != ours and _values(repository, file, _FORMER) and _names_ours(repository, values[-1]):
            _set(repository, file, _NAME, [ours])


def take(repository: Repository, found: Place, former: Path) -> bool:
    """Make git run the hooks of our folder, and remember the former value. Return False, all undone, where it will not."""
    ours = own_folder(repository)
    file = (repository.git_dir / "config.worktree") if found.scope == "worktree" else (repository.common_dir / "config")
    # None: to be unset again. A value of another scope stays where it is, ours only stands in front of it.
    kept = _values(repository, file, _NAME)
    _set(repository, file, _FORMER, [os.fspath(former), *kept])
    _set(repository, file, _NAME, [os.fspath(ours)])
    if place(repository).folder.resolve() == ours.resolve():
        return True
    give_back(repository)  # an included file has the last word
    return False


def give_back(repository: Repository) -> None:
    """Restore the value that each configuration file of the clone had before we took it."""
    for file in _files(repository):
        if not (remembered := _values(repository, file, _FORMER)):
            continue
        current = _values(repository, file, _NAME)
        if current and _names_ours(repository, current[-1]):
            _set(repository, file, _NAME, remembered[1:])
        _set(repository, file, _FORMER, [])


def _values(repository: Repository, file: Path, name: str) -> list[str]:
    done = repository.run("config", "--file", file, "--null", "--get-all", name)
    return os.fsdecode(done.stdout).split("\0")[:-1] if done.returncode == 0 else []


def _set(repository: Repository, file: Path, name: str, values: list[str]) -> None:
    """Give the variable these values and no others; one value is replaced in its line."""
    if len(values) == 1:
        repository.out("config", "--file", file, "--replace-all", name, values[0])
        return
    repository.run("config", "--file", file, "--unset-all", name)
    for value in values:
        repository.out("config", "--file", file, "--add", name, value)


def _files(repository: Repository) -> list[Path]:
    """Return the clone's configuration files, this worktree's first: uninstalling speaks for all of them."""
    common = repository.common_dir
    named = [repository.git_dir / "config.worktree", common / "config", *common.glob("worktrees/*/config.worktree")]
    return [file for file in dict.fromkeys([*named, common / "config.worktree"]) if file.exists()]


def former(repository: Repository) -> Path | None:
    """Return the folder that hooks are handed on to."""
    for file in (repository.git_dir / "config.worktree", repository.common_dir / "config"):
        if values := _values(repository, file, _FORMER):
            return Path(values[0])
    return None
