"""Where claims are kept: `HOMELAB_CLAIMS`, else ``[claims] store`` at the fetched target, else files on this machine."""

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from homelab.claims.stores import folder as place
from homelab.errors import HomelabError, Unreachable, Usage
from homelab.system import folders

if TYPE_CHECKING:
    from homelab.claims.stores.base import HeartbeatStore, Store
    from homelab.git.repository import Repository
    from homelab.policy.states import State

_FORMS = "write it as file:///PATH or postgresql://HOST/DATABASE"
_ELSE = "name the store with HOMELAB_CLAIMS"


def url(repository: "Repository | None" = None, *, known: "tuple[Repository, State] | None" = None) -> str | None:
    """Return the URL that names the store, or None for files on this machine. Raises `Unreachable` when it is not known.

    The rules are those of `repository`, by default of the clone around us, and of a submodule its superproject's. Where the
    rules of the clone around us have been read they are `known`. A store that is configured is the store, or nothing is
    claimed: files would exclude nobody on another machine.
    """
    if named := os.environ.get("HOMELAB_CLAIMS", "").strip():
        return named
    if known and not _may_be_submodule(known[0]):
        return _stated(known[1])
    try:
        repository = repository or _around()
    except Usage as error:
        raise Unreachable(f"which claim store this clone has is not known: {error.message}", hint=error.hint or _ELSE) from None
    if repository is None:
        return None
    from homelab.policy.rules import read_rules

    return _stated(read_rules(repository))


def _stated(rules: "State") -> str | None:
    from homelab.policy.states import Rules, Unknown

    match rules:
        case Unknown(reason=reason, repair=repair):
            words = f"which claim store this clone has is not known: {reason}"
            raise Unreachable(words, hint=f"`{repair}`, or {_ELSE}", next=repair)
        case Rules(config=config):
            return config.claims.store
    return None


def _around() -> "Repository | None":
    """Return the repository around us, of a submodule its superproject; None outside. Raises `Usage` for a broken one."""
    try:
        here = Path.cwd()
    except OSError:
        raise Usage("the folder you are in is gone", hint=f"`{folders.way_out()}`, then run it again") from None
    # Most claims are made outside of clones or where nothing is configured: git is asked only in a clone.
    if not any(_seems_repository(folder) for folder in (here, *here.parents)):
        return None
    from homelab.git.repository import discover

    repository = discover()
    while _may_be_submodule(repository) and (above := repository.line("rev-parse", "--show-superproject-working-tree")):
        repository = discover(Path(above))
    return repository


def _seems_repository(folder: Path) -> bool:
    git = folder / ".git"
    bare = ("HEAD", "objects", "refs")  # what git takes for one
    return git.is_file() or (git / "HEAD").exists() or all((folder / name).exists() for name in bare)


def _may_be_submodule(repository: "Repository") -> bool:
    """Return whether a worktree lies in that of another repository, which git alone can tell from its superproject.

    A started worktree lies in its own clone's, and pays for no process that says so.
    """
    top = repository.worktree
    above = next((folder / ".git" for folder in top.parents if (folder / ".git").exists()), None) if top else None
    return above is not None and above.resolve() != repository.common_dir.resolve()


def open(url: str | None) -> "Store":
    """Return the store that a URL names. Raises `Usage`, `Refused` or `Unreachable`."""
    if url is None:
        return _files(place.default())
    if _is_postgres(url):
        from homelab.claims.stores import postgres

        return postgres.connect(url)
    return _files(_folder(url))


def reopen(url: str) -> "HeartbeatStore":
    """Return a further connection to a store that lives by heartbeats. Raises as `open` does."""
    from homelab.claims.stores.base import HeartbeatStore

    store = open(url)
    assert isinstance(store, HeartbeatStore)
    return store


def _is_postgres(url: str) -> bool:
    return url.partition(":")[0] in ("postgresql", "postgres")


def _folder(url: str) -> Path:
    try:
        parts = urlsplit(url)
        path = os.fsdecode(unquote_to_bytes(os.fsencode(parts.path)))
        sound = parts.scheme == "file" and parts.netloc in ("", "localhost")
    except ValueError:
        sound, path = False, ""
    if not sound or not path.startswith("/") or "\0" in path:
        # Not the text itself: whatever it is, it may hold a password.
        raise Usage("HOMELAB_CLAIMS, or [claims] store in homelab.toml, does not name a claim store", hint=_FORMS)
    return Path(path)


def _files(folder: Path) -> "Store":
    from homelab.claims.stores.files import FileStore

    return FileStore(folder)


def prepare(url: str | None, grant: str | None) -> str:
    """Make the store fit to be used, by the role `grant` too, and return its name. Raises as `open` does."""
    if url and _is_postgres(url):
        from homelab.claims.stores import postgres

        return postgres.create_schema(url, grant)
    if grant is not None:
        raise Usage(
            "--grant is for a database; this claim store is a folder",
            hint="share the folder: `chgrp GROUP` and `chmod 2770` it",
        )
    return open(url).name


def seen() -> tuple[str, str | None]:
    """Return the name of the store that claims are kept in here, and why it cannot be used, or None. Nothing is made."""
    try:
        named = url()
        if named is not None and _is_postgres(named):
            with contextlib.closing(open(named)) as store:
                return store.name, None
        folder = place.default() if named is None else _folder(named)
        return str(folder), place.unfit(folder)
    except HomelabError as error:
        return "", error.message
    except OSError as error:
        return "", place.unreachable(folder, error).message
