"""HTTP to one system's API: JSON in, each failure a kind of its own, the token to that one host and port alone.

urllib3 does connections, TLS, proxies and redirects. Imported only when CI is asked.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError

from homelab import __version__
from homelab.ci.trouble import Away, Denied, Missing, Throttled
from homelab.ci.where import is_loopback

_CONNECT = 8.0
#: How long one answer may take in all, in seconds. A server may send a byte now and then, which no timeout of a socket ends.
PATIENCE = 20.0
_SECRET = ("Authorization", "Private-Token", "Cookie", "Proxy-Authorization")
#: Larger answers are no answers: a page of a hundred checks takes half a megabyte.
_MOST = 16 << 20
_PAGES = 20
_T = TypeVar("_T")
#: What urllib3 and http.client call by a name of their own.
_REASONS = {
    "protocol": "broken off", "incompleteread": "broken off", "locationvalue": "a redirect to no address",
    "toomanyredirects": "redirects without end",
}  # fmt: skip


class Client:
    """The API below one address. `secret` are the headers that let us in: never printed, never sent elsewhere."""

    def __init__(self, url: str, secret: Mapping[str, str] | None = None, patience: float = PATIENCE) -> None:
        self.url = url.rstrip("/")
        self.host = urlsplit(url).netloc.rpartition("@")[2]
        # In clear text a token would be everybody's on the way.
        may_know = urlsplit(url).scheme == "https" or is_loopback(url)
        self._secret = dict(secret or {}) if may_know else {}
        self._pool = _pool(url)
        self._patience = patience
        self._known: dict[str, tuple[str, Any, Mapping[str, str]]] = {}

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def ask(self, path: str, **query: str | int) -> Any:
        """Return the JSON below a path, None for an empty answer. Raises `Away`, `Denied`, `Missing`, `Throttled`."""
        return self._ask(path, query)[0]

    def text(self, path: str, most: int = 1 << 20) -> str:
        """Return the last `most` bytes of the text below a path. Raises as `ask` does."""
        return self._fetch(f"{self.url}{path}", {})[0][-most:].decode(errors="replace")

    def pages(
        self,
        path: str,
        within: str | None = None,
        query: Mapping[str, str | int] | None = None,
        *,
        size: str = "per_page",
        most: int = 100,
    ) -> Iterator[dict[str, Any]]:
        """Yield the entries of a list from all its pages; `within` names the list inside each answer."""
        got = 0
        for page in range(1, _PAGES + 1):
            answer, headers = self._ask(path, {**(query or {}), size: most, "page": page})
            total = answer.get("total_count") if isinstance(answer, dict) else headers.get("X-Total-Count")
            rows = (answer or {}).get(within) if within else answer
            if not isinstance(rows, list):
                rows = []
            yield from (row for row in rows if isinstance(row, dict))
            got += len(rows)
            # A server may give fewer than asked for on each page, so a short one alone does not say that it is the last.
            more = 'rel="next"' in headers.get("Link", "")
            if str(total or "").isdigit():
                more = more or int(str(total)) > got
            elif not more:
                more = len(rows) >= most
            if not rows or not more:
                return

    def _ask(self, path: str, query: Mapping[str, str | int]) -> tuple[Any, Mapping[str, str]]:
        url = f"{self.url}{path}{'?' if query else ''}{urlencode(query)}"
        known = self._known.get(url)
        body, headers, unchanged = self._fetch(url, {"If-None-Match": known[0]} if known else {})
        if unchanged and known:
            return known[1], known[2]
        if not body.strip():  # Gitea before 1.22 for a commit without statuses
            return None, headers
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise Away(f"{self.host} answers, but not in JSON", hint="look at [ci] url: it has to be the API's base") from None
        if etag := headers.get("ETag"):
            self._known[url] = (etag, document, headers)
        return document, headers

    def _fetch(self, url: str, extra: Mapping[str, str]) -> tuple[bytes, Mapping[str, str], bool]:
        headers = {"Accept": "application/json", "User-Agent": f"homelab/{__version__}", **extra, **self._secret}
        # `is_same_host` of urllib3 compares scheme, host and port: a redirect anywhere else loses what lets us in.
        again = urllib3.Retry(
            connect=0, read=0, status=0, other=0, redirect=3, respect_retry_after_header=False, raise_on_status=False,
            remove_headers_on_redirect=_SECRET,
        )  # fmt: skip
        timeout = urllib3.Timeout(connect=min(_CONNECT, self._patience), read=self._patience)

        def request() -> tuple[urllib3.BaseHTTPResponse, bytes]:
            answer = self._pool.request("GET", url, headers=headers, timeout=timeout, retries=again, preload_content=False)
            try:
                return answer, answer.read(_MOST)
            finally:
                answer.release_conn()

        try:
            answer, body = _within(self._patience, request)
        except (HTTPError, OSError) as error:
            raise Away(f"{self.host} does not answer ({_reason(error)})", hint=self._look()) from None
        if answer.status >= 400:
            self._refuse(answer.status, answer.headers)
        return body, answer.headers, answer.status == 304

    def _refuse(self, status: int, headers: Mapping[str, str]) -> None:
        wait = _retry_after(headers)
        if status == 429 or (status in (403, 503) and wait is not None):
            raise Throttled(f"{self.host} asks us to wait ({status})", wait or 30, hint="run it again in some minutes")
        if status in (401, 403):
            hint = "set HOMELAB_CI_TOKEN to a token that may read this repository's CI"
            raise Denied(f"{self.host} does not let us see its CI ({status})", hint=hint)
        if status in (404, 410, 422):
            raise Missing(
                f"{self.host} has no such repository or commit ({status}), or hides it from us",
                hint="look at [ci] url and repository; for a private one set HOMELAB_CI_TOKEN",
            )
        raise Away(f"{self.host} answers with {status}", hint=self._look())

    def _look(self) -> str:
        return f"look whether {self.url} answers, then run `homelab ci watch`"


def _within(seconds: float, ask: Callable[[], _T]) -> _T:
    """Return what `ask` returns, or raise what it raises; `TimeoutError` where that takes too long, and nobody waits for it."""
    found: list[_T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(ask())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError
    return found[0]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks us to wait, or None."""
    value = headers.get("Retry-After", "")
    if value.isdigit():
        return float(value)
    if value:
        from email.utils import parsedate_to_datetime

        try:
            return max(1.0, parsedate_to_datetime(value).timestamp() - time.time())
        except (ValueError, TypeError):
            return 30.0
    if headers.get("X-RateLimit-Remaining") == "0" and headers.get("X-RateLimit-Reset", "").isdigit():
        return max(1.0, int(headers["X-RateLimit-Reset"]) - time.time())
    return None


def _reason(error: BaseException) -> str:
    """Return why a request failed, in the words of the innermost error: urllib3's own name objects at addresses."""
    inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(inner, BaseException) and inner is not error:
        return _reason(inner)
    name = type(error).__name__.removesuffix("Error").lower()
    return _REASONS.get(name, name) or "no answer"


def _pool(url: str) -> urllib3.PoolManager:
    """Return connections to a host, through the proxy that the environment names for it."""
    parts = urlsplit(url)
    # `proxy_bypass` reads NO_PROXY; loopback never goes through a proxy, which would be another machine's loopback.
    proxy = None if is_loopback(url) or proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
    if not proxy:
        return urllib3.PoolManager(maxsize=2)
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    userinfo = urlsplit(proxy).netloc.rpartition("@")[0]
    secret = urllib3.make_headers(proxy_basic_auth=unquote(userinfo)) if userinfo else None
    return urllib3.ProxyManager(proxy, proxy_headers=secret, maxsize=2)
