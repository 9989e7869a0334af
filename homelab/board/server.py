"""The page over HTTP, for browsers of this machine's user alone. It answers GET and HEAD, and nothing changes anything.

Other users of the machine and other sites in the same browser reach the port too. So: the address that is printed holds a
token, which becomes a cookie; the raw Host header has to be the printed one (a name that was rebound to 127.0.0.1 has its
own); and a browser that says a request comes from another site, another port of this machine included, is refused. The
standard library's server imports in half the time of the smallest framework, and one page needs no more. See docs/adr/0016.
"""

import contextlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from homelab.board import page
from homelab.board.state import State

_HOST = "127.0.0.1"
#: Seconds between two looks for one who listens, and the most that listen at a time.
_LOOK, _LISTENERS = 1.0, 32
_HEADERS = {
    "Content-Security-Policy": page.policy("'self'"),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class Server(ThreadingHTTPServer):
    """A server on a port of the loopback; raises OSError where the port is taken."""

    daemon_threads = True
    block_on_close = False  # ctrl-c ends it while pages are open

    def __init__(self, port: int, state: State) -> None:
        super().__init__((_HOST, port), _Request)
        self.state = state
        self.token, self.once, self._cookie = (secrets.token_urlsafe(32) for _ in range(3))
        self.listeners = 0

    @property
    def place(self) -> str:
        """What the Host header of a request has to be."""
        return f"{_HOST}:{self.server_port}"

    @property
    def address(self) -> str:
        """The address to open, with its token."""
        return f"http://{self.place}/?t={self.token}"

    @property
    def address_once(self) -> str:
        """An address that opens once: it stands in a browser's command line, where others can read it."""
        return f"http://{self.place}/?t={self.once}"

    def cookie(self) -> str:
        """Return the cookie that a right token becomes."""
        return f"{self._name}={self._cookie}; HttpOnly; SameSite=Strict; Path=/"

    def lets_in(self, token: str) -> bool:
        """Return whether a token is right; the one that opens once is used up by it."""
        if _same(token, self.once):
            self.once = secrets.token_urlsafe(32)
            return True
        return _same(token, self.token)

    def knows(self, header: str) -> bool:
        """Return whether the Cookie header of a request has our cookie."""
        with contextlib.suppress(CookieError):
            found = SimpleCookie(header).get(self._name)
            return found is not None and _same(found.value, self._cookie)
        return False

    @property
    def _name(self) -> str:
        # Cookies are shared by all ports of a host, so the name has the port.
        return f"homelab_board_{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that goes away in the middle of an answer is no fault."""


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


class _Request(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "homelab", ""
    protocol_version = "HTTP/1.1"
    timeout = 30
    _assets: ClassVar[Mapping[str, str]] = {"/board.css": "text/css", "/board.js": "text/javascript"}

    def do_GET(self) -> None:  # named by the standard library
        if (status := self._refused()) is not None:
            return self._answer(status)
        url = urlsplit(self.path)
        if url.path == "/" and "t" in (asked := parse_qs(url.query)):
            if not self.server.lets_in(asked["t"][0]):
                return self._answer(HTTPStatus.FORBIDDEN)
            return self._answer(HTTPStatus.SEE_OTHER, headers={"Location": "/", "Set-Cookie": self.server.cookie()})
        if not self.server.knows(self.headers.get("Cookie", "")):
            return self._answer(HTTPStatus.FORBIDDEN)
        return self._route(url.path)

    do_HEAD = do_GET  # noqa: N815

    def _route(self, path: str) -> None:
        if path == "/":
            shown = self.server.state.shown()
            return self._answer(HTTPStatus.OK, page.render(shown.page, claims_at=shown.claims_at), "text/html")
        if path == "/board.json":
            document = json.dumps(self.server.state.shown().document, indent=2)
            return self._answer(HTTPStatus.OK, document, "application/json")
        if path in self._assets:
            return self._answer(HTTPStatus.OK, page.asset(path[1:]).decode(), self._assets[path])
        if path == "/events":
            return self._events()
        return self._answer(HTTPStatus.NOT_FOUND)

    def _refused(self) -> HTTPStatus | None:
        if self.headers.get_all("Host") != [self.server.place]:
            return HTTPStatus.MISDIRECTED_REQUEST
        # A browser says where a request comes from; what is no browser says nothing.
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return HTTPStatus.FORBIDDEN
        return None

    def _answer(
        self, status: HTTPStatus, text: str = "", kind: str = "text/plain", headers: Mapping[str, str] | None = None
    ) -> None:
        content = (text or f"{status.phrase}\n").encode("utf-8", "backslashreplace")
        self.send_response(status)
        for name, value in {**_HEADERS, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        if status >= HTTPStatus.BAD_REQUEST:
            self.send_header("Connection", "close")  # a body that was not read would be taken for the next request
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _events(self) -> None:
        """Tell the page when the document has changed, until it goes away."""
        if self.server.listeners >= _LISTENERS:
            return self._answer(HTTPStatus.SERVICE_UNAVAILABLE)
        self.send_response(HTTPStatus.OK)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return None
        self.server.listeners += 1
        try:
            self._tell()
        except OSError:
            return None  # the page is closed
        finally:
            self.server.listeners -= 1

    def _tell(self) -> None:
        known = self.server.state.shown().digest
        while True:
            # A comment finds out whether somebody still listens.
            self.wfile.write(b": \n\n")
            time.sleep(_LOOK)
            if (digest := self.server.state.shown().digest) != known:
                known = digest
                self.wfile.write(b"event: changed\ndata: \n\n")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the standard library refuses in our form; a method that it does not know is not allowed."""
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            refused = self._refused()
            return self._answer(refused or HTTPStatus.METHOD_NOT_ALLOWED, headers=None if refused else {"Allow": "GET, HEAD"})
        self.command = getattr(self, "command", None) or "GET"
        return self._answer(status)

    def log_message(self, *args: Any) -> None:
        """Log nothing: a request line can hold the token."""
