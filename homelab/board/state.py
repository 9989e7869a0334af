"""The document that the page shows, looked at when somebody asks, at most once a second, however many look.

Where the claim store does not answer, the claims that it gave last are kept, with the moment they were true at.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from homelab.system import clock

#: Seconds for which a look is good.
_FRESH = 1.0


class Shown(NamedTuple):
    """One look: the document as it is, the one that the page shows, and what tells that something changed."""

    document: Mapping[str, Any]
    page: Mapping[str, Any]
    claims_at: str | None
    digest: str


class State:
    """The last look, shared by all requests."""

    def __init__(self, look: Callable[[], Mapping[str, Any]]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._shown: Shown | None = None
        self._claims: tuple[Any, str] | None = None
        self._at = 0.0

    def shown(self) -> Shown:
        """Return a look that is not older than a second."""
        with self._lock:
            if self._shown is None or time.monotonic() - self._at > _FRESH:
                self._shown = self._fresh()
                self._at = time.monotonic()
            return self._shown

    def _fresh(self) -> Shown:
        document = self._look()
        if document["claims"] is not None:
            self._claims = document["claims"], clock.now()
        kept, at = self._claims or (None, None)
        is_old = document["claims"] is None and at is not None
        page = {**document, "claims": kept} if is_old else document
        return Shown(document, page, at if is_old else None, _digest(page))


def _digest(document: Mapping[str, Any]) -> str:
    """Return what changes when the page would; how long a lease still has is no change."""
    claims = [{key: value for key, value in claim.items() if key != "left"} for claim in document["claims"] or ()]
    text = json.dumps({**document, "claims": claims}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
