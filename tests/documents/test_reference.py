"""The reference says what the program says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from homelab.commands.verbs import VERBS
from tests.support import ROOT

DOCS = ROOT / "docs"


def reference(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "reference.py", *args]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


def test_the_reference_is_current() -> None:
    done = reference(DOCS, "--check")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_stale_reference_is_seen_and_written_again(tmp_path: Path) -> None:
    shutil.copy(DOCS / "reference.py", tmp_path)
    (tmp_path / "reference.md").write_text("old\n")
    done = reference(tmp_path, "--check")
    assert done.returncode == 1
    assert "make docs" in done.stderr
    assert (tmp_path / "reference.md").read_text() == "old\n"
    assert reference(tmp_path).returncode == 0
    assert reference(tmp_path, "--check").returncode == 0


def test_every_variable_of_ours_stands_in_it() -> None:
    found = {
        name
        for folder in ("homelab", "hooks")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".sh", ".sql", ".html", ".js")
        for name in re.findall(r"(?<![A-Z_])HOMELAB_[A-Z_]+[A-Z]", path.read_text())
    }
    missing = {name for name in found if f"| `{name}` |" not in (DOCS / "reference.md").read_text()}
    assert len(found) >= 8 and not missing


def test_every_verb_stands_in_it() -> None:
    text = (DOCS / "reference.md").read_text()
    missing = [verb for verb in VERBS if "--" not in verb and f"### homelab {verb}\n" not in text]
    assert missing == []
