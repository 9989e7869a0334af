"""What lets us in: found where people keep it, turned into a header, shown to nobody.

The first that is there counts: our own variable, the system's, git's credential helpers, ``~/.netrc``, ``gh`` or ``glab``.
Nothing here asks a person, and no argument of a program carries a token.
"""

import base64
import os
import shutil
from collections.abc import Mapping
from urllib.parse import urlsplit

from homelab.ci.where import Place
from homelab.errors import Failed
from homelab.git.repository import Repository
from homelab.system import process

OURS = "HOMELAB_CI_TOKEN"
#: The variables of each system's own tools, in the order in which these read them.
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "woodpecker": ("WOODPECKER_TOKEN",),
    "github": ("GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"),
    "gitlab": ("GITLAB_TOKEN", "GITLAB_ACCESS_TOKEN"),
    "forgejo": ("FORGEJO_TOKEN", "GITEA_TOKEN"),
}
#: What a helper may not do: ask on the terminal, or open a window (git, Git Credential Manager).
_NO_PROMPT = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": "", "GCM_INTERACTIVE": "never"}


def secret(repository: Repository, place: Place) -> dict[str, str]:
    """Return the headers that let us into a place; none where nothing is found, since public repositories answer anybody."""
    kind, host = place.kind or "", place.host
    for name in (OURS, *VARIABLES.get(kind, ())):
        if value := os.environ.get(name, "").strip():
            return _header(kind, value)
    user, password = _from_git(repository, place) or _from_netrc(host) or ("", "")
    if not password and (token := _from_tool(kind, host)):
        return _header(kind, token)
    if not password:
        return {}
    # Forges take a user's password or token as Basic; the other two know tokens alone.
    if kind in ("forgejo", "github") and user:
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    return _header(kind, password)


def _header(kind: str, token: str) -> dict[str, str]:
    return {"Authorization": f"{'token' if kind == 'forgejo' else 'Bearer'} {token}"}


def _from_git(repository: Repository, place: Place) -> tuple[str, str] | None:
    """Return what git's own helpers know of the host, without a prompt."""
    parts = urlsplit(place.url or "")
    question = f"protocol={parts.scheme}\nhost={place.host}\npath={place.repository or ''}\n\n".encode()
    try:
        done = repository.run("credential", "fill", input=question, env=_NO_PROMPT, timeout=20)
    except Failed:  # a helper that waits for somebody
        return None
    if done.returncode:
        return None
    rows = dict(row.split("=", 1) for row in done.stdout.decode(errors="replace").splitlines() if "=" in row)
    return (rows.get("username", ""), rows["password"]) if rows.get("password") else None


def _from_netrc(host: str) -> tuple[str, str] | None:
    import netrc

    try:
        found = netrc.netrc().authenticators(host.partition(":")[0])
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0] or "", found[2]) if found and found[2] else None


def _from_tool(kind: str, host: str) -> str | None:
    argv = {
        "github": ("gh", "auth", "token", "--hostname", host),
        "gitlab": ("glab", "config", "get", "token", "--host", host),
    }.get(kind)
    if argv is None or shutil.which(argv[0]) is None:
        return None
    try:
        done = process.complete(argv, timeout=10)
    except Failed:
        return None
    return done.stdout.decode(errors="replace").strip() or None if done.returncode == 0 else None
