"""Leases that last as long as their session works: every homelab command of the session renews them by the way.

A note in this machine's state says which leases those are, so that a command without any reads one empty folder and asks
no store. A note may be lost or stale: then a lease ends in its time, or the note goes.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from homelab.claims import place
from homelab.errors import HomelabError

# After a store did not answer, it is left alone for so long, in seconds: no command has to wait for it again.
_RETRY = 60


def _folder() -> Path:
    return place.default().parent / "leases"


def note(url: str, claims: Iterable[Any]) -> None:
    """The session's next commands renew these leases."""
    from homelab import storage

    for claim in claims:
        document = {
            "url": url, "label": claim.label, "id": claim.id, "user": claim.holder.user, "session": claim.holder.session,
        }  # fmt: skip
        name = f"{claim.id}={claim.label.replace('/', '+')}"
        with contextlib.suppress(OSError):
            storage.replace(_folder() / name, json.dumps(document).encode())


def by_the_way() -> None:
    """The leases of this session that nothing fixed last for their duration from now; no failure is told."""
    try:
        entries = [Path(entry.path) for entry in os.scandir(_folder())]
    except OSError:
        return
    with contextlib.suppress(OSError):
        _renew(_ours(entries))


def _ours(paths: list[Path]) -> dict[str, dict[Path, dict[str, Any]]]:
    """Return our notes by store; what that takes is not imported where there is no note."""
    if not paths:
        return {}
    from homelab.claims import asking

    user, session = asking.user(), asking.session()
    found: dict[str, dict[Path, dict[str, Any]]] = {}
    for path in paths:
        try:
            document = json.loads(path.read_bytes())
            if (document["user"], document["session"]) == (user, session) and document.get("retry", 0) < time.time():
                found.setdefault(document["url"], {})[path] = document
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _renew(notes: dict[str, dict[Path, dict[str, Any]]]) -> None:
    from homelab import storage
    from homelab.claims import asking, stores

    for url, mine in notes.items():
        try:
            store = stores.open(url)
            labels = sorted({document["label"] for document in mine.values()})
            renewed = {(claim.id, claim.label) for claim in store.renew(labels, asking.holder(), all=False)}
        except HomelabError:
            for path, document in mine.items():
                storage.replace(path, json.dumps({**document, "retry": time.time() + _RETRY}).encode())
            continue
        for path, document in mine.items():
            if (document["id"], document["label"]) not in renewed:
                path.unlink(missing_ok=True)
