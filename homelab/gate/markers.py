"""What the shell hook may decide without Python: which names need thought, and which very updates were judged already.

A memo, not the truth: it may be deleted at any time. Only a full judgement writes a marker, for one ref and one pair of
commits; commit ids settle history, deletion and policy alike, which a receipt of a tree cannot. See docs/adr/0008 and 0013.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from homelab.errors import Failed
from homelab.gate import sources
from homelab.gate.updates import Delete, RefUpdate, old
from homelab.git import attributes
from homelab.git.repository import LOG, Repository, Snapshot
from homelab.policy.states import Rules, State
from homelab.system import files

#: The last of the names that need thought: a file that lost its end, or all of it, would protect less.
WHOLE = " ."

#: Stands in the file `plain` where git-crypt is used.
USES_GIT_CRYPT = "-"


class Memo(NamedTuple):
    """What is remembered of a push before it is judged."""

    #: The folder of the markers, or None where there is none.
    folder: Path | None
    #: Whether nothing pushed can name git-crypt, see `is_plain`.
    is_plain: bool


def needles(protect: Iterable[str] | None) -> tuple[str, ...]:
    """Return what a push line holds that updates one of these branches, any branch where it is not known which are protected.

    A pattern gives its fixed beginning.
    """
    found = []
    if protect is None:
        return (" refs/heads/",)
    for pattern in protect:
        fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
        found.append(f" refs/heads/{fixed}" + (" " if fixed == pattern else ""))
    return tuple(dict.fromkeys(found))


def _gate(common_dir: Path) -> Path:
    # The number is that of the protocol with the shim: hooks of another version look into another folder.
    return common_dir / "homelab" / "gate" / "2"


def memo(common_dir: Path, policy: str) -> Path:
    """Return the folder that the shim looks into: by the object id of the policy's file, or by the commit that has none.

    In it `protected` holds the needles, one a line, `to/REMOTE` all that the rules of a push to that remote were read from, and
    `REF/OLD-NEW` is an empty file for an update that passed.
    """
    return _gate(common_dir) / policy


def tip(common_dir: Path) -> Path:
    """Return the file that names the target's tip as it was last looked at, and the folder of its memo."""
    return _gate(common_dir) / "tip"


def plain(common_dir: Path) -> Path:
    """Return the file that names a commit up to which no attribute file, in any folder, ever named git-crypt."""
    return _gate(common_dir) / "plain"


def prepare(
    repository: Repository, rules: State, seen: Snapshot | None = None, *, remote: str | None = None, tips: Sequence[str] = ()
) -> Memo:
    """Write down for the shell hook the rules of the moment that was `seen`; return what is known of the pushed `tips`."""
    return Memo(refresh(repository, rules, seen, remote), not tips or is_plain(repository, tips))


def refresh(repository: Repository, rules: State, seen: Snapshot | None = None, remote: str | None = None) -> Path | None:
    """Write down the rules for the shell hook. Return the folder of its markers, or None where it has none.

    They were read from what was `seen`, by default now; `remote` is what is pushed to, by default where work lands. Where
    git-crypt is used, or claims are honoured, every push needs thought, and a blank needle stands for all: it is in every line.
    """
    if not isinstance(rules, Rules) or rules.remote is None or not rules.is_named or rules.is_narrow or rules.tip is None:
        return None
    tracked = f"refs/remotes/{rules.remote}/{rules.default}"
    if _target(repository) != tracked:
        repository.run("symbolic-ref", "-m", "homelab", sources.TARGET, tracked)
    # By the file that the rules were read from: should the target move meanwhile, its new rules get none of the old names.
    folder = memo(repository.common_dir, rules.blob or f"none-{rules.tip}")
    plain = _learn(repository, rules.tip) and not rules.config.gate.claims
    names = needles(rules.protect) if plain else (" ",)
    _keep(folder / "protected", "".join(f"{name}\n" for name in (*names, WHOLE)).encode("utf-8", "surrogateescape"))
    _keep(tip(repository.common_dir), f"{rules.tip} {folder.name}\n".encode())
    pushed_to = remote or rules.remote
    if sources.NAMEABLE.fullmatch(pushed_to):
        content = sources.read(repository.common_dir, seen or repository.snapshot(), rules.remote)
        if content is not None:
            _keep(folder / "to" / pushed_to, content)
    return folder


def _keep(path: Path, content: bytes) -> None:
    with contextlib.suppress(OSError):  # without the memo everything is thought about, which is slower and as safe
        if not path.exists() or files.content(path) != content:
            files.replace(path, content)


def is_used(repository: Repository) -> bool:
    """Return whether a shell hook of this clone may look into a memo."""
    return _target(repository) is not None


def _target(repository: Repository) -> str | None:
    """Return the ref that the shell hook takes for the target's, or None."""
    with contextlib.suppress(OSError):  # a file but with reftable, and a process less
        content = (repository.common_dir / sources.TARGET).read_bytes()
        if content.startswith(b"ref: refs/"):
            return os.fsdecode(content.removeprefix(b"ref: ").rstrip(b"\n"))
    return repository.line("symbolic-ref", "--quiet", sources.TARGET)


def mark(folder: Path, update: RefUpdate) -> None:
    """Write the marker that lets the shell hook pass this very update; a deletion has none."""
    if isinstance(update, Delete):
        return
    path = folder / update.ref / f"{old(update) or '0' * len(update.new)}-{update.new}"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def is_plain(repository: Repository, tips: Iterable[str]) -> bool:
    """Return whether it is certain that neither these commits nor any before them name git-crypt.

    From a commit whose whole history does not, nobody has touched an attribute file since, in any folder.
    """
    since = _since(repository)
    if since in (None, USES_GIT_CRYPT):
        return False
    # As commits: a tree would be passed over in silence.
    lines = "".join(f"{line}^{{commit}}\n" for line in (*tips, f"^{since}"))
    done = repository.run(
        "rev-list", "--max-count=1", "--full-history", "--stdin", "--", attributes.PATHSPEC, input=lines.encode()
    )
    return done.returncode == 0 and not done.stdout


def _since(repository: Repository) -> str | None:
    try:
        since = files.content(plain(repository.common_dir)).decode().strip()
    except (OSError, ValueError):
        return None
    return since if since == USES_GIT_CRYPT or not since.strip("0123456789abcdef") else None


def _learn(repository: Repository, tip: str) -> bool:
    """Return whether no commit up to the target's tip names git-crypt; that is looked up once, and for what is new later."""
    since = _since(repository)
    if since in (tip, USES_GIT_CRYPT):
        return since == tip
    if since is not None and repository.run("cat-file", "-e", since).returncode:
        since = None
    done = repository.run(
        *LOG, "--full-history", "--diff-merges=separate", "--raw", "-z", "--no-abbrev", "--no-renames", "--format=", tip,
        *([f"^{since}"] if since else []), "--", attributes.PATHSPEC,
    )  # fmt: skip
    rows = (field.split(b" ") for field in done.stdout.split(b"\0") if field.startswith(b":"))
    blobs = {row[3].decode() for row in rows if row[1].startswith(b"100")}
    if done.returncode:
        return False
    from homelab.gitcrypt import rules  # learnt once, and no push after that needs it

    try:
        clear = not rules.filters(repository, blobs)
    except Failed:  # a partial clone without its remote: asked again the next time
        return False
    with contextlib.suppress(OSError):
        files.replace(plain(repository.common_dir), f"{tip if clear else USES_GIT_CRYPT}\n".encode())
    return clear
