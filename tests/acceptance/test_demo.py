"""The demonstration shows what is true: it checks every exit code itself."""

import subprocess

import pytest

from tests.support import ROOT
from tests.support.world import World

DEMO = ROOT / "docs" / "demo.sh"


@pytest.mark.slow
def test_the_demo_runs_to_its_end_and_leaves_nothing(world: World) -> None:
    temporary = world.root / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        ["sh", DEMO], env={**world.env, "TMPDIR": str(temporary)}, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.endswith("all of it happened as told\n")
    assert list(temporary.iterdir()) == []
