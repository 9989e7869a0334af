"""Every child process homelab starts.

Git tells its hooks where the repository is through ``GIT_DIR`` and its relatives, and a child that inherits them works on
*that* repository whatever its directory (docs/adr/0003). Children therefore get an environment without them; a suite gets
less still, an allow-list, since variables like ``SKIP`` or ``PYTEST_ADDOPTS`` turn red into green.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

from homelab.errors import Failed
from homelab.system import files
from homelab.system.execution import execute

#: The umask of what is started: the person's, where ours is another; -1, as `subprocess` has it, where it is the same.
_umask = -1

# What `git rev-parse --local-env-vars` names (git 2.39 to 2.55), but for the GIT_CONFIG_* that carry the user's `git -c`.
_LOCAL_VARIABLES = frozenset(
    f"GIT_{name}"
    for name in """
    ALTERNATE_OBJECT_DIRECTORIES CONFIG OBJECT_DIRECTORY DIR WORK_TREE IMPLICIT_WORK_TREE GRAFT_FILE INDEX_FILE
    NO_REPLACE_OBJECTS REPLACE_REF_BASE PREFIX SHALLOW_FILE COMMON_DIR INTERNAL_SUPER_PREFIX QUARANTINE_PATH
    NAMESPACE ATTR_SOURCE REFLOG_ACTION LITERAL_PATHSPECS GLOB_PATHSPECS NOGLOB_PATHSPECS ICASE_PATHSPECS
    """.split()
)

#: What a suite may see of the environment: these names, and what begins like one of those.
SUITE_VARIABLES = frozenset(
    """
    PATH HOME USER LOGNAME SHELL TMPDIR TMP TEMP TZ LANG LANGUAGE TERM COLORTERM NO_COLOR FORCE_COLOR COLUMNS
    LINES SSH_AUTH_SOCK SSH_AGENT_PID GPG_TTY GPG_AGENT_INFO DISPLAY DBUS_SESSION_BUS_ADDRESS LD_LIBRARY_PATH
    NIX_PATH HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy ftp_proxy all_proxy
    no_proxy SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS
    """.split()
)
SUITE_PREFIXES = ("LC_", "XDG_")

_ADVICE = (
    "hint:", "fatal: Could not read from remote repository", "Please make sure you have the correct access rights",
    "and the repository exists",
)  # fmt: skip


class Completed(NamedTuple):
    """How a child ended: its exit code (negative for a signal) and all it wrote."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def words(self) -> str:
        """The line on stderr that says why it failed: git's last ``fatal:`` or ``error:``, else the last that is no advice."""
        rows = [row.strip() for row in self.stderr.decode(errors="replace").splitlines()]
        rows = [row for row in rows if row and not row.startswith(_ADVICE)]
        # Behind its reason git may print what to do ("remove the file manually to continue."), which says nothing alone.
        reasons = [row for row in rows if row.startswith(("fatal:", "error:"))]
        return (reasons or rows or ["it said nothing"])[-1]


def environment(extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Return our environment without git's idea of where the repository is, and with `extra`; None takes a variable out."""
    kept = {name: value for name, value in os.environ.items() if name not in _LOCAL_VARIABLES}
    return kept if extra is None else _changed(kept, extra)


def _changed(env: Mapping[str, str], extra: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**env, **extra}.items() if value is not None}


def suite_environment(names: Iterable[str]) -> dict[str, str]:
    """Return what a suite may see: the allow-list, and the variables in `names` that are set."""
    wanted = set(names)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in SUITE_VARIABLES or name.startswith(SUITE_PREFIXES) or name in wanted
    }
    # pre-commit puts its hook's own environment in front; a suite would find our python instead of the user's.
    if (ours := os.environ.get("VIRTUAL_ENV")) and "PRE_COMMIT" in os.environ and "PATH" in kept:
        parts = kept["PATH"].split(os.pathsep)
        kept["PATH"] = os.pathsep.join(part for part in parts if part != f"{ours}/bin")
    return kept


def share_with_group() -> None:
    """Let the group read and write what this process makes from now on; what it starts keeps the person's umask."""
    global _umask
    before = os.umask(0o077)
    os.umask(before & ~0o070)
    _umask = before if _umask == -1 else _umask
    files.share(0o660)


def complete(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    extra: Mapping[str, str | None] | None = None,
    input: bytes = b"",
    timeout: float | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run `argv`, and return how it ended and what it wrote. It gets `env`, or our `environment`, and `extra`.

    Raises `Failed` when it cannot be started or outlives `timeout` seconds.
    """
    try:
        child = subprocess.run(
            [str(part) for part in argv],
            cwd=cwd,
            env=environment(extra) if env is None else _changed(env, extra or {}),
            input=input,
            capture_output=True,
            timeout=timeout,
            pass_fds=pass_fds,
            umask=_umask,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(
            f"{argv[0]} did not answer within {timeout:.0f} s", hint="look at the network, then run it again"
        ) from None
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        if cwd is not None and not cwd.is_dir():
            raise Failed(f"the folder {cwd} is gone", hint="`homelab work list` names those that are there") from None
        raise Failed(f"cannot start {argv[0]}: {error.strerror}", hint=f"install {argv[0]}, or look at PATH") from None
    return Completed(child.returncode, child.stdout, child.stderr)


Child = subprocess.Popen[bytes]


def start(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    extra: Mapping[str, str | None] | None = None,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    new_session: bool = False,
) -> Child:
    """Return a started child whose life the caller owns; it inherits `pass_fds` and nothing else."""
    return subprocess.Popen(
        [str(part) for part in argv],
        cwd=cwd,
        env=environment(extra) if env is None else _changed(env, extra or {}),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=new_session,
        umask=_umask,
    )


def narrate(argv: Sequence[str | Path], each: Callable[[str], None], *, cwd: Path, lasts: Callable[[float], None]) -> int:
    """Run `argv`, hand each line of its output to `each`, and return how it ended. An interruption ends its process group.

    `lasts` hears again and again for how long it has been going on. What it leaves running in the background may keep the pipe:
    the end of the command counts, not that of its output.
    """
    began = time.monotonic()
    child = start(argv, cwd=cwd, stdout=PIPE, stderr=STDOUT, new_session=True)
    assert child.stdout is not None
    try:
        rest = b""
        for part in _parts(child, child.stdout.fileno()):
            lasts(time.monotonic() - began)
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                each(line.decode(errors="replace"))
        if rest:
            each(rest.decode(errors="replace"))
        return child.wait()
    except BaseException:
        _end_group(child)
        raise
    finally:
        child.stdout.close()


def _parts(child: subprocess.Popen[bytes], fd: int) -> Iterator[bytes]:
    """Yield what a child writes as it comes, and nothing now and then while it is silent."""
    os.set_blocking(fd, False)
    while True:
        ended = child.poll() is not None
        ready, _, _ = select.select([fd], [], [], 0 if ended else 0.05)
        part = os.read(fd, 1 << 16) if ready else b""
        if ended and not part:
            return
        if ready and not part:  # it has closed its output and runs on
            child.wait()
        yield part


def _end_group(child: subprocess.Popen[bytes]) -> None:
    for signum, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)
            return


def become(argv: Sequence[str | Path], *, cwd: Path) -> NoReturn:
    """Replace this process by `argv`, with our terminal and the usual signals. Raises `OSError`."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # what nobody can read ends nothing
            stream.flush()
    # Python ignores these, and what is ignored stays so in the next program.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    if _umask != -1:
        os.umask(_umask)
    os.chdir(cwd)
    execute([str(part) for part in argv], environment())


PIPE = subprocess.PIPE
STDOUT = subprocess.STDOUT
DEVNULL = subprocess.DEVNULL
TimeoutExpired = subprocess.TimeoutExpired


def signal_name(number: int) -> str:
    """Return a signal's name, or its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
