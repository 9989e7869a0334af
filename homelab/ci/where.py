"""Which system runs CI for a remote, at which address, for which repository: from `[ci]`, else from the remote's URL.

Nothing is asked here but one question to a host whose name says nothing, answered once for a clone.
"""

import os
import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from homelab.policy.config import Ci

#: Hosts that are known by name.
_HOSTS = {"github.com": "github", "gitlab.com": "gitlab", "codeberg.org": "forgejo", "gitea.com": "forgejo"}
#: GitHub lets ssh in on port 443 under other names.
_ALIASES = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}


class Place(NamedTuple):
    """A system, the API's base, and the repository there. Each is None where nothing tells it."""

    kind: str | None
    url: str | None
    repository: str | None

    @property
    def is_loopback(self) -> bool:
        """Return whether the address is this machine's own."""
        return self.url is not None and is_loopback(self.url)

    @property
    def api(self) -> str:
        """Return the address that every request's path is appended to."""
        url = self.url or ""
        if self.kind != "github":
            return url
        return "https://api.github.com" if self.host in ("github.com", "www.github.com") else f"{url}/api/v3"

    @property
    def host(self) -> str:
        """Return the address's host, with the port where it names one."""
        return urlsplit(self.url or "").netloc.rpartition("@")[2]


def is_loopback(url: str) -> bool:
    """Return whether an address is this machine's own, by its name: no resolver decides whether a token may go out in clear."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def of_remote(remote_url: str) -> Place:
    """Return the address and the repository that a remote's URL names; no kind where the host is not known by name."""
    found = _split(remote_url)
    if found is None:
        return Place(None, None, None)
    scheme, host, port, path = found
    host = _ALIASES.get(host, host)
    parts = [part for part in unquote(path).strip("/").removesuffix(".git").split("/") if part]
    if len(parts) < 2 or ".." in parts:
        return Place(None, None, None)
    address = f"{scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    return Place(_HOSTS.get(host), address, "/".join(parts))


def _split(url: str) -> tuple[str, str, int | None, str] | None:
    """Return the scheme of the API, host, port of the API and path, or None for a path and for what is no host's."""
    if "://" in url:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            return None
        if not host:
            return None
        if parts.scheme in ("http", "https"):
            return parts.scheme, host, port, parts.path
        if parts.scheme in ("ssh", "git", "git+ssh", "ssh+git"):  # the port is sshd's, and says nothing of the API's
            return "https", host, None, parts.path
        return None
    # scp-like: user@host:path, with no slash before the colon, as git itself reads it
    if found := re.fullmatch(r"(?:[^/@:]+@)?(\[[0-9A-Fa-f:]+\]|[^/:@]+):(?!/?/)?(.+)", url):
        return "https", found[1].strip("[]").lower(), None, found[2]
    return None


def place(ci: Ci, remote_url: str) -> Place:
    """Return where CI is: what `[ci]` says, and the rest from the remote's URL. The kind may still be open."""
    found = of_remote(remote_url)
    kind, url = ci.kind or found.kind, found.url
    if ci.url is not None:
        # People write down what they see in a request: the base is what stands in front of it.
        url = re.sub(r"/api(/v[134])?/*$", "", ci.url.rstrip("/")).replace("//api.github.com", "//github.com")
        kind = ci.kind or _HOSTS.get(urlsplit(url).hostname or "")
    elif kind == "woodpecker":  # it is never the forge's own address
        url = os.environ.get("WOODPECKER_SERVER", "").rstrip("/") or None
    return _shaped(Place(kind, url, ci.repository or found.repository), given=ci.repository is not None)


def with_kind(found: Place, kind: str | None) -> Place:
    """Return the place with a kind that was found out by asking."""
    return _shaped(found._replace(kind=kind), given=False)


def _shaped(found: Place, *, given: bool) -> Place:
    """Return the place with owner and name as the repository, where a forge has no groups: what is in front is a path."""
    if given or found.kind in (None, "gitlab") or found.repository is None or found.url is None:
        return found
    *prefix, owner, name = found.repository.split("/")
    base = found.url if found.kind == "woodpecker" else "/".join((found.url, *map(quote, prefix)))
    return found._replace(url=base, repository=f"{owner}/{name}")
