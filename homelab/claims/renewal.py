"""Leases that last as long as their session works: every homelab command of the session renews them by the way.

A note in this machine's state says which leases those are, so that a command without any reads one empty folder and asks
no store. A note may be lost or stale: then a lease ends in its time, or the note goes.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homelab.claims.stores import folder
from homelab.errors import HomelabError, Unreachable

if TYPE_CHECKING:
    from homelab.claims.stores.base import Store

# After a store did not answer, it is left alone for so long, in seconds: no command has to wait for it again.
_RETRY = 60


def _folder() -> Path:
    return folder.default().parent / "leases"


def note(url: str, claims: Iterable[Any]) -> None:
    """The session's next commands renew these leases."""
    from homelab.system import files

    for claim in claims:
        document = {
            "url": url, "label": claim.label, "id": claim.id, "user": claim.holder.user, "session": claim.holder.session,
        }  # fmt: skip
        name = f"{claim.id}={claim.label.replace('/', '+')}"
        with contextlib.suppress(OSError, Unreachable):
            files.replace(_folder() / name, json.dumps(document).encode())


def by_the_way() -> None:
    """The leases of this session that nothing fixed last for their duration from now; no failure is told.

    Commands that open the store anyway renew in there: one that does not answer is to be waited for once.
    """
    words = [word for word in sys.argv[1:4] if not word.startswith("-")]
    if words[:2] == ["tf", "apply"] or words[:1] in (["claim"], ["claims"], ["release"]):
        return
    try:
        entries = [Path(entry.path) for entry in os.scandir(_folder())]
    except (OSError, Unreachable):  # there is no note, or this user has no home for one
        return
    if not entries:
        return
    from homelab.claims import locate

    with contextlib.suppress(OSError):
        for url, mine in _ours(entries).items():
            try:
                _renew(locate.open(url), mine)
            except HomelabError:
                _leave_alone(mine)


def within(store: "Store") -> None:
    """The same for the leases that are kept in this store."""
    with contextlib.suppress(OSError, HomelabError):
        mine = _ours([Path(entry.path) for entry in os.scandir(_folder())]).get(store.url)
        if mine:
            _renew(store, mine)


def _ours(paths: list[Path]) -> dict[str, dict[Path, dict[str, Any]]]:
    """Return our notes by store; what that takes is not imported where there is no note."""
    if not paths:
        return {}
    from homelab.claims.identity import session
    from homelab.system.identity import user

    asking = (user(), session())
    found: dict[str, dict[Path, dict[str, Any]]] = {}
    for path in paths:
        try:
            document = json.loads(path.read_bytes())
            if (document["user"], document["session"]) == asking and document.get("retry", 0) < time.time():
                found.setdefault(document["url"], {})[path] = document
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _renew(store: "Store", notes: dict[Path, dict[str, Any]]) -> None:
    from homelab.claims import identity

    labels = sorted({document["label"] for document in notes.values()})
    renewed = {(claim.id, claim.label) for claim in store.renew(labels, identity.holder(), all=False)}
    for path, document in notes.items():
        if (document["id"], document["label"]) not in renewed:
            path.unlink(missing_ok=True)


def _leave_alone(notes: dict[Path, dict[str, Any]]) -> None:
    from homelab.system import files

    for path, document in notes.items():
        files.replace(path, json.dumps({**document, "retry": time.time() + _RETRY}).encode())
