"""Programs that some tests need: without one they are skipped with the reason, and counted.

Under CI it is an error when one is missing that `.ci/run` installs.
"""

import os
import shutil

import pytest

_INSTALLED = ("chromium", "git-crypt", "git-lfs", "make", "npm")


def needs(program: str) -> pytest.MarkDecorator:
    """Skip where the program is missing."""
    missing = shutil.which(program) is None
    if missing and program in _INSTALLED and os.environ.get("CI") == "true":
        raise RuntimeError(f"{program} is missing, and under CI no test is skipped for it")
    return pytest.mark.skipif(missing, reason=f"there is no {program} here")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as two users")
