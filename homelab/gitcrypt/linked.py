"""Linked worktrees of a git-crypt repository: without a key, and fit for plain git nevertheless.

git-crypt looks for its key in a worktree's own git directory, so that in a linked one its filters fail every command that
meets a secret. A conditional include in the clone's configuration gives the linked worktrees, and them alone, a filter of
ours: secrets stay ciphertext there, and plaintext does not go in. A `process` filter wins over git-crypt's commands
wherever they stand; what it needs is copied into the clone, so that neither a moved clone nor a removed homelab breaks it.
"""

import os
import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from homelab import output
from homelab.errors import Failed
from homelab.git import attributes, configuration
from homelab.git.repository import Repository
from homelab.gitcrypt import rules
from homelab.system import files

_SECTION = "includeIf.gitdir:./worktrees/"
_VARIABLE = f"{_SECTION}.path"
_INCLUDED = "homelab/keyless.config"
_PROGRAM = "ciphertext.py"  # its name in clones, whatever our file is called
_TRIES, _PAUSE = 40, 0.05


def names(repository: Repository, tree: str) -> frozenset[str]:
    """Return the filters of git-crypt that a commit's attribute files name, none where it does not use git-crypt."""
    return rules.filters(repository, (oid for _, oid in attributes.of_tree(repository, tree).files))


def protect(repository: Repository, tree: str) -> bool:
    """Make linked worktrees fit to check the commit out, its secrets sealed. Return False where it does not use git-crypt."""
    wanted = names(repository, tree)
    if not wanted:
        return False
    content = _rendered(wanted | _configured(repository) | _protected(repository))
    for path, bytes_ in ((repository.state / _PROGRAM, _program()), (repository.common_dir / _INCLUDED, content)):
        if not _holds(path, bytes_):
            files.replace(path, bytes_)
    _include(repository)
    return True


def _program() -> bytes:
    return Path(__file__).with_name("filter_process.py").read_bytes()


def _holds(path: Path, content: bytes) -> bool:
    try:
        return files.content(path) == content
    except OSError:  # whatever stands there, it is not ours
        return False


def say(root: Path | None) -> None:
    """Tell the user that secrets stay encrypted here and can be edited in the main worktree."""
    where = f"the main worktree {root}" if root else "a worktree that `git-crypt unlock` was run in"
    output.say(f"secrets stay encrypted in it (git-crypt); change them, and run `homelab tf`, in {where}")


def withdraw(repository: Repository) -> bool:
    """Take our filter out of the clone unless a linked worktree needs it. Return whether nothing of it is left."""
    if not _values(repository):
        return True
    if _has_linked(repository):
        return False
    _write(repository, [value for value in _values(repository) if value != _INCLUDED])
    for path in (repository.common_dir / _INCLUDED, repository.state / _PROGRAM):
        path.unlink(missing_ok=True)
    return True


def uses_git_crypt(repository: Repository) -> bool:
    """Return whether the commit that is checked out gives anything to git-crypt."""
    head = repository.oid("HEAD^{tree}")
    return head is not None and bool(names(repository, head))


def mend(repository: Repository) -> None:
    """Configure the filter for existing linked worktrees if HEAD uses git-crypt."""
    head = repository.oid("HEAD^{tree}")
    if head and _has_linked(repository):
        protect(repository, head)


def _has_linked(repository: Repository) -> bool:
    folder = repository.common_dir / "worktrees"
    return folder.is_dir() and any(folder.iterdir())


def problem(repository: Repository) -> str | None:
    """Return why linked worktrees are not fit for git-crypt, which `mend` changes, or None."""
    head = repository.oid("HEAD^{tree}")
    wanted = names(repository, head) if head and _has_linked(repository) else frozenset[str]()
    if not wanted:
        return None
    if missing := sorted(wanted - _protected(repository)):
        return f"linked worktrees have no filter for {', '.join(missing)}: plain git fails on secrets in them"
    if _INCLUDED not in _values(repository):
        return "the filter of linked worktrees is not in git's configuration"
    if not _holds(repository.state / _PROGRAM, _program()):
        return "the filter's program is gone, damaged, or another version's: plain git may fail on secrets in linked worktrees"
    if not _is_last(repository):
        return "git-crypt's own settings come after the filter of linked worktrees: `git diff` fails on secrets in them"
    return None


def _rendered(filters: Iterable[str]) -> bytes:
    """Return the configuration of linked worktrees."""
    rows: list[tuple[str, str | None]] = []
    for name in sorted(filters):
        key = name.removeprefix("git-crypt").removeprefix("-")
        rows += [(f"filter.{name}.process", _process(key)), (f"filter.{name}.required", "true")]
        rows += [(f"diff.{name}.textconv", _textconv(key))]
    comment = b"# Written by homelab: in linked worktrees the secrets of git-crypt stay ciphertext.\n"
    return comment + configuration.rendered(rows)


def _state(key: str) -> str:
    """Return sh that sets `state` to ``unlocked`` where this worktree has a key of its own."""
    file = shlex.quote(f"git-crypt/keys/{key or 'default'}")
    return f'state=locked; [ ! -e "$(git rev-parse --git-dir)/"{file} ] || state=unlocked; '


def _process(key: str) -> str:
    # Any Python does where the one that homelab was installed with is gone.
    choose = f'for p in {shlex.quote(sys.executable)} python3 python; do command -v "$p" >/dev/null && break; done; '
    run = f'exec "$p" -I -S "$(git rev-parse --git-common-dir)/homelab/{_PROGRAM}" {shlex.quote(key)} "$state"'
    return _state(key) + choose + run


def _textconv(key: str) -> str:
    name = f" --key-name={shlex.quote(key)}" if key else ""
    seal = "printf 'ciphertext of git-crypt '; git hash-object --no-filters --"
    return f'f() {{ {_state(key)}if [ $state = unlocked ]; then git-crypt diff{name} "$1"; else {seal} "$1"; fi; }}; f'


def _config(repository: Repository, *args: str) -> tuple[int, list[str]]:
    done = repository.run("config", "--file", repository.common_dir / "config", "--null", *args)
    return done.returncode, os.fsdecode(done.stdout).split("\0")[:-1]


def _values(repository: Repository) -> list[str]:
    return _config(repository, "--get-all", _VARIABLE)[1]


def _configured(repository: Repository) -> frozenset[str]:
    """Return git-crypt's filters that this clone was unlocked with."""
    rows = _config(repository, "--name-only", "--get-regexp", r"^filter\.git-crypt(-.*)?\.")[1]
    return frozenset(row.removeprefix("filter.").rpartition(".")[0] for row in rows)


def _protected(repository: Repository) -> frozenset[str]:
    path = repository.common_dir / _INCLUDED
    if not path.exists():
        return frozenset()
    done = repository.run("config", "--file", path, "--null", "--name-only", "--get-regexp", r"^filter\..*\.process$")
    rows = os.fsdecode(done.stdout).split("\0")[:-1]
    return frozenset(row.removeprefix("filter.").removesuffix(".process") for row in rows)


def _is_last(repository: Repository) -> bool:
    """Return whether the include stands after what git-crypt has written; git takes the last `textconv`."""
    rows = _config(repository, "--list", "--name-only")[1]
    ours = max((at for at, row in enumerate(rows) if row == _VARIABLE.lower() or row == _VARIABLE), default=-1)
    return ours > max((at for at, row in enumerate(rows) if row.startswith(("diff.git-crypt", "filter.git-crypt"))), default=-2)


def _include(repository: Repository) -> None:
    values = _values(repository)
    if _INCLUDED not in values or not _is_last(repository):
        _write(repository, [*(value for value in values if value != _INCLUDED), _INCLUDED])


def _write(repository: Repository, values: Iterable[str]) -> None:
    """Let the condition include these files, at the end of the clone's configuration. Raises `Failed`."""
    file, wanted = (repository.common_dir / "config").resolve(), tuple(values)
    for _ in range(_TRIES):
        before = file.read_bytes()
        with files.beside(repository.state / "config", before) as draft:
            repository.run("config", "--file", draft, "--remove-section", _SECTION)
            for value in wanted:
                repository.out("config", "--file", draft, "--add", _VARIABLE, value)
            draft.chmod(file.stat().st_mode & 0o777)
            if _swap(draft, file, before):
                return
        time.sleep(_PAUSE)
    raise Failed("git's configuration of this clone is locked by another program", hint=f"`ls -l {file}.lock` shows since when")


def _swap(draft: Path, file: Path, before: bytes) -> bool:
    """Return whether the draft has replaced a file that still had its content, under git's own lock of that file."""
    lock = file.with_name(f"{file.name}.lock")
    try:
        os.link(draft, lock)
    except FileExistsError:
        return False
    if file.read_bytes() != before:
        lock.unlink()
        return False
    lock.rename(file)
    return True
