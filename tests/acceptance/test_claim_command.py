"""Claims that a command holds: as long as it lives, and not a moment longer, whoever is killed."""

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.claimants import Claimants
from tests.support.waiting import eventually, is_alive
from tests.support.world import BIN

# Not a shell: bash loses a signal that comes while it forks.
COUNT = """
exec python3 -S -c '
import os, pathlib, signal, sys, time
seen = os.open("seen", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for name in ("INT", "TERM", "HUP", "QUIT"):
    signal.signal(getattr(signal, "SIG" + name), lambda *_, name=name: os.write(seen, name.encode() + b"\\n"))
pathlib.Path("ready").write_text(str(os.getpid()))
until = time.monotonic() + 30
while time.monotonic() < until and not os.path.exists("stop"):
    time.sleep(0.02)
os.write(seen, b"end\\n")
sys.exit(7)
'
"""


def seen(claimants: Claimants) -> list[str]:
    path = claimants.root / "seen"
    return path.read_text().split() if path.exists() else []


def ready(claimants: Claimants, name: str = "ready") -> int:
    path = claimants.root / name
    return int(eventually(lambda: path.exists() and path.read_text().strip()))


def test_the_command_has_its_claim_and_its_own_exit_code(claimants: Claimants) -> None:
    body = "homelab claims --json > during; env > env; echo out; exit 3"
    script = claimants.script("cmd", body)
    done = claimants.run("claim", "stack:a", "node:b", "--purpose", "x", "--", script, "--json")
    during = json.loads((claimants.root / "during").read_text())
    assert [claim["label"] for claim in during] == ["node:b", "stack:a"]
    assert {(claim["binding"], claim["state"], claim["expires_at"]) for claim in during} == {("process", "held", None)}
    assert (done.returncode, done.stdout) == (3, "out\n")
    env = dict(line.split("=", 1) for line in (claimants.root / "env").read_text().splitlines() if "=" in line)
    assert int(env["HOMELAB_CLAIM_FENCE"]) == during[0]["fence"] and env["HOMELAB_CLAIM_ID"]
    assert claimants.board() == []
    assert claimants.events("stack:a") == ["claimed", "released"]


def test_with_json_the_answer_is_one_document_and_the_command_speaks_on_stderr(claimants: Claimants) -> None:
    done = claimants.run("claim", "stack:a", "--purpose", "x", "--json", "--", "sh", "-c", "echo out; exit 3")
    assert json.loads(done.stdout)["exit_code"] == 3
    assert "out\n" in done.stderr and done.returncode == 3


def test_a_command_that_cannot_start_claims_nothing(claimants: Claimants) -> None:
    plain = claimants.root / "plain"
    plain.write_text("")
    assert claimants.run("claim", "stack:a", "--purpose", "x", "--", "no-such-program").returncode == 127
    assert claimants.run("claim", "stack:a", "--purpose", "x", "--", plain).returncode == 126
    broken = claimants.script("broken", "")
    broken.write_text("#!/no/such/interpreter\n")
    assert claimants.run("claim", "stack:a", "--purpose", "x", "--", broken).returncode == 127
    assert claimants.board() == []


@pytest.mark.slow
def test_nobody_else_gets_in_not_even_the_same_session(claimants: Claimants) -> None:
    claimants.start("claim", "stack:a", "--purpose", "x", "--", claimants.script("cmd", COUNT))
    ready(claimants)
    for session in ("a", "b"):
        assert claimants.run("claim", "stack:a", "--purpose", "y", session=session).returncode == 4
        assert claimants.run("claim", "stack:a", "--purpose", "y", "--", "touch", "ran", session=session).returncode == 4
        assert claimants.run("release", "stack:a", session=session).returncode == 3
    (event,) = json.loads(claimants.ok("claims", "history", "--json"))
    forged = {"HOMELAB_CLAIM_ID": event["id"]}
    assert claimants.run("claim", "stack:a", "--purpose", "y", env=forged).returncode == 4
    assert not (claimants.root / "ran").exists()
    assert claimants.held() == ["stack:a"]


def test_inside_the_command_the_claim_goes_through_and_stays(claimants: Claimants) -> None:
    inner = "homelab claim stack:a --purpose inner -- sh -c 'echo $HOMELAB_CLAIM_FENCE > inner'; homelab claims --json > after"
    mixed = "homelab claim node:b --purpose mixed -- homelab claim stack:a node:b --purpose deep -- touch deep"
    script = claimants.script("cmd", f'python3 -c \'import subprocess; subprocess.run(["sh", "-c", "{mixed}"])\'\n{inner}')
    done = claimants.run("claim", "stack:a", "--purpose", "outer", "--", script)
    assert done.returncode == 0, done.stderr
    (claim,) = json.loads((claimants.root / "after").read_text())
    assert claim["purpose"] == "outer" and int((claimants.root / "inner").read_text()) == claim["fence"]
    assert (claimants.root / "deep").exists()
    assert claimants.board() == []


@pytest.mark.slow
def test_a_command_runs_under_the_lease_of_its_session_and_leaves_it(claimants: Claimants) -> None:
    claimants.ok("claim", "stack:a", "--purpose", "lease")
    (lease,) = claimants.board()
    claimants.ok("claim", "stack:a", "--purpose", "run", "--", "sh", "-c", "homelab claims --json > during")
    during = json.loads((claimants.root / "during").read_text())
    assert sorted(claim["binding"] for claim in during) == ["lease", "process"]
    (after,) = claimants.board()
    assert (after["fence"], after["claimed_at"], after["purpose"]) == (lease["fence"], lease["claimed_at"], "lease")


@pytest.mark.slow
def test_a_daemon_left_by_a_normal_end_holds_nothing(claimants: Claimants) -> None:
    body = "setsid sleep 30 >/dev/null 2>&1 & echo $! > ready; sleep 0.1"
    claimants.ok("claim", "stack:a", "--purpose", "x", "--", claimants.script("cmd", body))
    assert is_alive(ready(claimants))
    assert claimants.board() == []
    claimants.ok("claim", "stack:a", "--purpose", "y", session="b")


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT"])
def test_a_signal_to_homelab_reaches_the_command_once_and_the_claim_waits_for_it(claimants: Claimants, name: str) -> None:
    child = claimants.start("claim", "stack:a", "--purpose", "x", "--", claimants.script("cmd", COUNT))
    ready(claimants)
    child.send_signal(getattr(signal, f"SIG{name}"))
    eventually(lambda: seen(claimants) == [name])
    assert claimants.held() == ["stack:a"] and child.poll() is None
    (claimants.root / "stop").touch()
    assert child.wait(10) == 7
    assert claimants.board() == []
    assert seen(claimants) == [name, "end"]


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_a_signal_to_the_whole_group_reaches_the_command_once(claimants: Claimants, name: str) -> None:
    child = claimants.start("claim", "stack:a", "--purpose", "x", "--", claimants.script("cmd", COUNT))
    ready(claimants)
    os.killpg(child.pid, getattr(signal, f"SIG{name}"))
    eventually(lambda: seen(claimants))
    time.sleep(0.3)
    os.killpg(child.pid, getattr(signal, f"SIG{name}"))
    time.sleep(0.3)
    (claimants.root / "stop").touch()
    assert child.wait(10) == 7
    assert seen(claimants) == [name, name, "end"]


def in_a_terminal(claimants: Claimants, *args: str | Path) -> tuple[int, int]:
    """Start the program as a terminal's only job; return its pid and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(claimants.root)
        os.execve(BIN / "homelab", ["homelab", *map(str, args)], claimants.env)
    return pid, terminal


def test_ctrl_c_in_a_terminal_reaches_the_command_once_each_time(claimants: Claimants) -> None:
    pid, terminal = in_a_terminal(claimants, "claim", "stack:a", "--purpose", "x", "--", claimants.script("cmd", COUNT))
    ready(claimants)
    os.write(terminal, b"\x03")
    eventually(lambda: seen(claimants) == ["INT"])
    time.sleep(0.3)
    assert seen(claimants) == ["INT"] and claimants.held() == ["stack:a"]
    os.write(terminal, b"\x03")
    eventually(lambda: seen(claimants) == ["INT", "INT"])
    (claimants.root / "stop").touch()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    os.close(terminal)
    assert seen(claimants) == ["INT", "INT", "end"] and claimants.board() == []


def test_the_command_reads_the_terminal(claimants: Claimants) -> None:
    body = "[ -t 0 ] && [ -t 1 ] && echo $$ > ready; read answer; echo $answer > seen"
    pid, terminal = in_a_terminal(claimants, "claim", "stack:a", "--purpose", "x", "--", claimants.script("cmd", body))
    ready(claimants)
    os.write(terminal, b"yes\n")
    assert os.waitpid(pid, 0)[1] == 0
    os.close(terminal)
    assert seen(claimants) == ["yes"]


def test_a_closed_terminal_hangs_the_command_up_and_the_claim_waits_for_it(claimants: Claimants) -> None:
    pid, terminal = in_a_terminal(claimants, "claim", "stack:a", "--purpose", "x", "--", claimants.script("cmd", COUNT))
    ready(claimants)
    os.close(terminal)
    eventually(lambda: "HUP" in seen(claimants))
    assert claimants.held() == ["stack:a"]
    (claimants.root / "stop").touch()
    os.waitpid(pid, 0)
    assert seen(claimants) == ["HUP", "end"] and claimants.board() == []


@pytest.mark.slow
def test_after_a_signal_the_claim_stays_until_the_last_descendant_is_gone(claimants: Claimants) -> None:
    body = 'python3 -c \'import subprocess as s; print(s.Popen(["sleep", "60"], start_new_session=True).pid)\' > left\n'
    script = claimants.script("cmd", f"{body} echo $$ > ready; exec sleep 30")
    child = claimants.start("claim", "stack:a", "--purpose", "x", "--", script)
    ready(claimants)
    left = ready(claimants, "left")
    child.terminate()
    assert child.wait(10) == 128 + 15
    assert claimants.held() == ["stack:a"]
    eventually(lambda: [claim["state"] for claim in claimants.board()] == ["orphaned"])
    os.kill(left, signal.SIGKILL)
    eventually(lambda: claimants.board() == [])
    assert claimants.events("stack:a") == ["claimed", "released"]


@pytest.mark.slow
def test_sigkill_of_homelab_leaves_an_orphan_that_names_its_processes_and_ends_with_them(claimants: Claimants) -> None:
    child = claimants.start("claim", "stack:a", "--purpose", "x", "--", claimants.script("cmd", COUNT))
    pid = ready(claimants)
    child.kill()
    child.wait()
    assert claimants.held() == ["stack:a"]
    eventually(lambda: [claim["state"] for claim in claimants.board()] == ["orphaned"])
    done = claimants.run("claim", "stack:a", "--purpose", "y", "--", "touch", "ran", session="b")
    assert done.returncode == 4 and str(pid) in done.stderr
    assert "orphaned" in claimants.ok("claims") and str(pid) in claimants.ok("claims")
    (claimants.root / "stop").touch()
    eventually(lambda: not is_alive(pid))
    eventually(lambda: claimants.board() == [], 1)
    assert seen(claimants) == ["end"] and not (claimants.root / "ran").exists()


def test_sigkill_of_the_whole_group_keeps_the_claim_for_a_daemon_that_closed_everything(claimants: Claimants) -> None:
    body = 'python3 -c \'import subprocess as s; print(s.Popen(["sleep", "60"], start_new_session=True).pid)\' > left\n'
    child = claimants.start("claim", "stack:a", "--purpose", "x", "--", claimants.script("cmd", f"{body} sleep 30"))
    left = ready(claimants, "left")
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert claimants.held() == ["stack:a"]
    eventually(lambda: [claim["state"] for claim in claimants.board()] == ["orphaned"])
    os.kill(left, signal.SIGKILL)
    eventually(lambda: claimants.board() == [])


def keeper_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_sigkill_of_the_keeper_changes_nothing(claimants: Claimants) -> None:
    child = claimants.start("claim", "stack:a", "--purpose", "x", "--", claimants.script("cmd", COUNT))
    ready(claimants)
    os.kill(keeper_of(child.pid), signal.SIGKILL)
    time.sleep(0.2)
    assert claimants.held() == ["stack:a"]
    child.terminate()
    eventually(lambda: seen(claimants) == ["TERM"])
    (claimants.root / "stop").touch()
    assert child.wait(10) == 7
    assert claimants.board() == []


def test_started_in_the_background_the_command_can_still_be_interrupted(claimants: Claimants) -> None:
    script = claimants.script("cmd", "echo $$ > ready; exec sleep 30")
    args = [str(BIN / "homelab"), "claim", "stack:a", "--purpose", "x", "--", str(script)]
    shell = subprocess.Popen(
        ["sh", "-c", '"$@" & echo $! > pid; wait $!', "sh", *args],
        cwd=claimants.root, env=claimants.env, process_group=0, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    claimants.started.append(shell)
    ready(claimants)
    os.kill(ready(claimants, "pid"), signal.SIGINT)
    assert shell.wait(10) == 130
    assert claimants.board() == []


@pytest.mark.slow
def test_stealing_from_a_running_command_wants_force_and_tells_the_victim(claimants: Claimants) -> None:
    script = claimants.script("cmd", COUNT)
    child = claimants.start("claim", "stack:a", "--purpose", "x", "--", script, stderr=subprocess.PIPE)
    pid = ready(claimants)
    refused = claimants.run("claims", "steal", "stack:a", "--reason", "stuck", session="b")
    assert refused.returncode == 3 and "--force" in refused.stderr
    done = claimants.run("claims", "steal", "stack:a", "--reason", "stuck", "--force", session="b")
    assert done.returncode == 0
    assert [claim["holder"]["session"] for claim in claimants.board()] == ["b"]
    (claimants.root / "stop").touch()
    eventually(lambda: seen(claimants) == ["end"])
    assert "history" in child.communicate()[1].decode()
    assert [claim["holder"]["session"] for claim in claimants.board()] == ["b"]
    assert pid and child.returncode == 7


@pytest.mark.slow
def test_two_commands_queue_for_one_label(claimants: Claimants) -> None:
    body = "mkdir busy || exit 9; sleep 0.3; rmdir busy"
    script = claimants.script("cmd", body)
    children = [
        claimants.start("claim", "stack:a", "--purpose", "x", "--wait", "30s", "--", script, session=name) for name in "abc"
    ]
    assert [child.wait(20) for child in children] == [0, 0, 0]
    assert claimants.board() == []


def test_a_closed_stdin_and_a_long_command_line_do_no_harm(claimants: Claimants) -> None:
    long = ["x" * 100_000, "y" * 100_000]
    script = claimants.script("cmd", "echo ${#1} ${#2} > seen")
    argv = [str(BIN / "homelab"), "-q", "claim", "stack:a", "--purpose", "x", "--", str(script), *long]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *argv], cwd=claimants.root, env=claimants.env, check=False)
    assert done.returncode == 0 and seen(claimants) == ["100000", "100000"]
    assert claimants.board() == []


def test_a_pipe_of_the_commands_ends_with_the_command(claimants: Claimants) -> None:
    body = 'python3 -c \'import subprocess as s; s.Popen(["sleep", "20"], start_new_session=True, stdout=2, stderr=s.DEVNULL)\''
    script = claimants.script("cmd", f"{body} 2>/dev/null; echo out; exec sleep 20")
    child = claimants.start("claim", "stack:a", "--purpose", "x", "--", script, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"out\n"
    child.terminate()
    assert child.communicate()[0] == b""
    assert claimants.held() == ["stack:a"]  # so the command's tree still ran when the pipe ended
