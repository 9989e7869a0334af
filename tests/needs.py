"""Programs that some tests need. Without one they are skipped with the reason; under CI that is a failure."""

import os
import shutil

import pytest


def needs(program: str) -> pytest.MarkDecorator:
    """Skip where the program is missing, but never where CI says that everything is installed."""
    missing = shutil.which(program) is None
    if missing and os.environ.get("CI") == "true":
        raise RuntimeError(f"{program} is missing, and under CI no test is skipped for it")
    return pytest.mark.skipif(missing, reason=f"there is no {program} here")
