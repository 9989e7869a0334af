"""What is shown of a log: the first error, the last lines, and how much is between."""

from pathlib import Path

import pytest

from homelab.verify.excerpt import excerpt

NOISE = [f"line {n}" for n in range(300)]


def shown(tmp_path: Path, rows: list[str]) -> list[str]:
    log = tmp_path / "log"
    log.write_bytes("\n".join(rows).encode(errors="surrogateescape") + b"\n")
    return excerpt(log).split("\n")


@pytest.mark.parametrize(
    "error", ["Error: Unsupported block", "\x1b[31mFAILED\x1b[0m tests/x.py", "E   assert 1", "panic: oh", "not ok 3 - dns"]
)
def test_the_first_error_and_the_end_are_shown_wherever_they_are(tmp_path: Path, error: str) -> None:
    plain = error.replace("\x1b[31m", "").replace("\x1b[0m", "")
    assert shown(tmp_path, [error, "on main.tf", "the end"]) == [plain, "on main.tf", "the end"]
    rows = shown(tmp_path, ["0 errors", *NOISE[:100], error, *NOISE, "the end"])
    assert rows[:2] == ["… 101 lines …", plain] and rows[-1] == "the end"
    assert len(rows) == 20 and rows[7] == "… 284 lines …"


def test_a_log_without_an_error_shows_its_end_and_a_huge_one_is_not_read_whole(tmp_path: Path) -> None:
    assert shown(tmp_path, NOISE)[0] == "… 288 lines …"
    rows = shown(tmp_path, ["Error: here", *(f"{n} {'x' * 500}" for n in range(3000)), "the end"])
    assert rows[0] == "Error: here" and any("bytes or more" in row for row in rows) and rows[-1] == "the end"
    assert max(map(len, rows)) <= 400


def test_any_bytes_are_text(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\xff\xfe\0error\r\nx\ry")
    assert excerpt(tmp_path / "log").endswith("error\nx\ny")
    (tmp_path / "log").write_bytes(b"")
    assert excerpt(tmp_path / "log") == ""
