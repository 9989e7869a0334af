"""Who runs this, and where: the user, this host, and names that nobody else will think of.

Identity is cooperative: it keeps honest people apart and stops no one who lies. Which session asks is decided by
`homelab.claims.identity`.
"""

import os
import pwd
from pathlib import Path


def user() -> str:
    """Return ``$USER``, else the name of the account, else its number."""
    if named := plain(os.environ.get("USER", "")).strip():
        return named
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number that nobody has named
        return f"uid {os.getuid()}"


def host() -> str:
    """Return ``$HOMELAB_HOST``, else this machine's name."""
    return plain(os.environ.get("HOMELAB_HOST", "")).strip() or os.uname().nodename


def machine() -> str:
    """Return what names this machine whatever its host name is; the host name where the system has nothing better."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            if text := Path(path).read_text("ascii").strip():
                return text
        except (OSError, ValueError):
            continue
    return host()


def plain(text: str) -> str:
    """Return `text` as JSON and every claim store can keep it: bytes that are not UTF-8 are replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def new_id() -> str:
    """Return a random name of 16 characters."""
    return os.urandom(8).hex()
