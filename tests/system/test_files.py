"""Records read from files: what is no plain file, or holds a value that nothing can take, is none."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from homelab.system import files

HUGE = 10**400


@pytest.mark.parametrize(
    "value", ["\0", "\ud800", "\udfff", HUGE, -HUGE, float("inf"), float("nan"), None, True, [], {}], ids=repr
)
def test_what_no_path_program_or_clock_can_take_is_not_sound(value: Any) -> None:
    assert not files.is_sound(value, str) and (value is True or not files.is_sound(value, float | int))


def test_what_paths_and_clocks_take_is_sound() -> None:
    assert files.is_sound(os.fsdecode(b"a\xff"), str) and files.is_sound("é\n", str | None) and files.is_sound(None, str | None)
    assert files.is_sound(1.5, float | int) and files.is_sound(7, int)


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 200_000, b"1" * 5000, b'{"a": 7}', b'{"b": "x"}'])
def test_a_damaged_record_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert files.document(tmp_path / "x", {"a": str}) is None


def test_a_record_is_read_only_from_a_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    assert [files.parsed(tmp_path / name) for name in ("pipe", "device", "loop", "folder", "none")] == [None] * 5
    (tmp_path / "x").write_text(json.dumps({"a": "1"}))
    (tmp_path / "link").symlink_to("x")
    assert files.document(tmp_path / "link", {"a": str}) == {"a": "1"}
    assert files.content(tmp_path / "x", last=3) == b'1"}' and files.content(tmp_path / "x", last=99) == b'{"a": "1"}'


def test_a_lock_is_a_file_of_its_own(tmp_path: Path) -> None:
    # Two locks that lead to one file would wait for each other for ever.
    for name, place in (("a", "/dev/null"), ("b", "a"), ("c", "c")):
        (tmp_path / name).symlink_to(place)
        with pytest.raises(OSError, match="symbolic links"):
            files.hold(tmp_path / name)


def test_who_waits_for_a_lock_waits_for_no_stopped_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(files, "_PATIENCE", 0.0)
    path = tmp_path / "lock"
    other = subprocess.Popen(["flock", "--no-fork", path, "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None and other.stdout.readline()
        other.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, other.pid, os.WSTOPPED)
        with pytest.raises(OSError, match=f"process {other.pid} is stopped"), files.locked(path):
            pass
    finally:
        other.kill()
        other.communicate()
    with files.locked(path):
        pass
