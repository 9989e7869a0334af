"""One command, its exit code, its output, and nothing of its tree left."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from homelab.errors import Failed
from homelab.system import files, logs, supervise
from tests.support.waiting import eventually

ENV = {"PATH": os.environ["PATH"]}


def run(command: str, tmp_path: Path, timeout: float = 30, **options: object) -> supervise.Ended:
    return supervise.run(command, cwd=tmp_path, env=ENV, log=tmp_path / "log", timeout=timeout, **options)  # type: ignore[arg-type]


def alive(marker: str) -> list[int]:
    """Return the processes that carry the marker in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            state = (folder / "stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        if any(marker.encode() in word for word in words) and state != b"Z" and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


@pytest.fixture
def nap() -> str:
    """A sleep whose length nobody else sleeps, to find it again."""
    return f"3600.{os.getpid()}{time.monotonic_ns() % 10**9}"


DAEMON = """
import os, signal, sys, time
{extra}
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 4096)
        os.execve("/bin/sleep", ["sleep", sys.argv[1]], {{}})
    os._exit(0)
os.wait()
"""


def daemon(tmp_path: Path, nap: str, extra: str = "") -> str:
    (tmp_path / "daemon.py").write_text(DAEMON.format(extra=extra))
    return f"{sys.executable} -I -S daemon.py {nap}"


@pytest.mark.parametrize(("command", "code"), [("true", 0), ("exit 7", 7), ("nothing-of-this-name", 127), ("kill -9 $$", -9)])
def test_the_exit_code_is_the_commands(tmp_path: Path, command: str, code: int) -> None:
    ended = run(command, tmp_path)
    assert (ended.code, ended.timed_out, ended.abandoned) == (code, False, False)


def test_both_outputs_are_in_the_log_and_an_older_log_is_gone(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("old\n" * 9)
    assert run("echo out; echo err >&2", tmp_path).code == 0
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_the_command_gets_exactly_the_given_environment_and_an_empty_stdin(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "A": "b c"}
    log = tmp_path / "log"
    supervise.run("cat; exec env", cwd=tmp_path, env=env, log=log, timeout=9)
    assert sorted(line for line in log.read_text().splitlines() if not line.startswith(("PWD=", "OLDPWD=", "_="))) == sorted(
        f"{name}={value}" for name, value in env.items()
    )


def test_signals_reach_the_command_as_if_it_were_the_first_process(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        run("cat /proc/self/status", tmp_path)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        signal.signal(signal.SIGINT, before)
    rows = dict(line.split(":\t", 1) for line in (tmp_path / "log").read_text().splitlines() if ":\t" in line)
    ours = ~(0b11 << 31)  # 32 and 33 are the C library's own, and no program can change them
    assert {int(rows[name], 16) & ours for name in ("SigBlk", "SigIgn", "SigCgt")} == {0}


def test_a_job_in_the_background_that_holds_stdout_delays_nothing_and_ends(tmp_path: Path, nap: str) -> None:
    ended = run(f"sleep {nap} & echo done", tmp_path)
    assert ended.code == 0
    assert ended.seconds < 5
    assert alive(nap) == []


def test_a_daemon_in_its_own_session_with_everything_closed_ends(tmp_path: Path, nap: str) -> None:
    assert run(daemon(tmp_path, nap), tmp_path).code == 0
    assert alive(nap) == []


def test_a_stopped_process_ends(tmp_path: Path, nap: str) -> None:
    assert run(f"sleep {nap} & kill -STOP $!", tmp_path).code == 0
    assert alive(nap) == []


def test_a_timeout_ends_the_tree(tmp_path: Path, nap: str) -> None:
    ended = run(f"sleep {nap}; true", tmp_path, timeout=0.3)
    assert (ended.code, ended.timed_out) == (None, True)
    assert alive(nap) == []


def test_an_abandoned_command_ends(tmp_path: Path, nap: str) -> None:
    ended = run(f"sleep {nap}; true", tmp_path, abandoned=lambda: bool(alive(nap)))
    assert (ended.code, ended.timed_out, ended.abandoned) == (None, False, True)
    assert alive(nap) == []


def test_an_exception_in_the_waiting_call_ends_the_tree_first(tmp_path: Path, nap: str) -> None:
    def refuse() -> bool:
        if alive(nap):
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        run(f"sleep {nap}; true", tmp_path, abandoned=refuse)
    assert alive(nap) == []


def test_a_signal_in_the_waiting_call_ends_the_tree_first(tmp_path: Path, nap: str) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.4)
    try:
        with pytest.raises(Stop):
            run(f"sleep {nap}; true", tmp_path)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert alive(nap) == []


def test_a_descriptor_that_is_kept_holds_its_lock_in_the_command(tmp_path: Path) -> None:
    fd = files.hold(tmp_path / "lock")
    assert fd is not None
    run(f"test -e /proc/self/fd/{fd} && echo kept", tmp_path, keep_fds=[fd])
    os.close(fd)
    assert (tmp_path / "log").read_text() == "kept\n"


def test_nothing_but_the_words_of_the_command_is_ever_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    os.mkfifo(log)
    with os.fdopen(os.open(log, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as written:
        assert supervise.run("echo said; exit 3", cwd=tmp_path, env=ENV, log=log, timeout=9).code == 3
        assert written.read(1 << 16) == b"said\n"


def test_a_log_on_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="/dev/full"):
        supervise.run("echo", cwd=tmp_path, env=ENV, log=Path("/dev/full"), timeout=9)


def test_a_log_that_has_no_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match="file/log"):
        supervise.run("echo", cwd=tmp_path, env=ENV, log=tmp_path / "file" / "log", timeout=9)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="missing"):
        supervise.run("echo", cwd=tmp_path / "missing", env=ENV, log=tmp_path / "log", timeout=9)


def test_thirty_megabytes_of_bytes_arrive(tmp_path: Path) -> None:
    assert run("head -c 30000000 /dev/urandom", tmp_path).code == 0
    assert (tmp_path / "log").stat().st_size == 30_000_000


ASKER = """
import sys
from pathlib import Path
from homelab.system import files, supervise
root = Path(sys.argv[1])
fd = files.hold(root / "lock")
supervise.run(sys.argv[2], cwd=root, env={"PATH": "/usr/bin:/bin"}, log=root / "log", timeout=60, keep_fds=[fd])
"""


def asker(tmp_path: Path, command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", ASKER, str(tmp_path), command])


def free(lock: Path) -> bool:
    fd = files.hold(lock)
    if fd is not None:
        os.close(fd)
    return fd is not None


@pytest.mark.slow
def test_when_we_are_killed_the_tree_ends_and_the_lock_is_free(tmp_path: Path, nap: str) -> None:
    with asker(tmp_path, f"{daemon(tmp_path, nap)}; sleep {nap}; true") as child:
        eventually(lambda: len(alive(f"{nap}")) >= 4)
        child.kill()
    eventually(lambda: not alive(nap))
    eventually(lambda: free(tmp_path / "lock"))


@pytest.mark.slow
def test_when_the_warden_is_killed_the_lock_lives_as_long_as_the_tree(tmp_path: Path, nap: str) -> None:
    with asker(tmp_path, f"sleep {nap}; true") as child:
        eventually(lambda: len(alive(nap)) >= 4)
        child.send_signal(signal.SIGSTOP)
        (warden,) = (pid for pid in alive(nap) if "warden.py" in name(pid))
        os.kill(warden, signal.SIGKILL)
        child.kill()
    assert not free(tmp_path / "lock")
    assert alive(nap)
    for pid in alive(nap):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: free(tmp_path / "lock"))


def name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.slow
def test_when_only_the_warden_is_killed_we_say_so_and_end_the_command(tmp_path: Path, nap: str) -> None:
    def kill() -> bool:
        for pid in alive(nap):
            if "warden.py" in name(pid) and len(alive(nap)) > 2:
                os.kill(pid, signal.SIGKILL)
        return False

    with pytest.raises(Failed, match="killed"):
        run(f"sleep {nap}; true", tmp_path, abandoned=kill)
    eventually(lambda: not alive(nap))


@pytest.mark.slow
def test_what_ignores_term_is_killed(tmp_path: Path, nap: str) -> None:
    command = (
        f"trap '' TERM; {daemon(tmp_path, nap)}; for i in 1 2 3 4 5 6 7 8; do sh -c \"sleep {nap}; :\" & done; sleep {nap}; :"
    )
    assert run(command, tmp_path, timeout=0.5).timed_out
    assert alive(nap) == []


@pytest.mark.slow
def test_a_chain_of_forks_is_caught(tmp_path: Path, nap: str) -> None:
    (tmp_path / "chain.py").write_text(
        "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "while True:\n    if os.fork():\n        os._exit(0)\n    os.setsid()\n"
    )
    assert run(f"{sys.executable} -I -S chain.py {nap}", tmp_path).code == 0
    assert alive(nap) == []


@pytest.mark.slow
def test_a_warden_inside_a_warden_ends_with_it(tmp_path: Path, nap: str) -> None:
    command = f"{sys.executable} -c '{ASKER}' {tmp_path} 'sleep {nap}; true'".replace('"log"', '"inner"')
    ended = run(command, tmp_path, abandoned=lambda: len(alive(nap)) > 5)
    assert ended.abandoned
    assert alive(nap) == []


@pytest.mark.slow
def test_a_terminals_ctrl_c_leaves_time_to_clean_up(tmp_path: Path, nap: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ASKER, str(tmp_path), f"sleep {nap}; true"], start_new_session=True, stderr=subprocess.DEVNULL
    ) as child:
        eventually(lambda: len(alive(nap)) >= 4)
        os.killpg(child.pid, signal.SIGINT)
        child.wait(20)
    assert alive(nap) == []


@pytest.mark.slow
def test_without_a_subreaper_the_process_group_ends(tmp_path: Path, nap: str) -> None:
    program = Path(supervise.__file__).with_name("warden.py")
    code = (
        f"import runpy, sys; sys.platform = 'darwin'; sys.argv[1:] = ['1', '', 'sleep {nap} & echo x'];"
        f"runpy.run_path({str(program)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], stdin=subprocess.PIPE, capture_output=True, timeout=20)
    assert b"code" in done.stdout
    assert alive(nap) == []


@pytest.mark.slow
def test_many_commands_at_a_time_each_end_alone(tmp_path: Path, nap: str) -> None:
    def one(number: int) -> int | None:
        ended = supervise.run(f"sleep {nap} & exit {number}", cwd=tmp_path, env=ENV, log=tmp_path / f"log{number}", timeout=30)
        return ended.code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(24))) == list(range(24))
    assert alive(nap) == []


def test_a_log_is_its_owners_alone_follows_no_link_and_keeps_head_and_tail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST", 3 << 20)
    monkeypatch.setattr(logs, "_TAIL", 1 << 20)
    folder = tmp_path / "new"
    ended = supervise.run(
        "echo first; head -c 20000000 /dev/zero | tr '\\0' x; sleep 1; echo last",
        cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, log=folder / "log", timeout=60,
    )  # fmt: skip
    content = (folder / "log").read_bytes()
    assert ended.code == 0 and content.startswith(b"first\n") and content.endswith(b"last\n")
    assert b"bytes are left out here" in content and len(content) <= logs.MOST + (1 << 20)
    assert (folder.stat().st_mode & 0o777, (folder / "log").stat().st_mode & 0o777) == (0o700, 0o600)
    (tmp_path / "precious").write_text("precious")
    (folder / "link").symlink_to(tmp_path / "precious")
    with pytest.raises(Failed, match="cannot be written"):
        supervise.run("echo x", cwd=tmp_path, env={}, log=folder / "link", timeout=60)
    assert (tmp_path / "precious").read_text() == "precious"
