"""Where claims are kept: `HOMELAB_CLAIMS`, else ``[claims] store`` at the fetched target, else files on this machine."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from homelab.claims.stores import folder as place
from homelab.claims.stores.base import HeartbeatStore, Store
from homelab.errors import HomelabError, Usage

_FORMS = "write it as file:///PATH or postgresql://HOST/DATABASE"


def url() -> str | None:
    """Return the URL that names the store, or None for files on this machine."""
    named = os.environ.get("HOMELAB_CLAIMS", "").strip()
    return named or _configured()


def _configured() -> str | None:
    try:
        here = Path.cwd()
    except OSError:
        return None
    # Most claims are made outside of clones or where nothing is configured: git is asked only in a clone.
    if not any((folder / ".git").exists() for folder in (here, *here.parents)):
        return None
    from homelab.git.repository import discover
    from homelab.policy.rules import read_rules

    try:
        repository = discover()
    except Usage:
        return None
    return read_rules(repository, ask=False).config.claims.store


def open(url: str | None) -> Store:
    """Return the store that a URL names. Raises `Usage`, `Refused` or `Unreachable`."""
    if url is None:
        return _files(place.default())
    if _is_postgres(url):
        from homelab.claims.stores import postgres

        return postgres.connect(url)
    return _files(_folder(url))


def reopen(url: str) -> HeartbeatStore:
    """Return a further connection to a store that lives by heartbeats. Raises as `open` does."""
    store = open(url)
    assert isinstance(store, HeartbeatStore)
    return store


def _is_postgres(url: str) -> bool:
    return url.partition(":")[0] in ("postgresql", "postgres")


def _folder(url: str) -> Path:
    try:
        parts = urlsplit(url)
        path = unquote(parts.path)
        sound = parts.scheme == "file" and parts.netloc in ("", "localhost")
    except ValueError:
        sound, path = False, ""
    if not sound or not path.startswith("/") or "\0" in path:
        named = re.sub(r"//[^/@]*@", "//", url)  # it may hold a password
        raise Usage(f"{named!r} is not a claim store", hint=_FORMS)
    return Path(path)


def _files(folder: Path) -> Store:
    from homelab.claims.stores.files import FileStore

    return FileStore(folder)


def prepare(url: str | None, grant: str | None) -> str:
    """Make the store fit to be used, by the role `grant` too, and return its name. Raises as `open` does."""
    if url and _is_postgres(url):
        from homelab.claims.stores import postgres

        return postgres.create_schema(url, grant)
    if grant is not None:
        raise Usage("a folder has no roles to grant", hint="share the folder: `chgrp GROUP` and `chmod 2770` it")
    return open(url).url


def problem(url: str | None) -> str | None:
    """Return why the store that a URL names cannot be used, or None. Nothing is made."""
    try:
        if url is not None and _is_postgres(url):
            open(url).close()
            return None
        return place.unfit(place.default() if url is None else _folder(url))
    except HomelabError as error:
        return error.message
