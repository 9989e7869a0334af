"""What is written is what git reads."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homelab.git.configuration import rendered

# git ends a value at NUL and cannot hold one; a subsection can hold no newline.
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NAMES = st.text(st.characters(exclude_characters="\0\n", exclude_categories=["Cs"]), min_size=1)


def read(path: Path) -> list[tuple[str, str]]:
    done = subprocess.run(["git", "config", "--file", path, "--null", "--list"], capture_output=True, check=True)
    rows = [row.partition("\n") for row in done.stdout.decode("utf-8", "surrogateescape").split("\0") if row]
    return [(name, value) for name, _, value in rows]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(name=NAMES, values=st.lists(VALUES, min_size=1, max_size=3), single=VALUES)
def test_git_reads_what_was_written(tmp_path: Path, name: str, values: list[str], single: str) -> None:
    rows = [*((f"remote.{name}.url", value) for value in values), ("core.editor", single)]
    (tmp_path / "config").write_bytes(rendered(rows))
    assert read(tmp_path / "config") == rows


@pytest.mark.parametrize("odd", ["caf\udce9", " lead", "trail ", "a#b;c", 'q"u\\o', "\r", "\\", "\n"])
def test_bytes_and_blanks_survive(tmp_path: Path, odd: str) -> None:
    (tmp_path / "config").write_bytes(rendered([("filter.x.clean", odd), ("filter.x.required", None), ("core.editor", odd)]))
    assert read(tmp_path / "config") == [("filter.x.clean", odd), ("filter.x.required", ""), ("core.editor", odd)]
