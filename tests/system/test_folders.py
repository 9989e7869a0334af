"""Where files of a user are kept, and what becomes of a user without a home."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from homelab import output
from homelab.errors import Unreachable
from homelab.system import file_systems, files, folders, identity, private


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="the folders of Linux")
def test_the_folders_of_linux_are_those_of_the_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    for variable, asked, usual in (
        ("XDG_CACHE_HOME", folders.cache, "/home/ada/.cache/homelab"),
        ("XDG_STATE_HOME", folders.state, "/home/ada/.local/state/homelab"),
    ):
        for value, wanted in (("/x", "/x/homelab"), ("relative", usual), ("", usual), (None, usual)):
            monkeypatch.setenv(variable, value) if value is not None else monkeypatch.delenv(variable)
            assert asked() == Path(wanted), (variable, value)


def test_a_user_without_a_home_has_no_folder_and_still_gets_a_bug_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(_: int) -> pwd.struct_passwd:
        raise KeyError

    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for home in ("", None):
        monkeypatch.setenv("HOME", home) if home is not None else monkeypatch.delenv("HOME")
        for asked in (folders.cache, folders.state):
            with pytest.raises(Unreachable, match="no home"):
                asked()
    assert identity.user() == f"uid {os.getuid()}"

    def broken() -> None:
        raise ZeroDivisionError

    assert output.report(broken) == 70
    (report,) = tmp_path.glob("homelab-bug-*.log")
    assert "ZeroDivisionError" in report.read_text() and report.stat().st_mode & 0o777 == 0o600
    assert str(report) in capsys.readouterr().err


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_a_number_without_name_and_home_is_told_where_a_file_is_needed_and_only_there() -> None:
    program = Path(sys.executable).with_name("homelab")
    nobody = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", str(program)]

    def run(*args: str, **env: str) -> int:
        return subprocess.run(
            [*nobody, *args], cwd="/", env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, check=False
        ).returncode

    assert run("claims", "--json") == 7
    assert run("claims", "--json", HOME="") == 7
    assert run("claims", "--json", HOMELAB_CLAIMS="file:///nowhere") == 7  # not ours to make, which is another reason
    assert run("version") == 0 and run("manifest") == 0


def test_a_host_is_called_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMELAB_HOST", "nas")
    assert identity.host() == "nas"
    monkeypatch.setenv("HOMELAB_HOST", " ")
    assert identity.host() == os.uname().nodename


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="mounts as Linux shows them")
def test_file_systems_are_known_by_their_mount() -> None:
    assert file_systems.kind(Path("/proc/self")) == "proc"
    assert file_systems.untrusted(Path("/proc/self")) == ""


def test_a_folder_that_is_a_loop_of_links_is_said_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loop").symlink_to("loop")

    def entry() -> None:
        (tmp_path / "loop").resolve()
        raise RuntimeError(f"Symlink loop from '{tmp_path}/loop'")  # from Python 3.13 on it is resolved as far as it goes

    assert output.report(entry) == 1
    assert "symlink loop from" in capsys.readouterr().err


def test_a_private_folder_is_made_whoever_sweeps_and_swept_whatever_lies_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lock, base = files.lock, tmp_path / "homelab/private"

    def late(fd: int, *, blocking: bool) -> bool:
        monkeypatch.setattr(files, "lock", lock)
        private.sweep()
        return lock(fd, blocking=blocking)

    monkeypatch.setattr(files, "lock", late)
    with private.folder() as (made, _):
        private.sweep()
        assert made.is_dir() and made.with_suffix(".lock").exists()
    for name in ("a", "b", "c"):  # what kills have left, and a folder that nobody can lock
        (base / name).mkdir()
        (base / f"{name}.lock").mkdir() if name == "b" else (base / f"{name}.lock").touch()
    private.sweep()
    assert {path.name for path in base.iterdir()} == {"b", "b.lock"}
