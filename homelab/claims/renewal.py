"""Leases that last as long as their session works: every homelab command of the session renews them.

A note in this machine's state says which leases those are, so that a command without any reads one empty folder and asks
no store. A note may be lost or out of date: then a lease ends in its time, or the note goes.
"""

import contextlib
import json
import math
import os
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homelab.claims.stores import folder
from homelab.errors import HomelabError

if TYPE_CHECKING:
    from homelab.claims.model import Claim
    from homelab.claims.stores.base import Store

# After a store did not answer, it is left alone for so long, in seconds: no command has to wait for it again.
_RETRY = 60
_TYPES = dict.fromkeys(("url", "label", "id", "user", "session", "key"), str)

# These open the store anyway and renew in there: one that does not answer is to be waited for once.
_OPEN_IT = (["claim"], ["claims"], ["release"], ["tf", "apply"])


def _folder() -> Path:
    return folder.default().parent / "leases"


def note(url: str, claims: Iterable["Claim"]) -> None:
    """Write down which leases the session's next commands have to renew."""
    from homelab.system import files

    for claim in claims:
        holder = claim.holder
        who = {"user": holder.user, "session": holder.session, "key": holder.key}
        document = {"url": _without_secret(url), "label": claim.label, "id": claim.id, **who}
        name = f"{claim.id}={claim.label.replace('/', '+')}"
        with contextlib.suppress(OSError, HomelabError):
            files.replace(_folder() / name, json.dumps(document).encode())


def _without_secret(url: str) -> str:
    """Return the URL, or its digest where it may hold a password: then only a command that is given the URL renews."""
    if not re.search(r"://[^/?#]*:.*@|password", url):
        return url
    import hashlib  # only where there is a password

    return f"sha256:{hashlib.sha256(url.encode(errors='surrogateescape')).hexdigest()}"


def _named(url: str) -> str | None:
    """Return the URL that a note names, None where another store is named here now."""
    from homelab.claims import locate

    if not url.startswith("sha256:"):
        return url
    here = locate.url() or ""
    return here if _without_secret(here) == url else None


def renew_own_leases(argv: Sequence[str], *, every: float = 0) -> None:
    """Renew this session's leases that have no fixed end, unless the command line does that itself. Never fails.

    Those that were renewed in the last `every` seconds are left alone.
    """
    words = [word for word in argv[:3] if not word.startswith("-")]
    if any(words[: len(verb)] == verb for verb in _OPEN_IT):
        return
    try:
        entries = [Path(entry.path) for entry in os.scandir(_folder())]
    except (OSError, HomelabError):  # there is no note, or this user has no home for one
        return
    if not entries:
        return
    from homelab.claims import locate

    with contextlib.suppress(OSError):
        for url, notes in _own(entries, before=time.time() - every).items():
            try:
                if (named := _named(url)) is not None:
                    _renew(locate.open(named), notes)
            except HomelabError:
                _leave_alone(notes)


def renew_in(store: "Store") -> None:
    """Renew this session's leases in one store. Never fails."""
    with contextlib.suppress(OSError, HomelabError):
        notes = _own([Path(entry.path) for entry in os.scandir(_folder())]).get(_without_secret(store.url))
        if notes:
            try:
                _renew(store, notes)
            except HomelabError:
                _leave_alone(notes)


def _own(paths: list[Path], *, before: float = math.inf) -> dict[str, dict[Path, dict[str, Any]]]:
    """Return our notes of a moment `before` by store. What that takes is not imported where there is no note."""
    if not paths:
        return {}
    from homelab.claims import identity
    from homelab.claims.model import Holder
    from homelab.system import files

    asker = {one_machine: identity.holder(one_machine=one_machine) for one_machine in (True, False)}
    found: dict[str, dict[Path, dict[str, Any]]] = {}
    for path in paths:
        fields = files.document(path, _TYPES)
        if fields is None or path.stat().st_mtime > before:
            continue
        if files.is_sound(retry := fields.get("retry", 0), float | int) and retry >= time.time():
            continue
        holder = Holder(fields["user"], "", fields["session"], 0, fields["key"])
        if holder.is_same(asker[fields["url"].startswith("file:")]):
            found.setdefault(fields["url"], {})[path] = fields
    return found


def _renew(store: "Store", notes: dict[Path, dict[str, Any]]) -> None:
    from homelab.claims import identity

    labels = sorted({document["label"] for document in notes.values()})
    holder = identity.holder(one_machine=store.one_machine)
    renewed = {(claim.id, claim.label) for claim in store.extend_leases(labels, holder, fixed=False)}
    for path, document in notes.items():
        if (document["id"], document["label"]) not in renewed:
            path.unlink(missing_ok=True)
        else:
            os.utime(path)


def _leave_alone(notes: dict[Path, dict[str, Any]]) -> None:
    from homelab.system import files

    for path, document in notes.items():
        files.replace(path, json.dumps({**document, "retry": time.time() + _RETRY}).encode())
