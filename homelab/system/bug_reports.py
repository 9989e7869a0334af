"""Files in which a fault of homelab itself is kept, so that it can be reported."""

import os
import tempfile
from pathlib import Path

from homelab.errors import HomelabError
from homelab.system import folders


def write(content: bytes) -> str | None:
    """Return the new file that holds a bug report, or None where nothing can be written. Never fails."""
    for folder in (folders.state, tempfile.gettempdir):
        # A name that nobody can know before, so that no link waits there in a folder that others can write.
        try:
            base = Path(folder())
            base.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd, name = tempfile.mkstemp(prefix="homelab-bug-", suffix=".log", dir=base)
            with os.fdopen(fd, "wb") as file:
                file.write(content)
            return name
        except (OSError, HomelabError):
            continue
    return None
