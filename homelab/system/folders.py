"""Where this user's files are kept between runs: the cache, which may be deleted, and the state, which may not.

On Linux these are the folders of the XDG specification, on macOS those of its Library. A user without a home (a bare
number in a container) has none, which matters only to what needs a file there.
"""

import os
import shlex
import sys
from pathlib import Path

from homelab.errors import Unreachable


def cache() -> Path:
    """Return the folder for what can be made again. Raises `Unreachable` for a user without a home."""
    return _folder("user_cache_dir", "XDG_CACHE_HOME", ".cache")


def state() -> Path:
    """Return the folder for what has to last, such as claims. Raises `Unreachable` for a user without a home."""
    return _folder("user_state_dir", "XDG_STATE_HOME", ".local/state")


def _folder(which: str, variable: str, usual: str) -> Path:
    # Every command looks here, and the library takes as long as four of git's processes: it brings tempfile and random.
    named, home = Path(os.environ.get(variable, "")), Path(os.environ.get("HOME", ""))
    if named.is_absolute():
        return named / "homelab"
    if sys.platform == "linux" and home.is_absolute():
        return home / usual / "homelab"
    import platformdirs  # macOS, and a home that the password database alone knows

    try:
        return Path(str(getattr(platformdirs, which)("homelab")))
    except RuntimeError:  # neither HOME nor the password database knows a home
        raise Unreachable(
            "this user has no home folder, so homelab has no place for its files",
            hint=f"set HOME, or name a folder with `export {variable}=/PATH`",
        ) from None


def way_out() -> str:
    """Return the command that leads out of a working folder that was deleted, to what is left above it."""
    # The shell still knows how it was called.
    place = Path(os.environ.get("PWD") or "/")
    return f"cd {shlex.quote(str(next((folder for folder in place.parents if folder.is_dir()), Path('/'))))}"
