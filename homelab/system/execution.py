"""Becoming another program. Imports next to nothing, since it stands between a claim and its command."""

import errno
import os
from collections.abc import Mapping
from typing import NoReturn


def execute(argv: list[str], env: Mapping[str, str]) -> NoReturn:
    """Replace this process by `argv`; run a script without ``#!`` by ``sh``, as shells do. Raises `OSError`."""
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606
    except OSError as error:
        if error.errno != errno.ENOEXEC or "/" not in argv[0]:
            raise
        os.execve("/bin/sh", ["sh", *argv], env)  # noqa: S606
