"""A command that runs under claims: they are its own, live as long as it does, and outlive this process with it.

Invariant: from the first instruction of the command until its end, normal or not, the claims are held, whoever is killed;
after a signal or a kill until its last descendant is gone. `homelab.claims.keeper` does the keeping, and it is there before
the claims are: whoever is killed in between, it frees what was granted. See docs/adr/0022.
"""

import contextlib
import errno
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from homelab import output
from homelab.claims import heartbeat, locate, operations
from homelab.claims.model import Claim, Request
from homelab.claims.stores.base import HeartbeatStore, Store, Taken
from homelab.errors import Busy, Failed, HomelabError, Refused
from homelab.system import proc, process, signals

# Isolated, so that nothing of the folder we stand in is imported; where our own package is, we say ourselves.
_KEEPER = "import sys; sys.path.append(sys.argv.pop(1)); from homelab.claims.keeper import main; main()"
_ROOT = str(Path(__file__).parent.parent.parent)


class NotStarted(Failed):
    """The command could not be started; the exit code is a shell's."""

    def __init__(self, name: str, reason: str, code: int) -> None:
        super().__init__(f"cannot start {name}: {reason}", hint="nothing was started; check its name and PATH")
        self.exit_code = code

    @classmethod
    def by_system(cls, name: str, number: int | None) -> "NotStarted":
        """Return why the system starts no program that has been found."""
        if number == errno.ENOENT:
            return cls(name, "its interpreter is missing", 127)
        return cls(name, os.strerror(number or 0).lower(), 126)


class Command(NamedTuple):
    """What is to run, where, and with what besides our own environment."""

    argv: tuple[str, ...]
    cwd: Path | None = None
    #: Where the command's stdout goes; ours by default.
    stdout: int | None = None
    #: A lock that the command's tree holds, where it has no claim that does.
    lock_fd: int | None = None


def findable(command: Command) -> None:
    """Check that the command's program exists and may be run. Raises `NotStarted`."""
    name = command.argv[0]
    if "/" not in name:
        if shutil.which(name) is None:
            raise NotStarted(name, "it is not on PATH", 127)
        return
    path = (command.cwd or Path()) / name
    if not path.exists():
        raise NotStarted(name, "there is no such file", 127)
    if path.is_dir() or not os.access(path, os.X_OK):
        raise NotStarted(name, "it is not an executable file", 126)


def run(command: Command) -> int:
    """Run a command under no claim, and return its exit code."""
    _open_streams()
    with _Keeper(command, None, None) as keeper:
        return _Run(command, keeper, (), None).outcome()


def run_claimed(command: Command, store: Store, request: Request, wait: float | None) -> tuple[tuple[Claim, ...], int]:
    """Run a command under what is requested; return its claims and its exit code, 128 + n for a signal.

    The claims are free afterwards, or kept until the command's tree is gone. Raises `NotStarted`, `Busy`, `Refused` or
    `Unreachable`, and then nothing was started.
    """
    _open_streams()
    with _Keeper(command, request, store) as keeper:
        taken = _taken(keeper, request, store, wait)
        for claim in taken.new:
            output.say(f"{claim.label} is claimed, fence {claim.fence}")
        return taken.claims, _Run(command, keeper, taken.new, store).outcome()


def _taken(keeper: "_Keeper", request: Request, store: Store, wait: float | None) -> Taken:
    try:
        taken = operations.take(store, request._replace(keeper=proc.identify(keeper.pid)), wait)
    except (Busy, Refused):
        keeper.tell("done")  # nothing was granted; after any other failure only the store knows
        raise
    if not taken.new:
        store.let_go(request.id)
    return taken


def _signals() -> list[signal.Signals]:
    # Under nohup a hang-up stays ignored.
    return [s for s in signals.PASSED if s is not signal.SIGHUP or signal.getsignal(s) is not signal.SIG_IGN]


def _open_streams() -> None:
    """Open ``/dev/null`` for closed standard streams, so that no pipe of ours gets their numbers."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


class _Keeper:
    """The keeper's process, which waits for our word. If the block ends without one, it frees what was granted."""

    def __init__(self, command: Command, request: Request | None, store: Store | None) -> None:
        # If the keeper is killed, the command becomes our child.
        signals.be_subreaper()
        self._store, self._id = store, request.id if request else ""
        self._begun = False
        lock_fd = store.grasp(self._id) if store else command.lock_fd
        status, theirs = os.pipe()
        control, self._orders = os.pipe()
        task = {
            "cwd": command.cwd and str(command.cwd),
            "control": control,
            "status": theirs,
            "lock": lock_fd,
            "group": os.getpgrp(),
            "claim": self._id or None,
            "labels": request.labels if request else (),
            "patience": store.patience if isinstance(store, HeartbeatStore) else None,
        }
        argv = [sys.executable, "-I", "-c", _KEEPER, _ROOT, json.dumps(task), *command.argv]
        pass_fds = [theirs, control, *([] if lock_fd is None else [lock_fd])]
        # Blocked in the child from its first instruction: what ends us in the queue must not end it before it has heard.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signals.PASSED)
        try:
            self._process = process.start(
                argv, env=process.environment({}), stdin=None, stdout=command.stdout, pass_fds=pass_fds
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.pid = self._process.pid
        os.close(theirs)
        os.close(control)
        #: What the keeper says, a line each. It ends with the keeper.
        self.reports: IO[str] = os.fdopen(status)
        # Not among the arguments, which everybody can read: it may hold a password.
        self.tell(f"store {store.url if store else ''}")

    def __enter__(self) -> "_Keeper":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._orders)
        # Once the command may run, what goes wrong with us must not free its claim: the keeper has it.
        if self._store and not self._begun:
            self._store.let_go(self._id)

    def begin(self, fence: int | None, labels: Sequence[str]) -> None:
        """Let the command start, under these labels."""
        self._begun = True
        self.tell(f"go {fence or ''} {' '.join(labels)}")

    def tell(self, order: str) -> bool:
        """Send one order. Return whether the keeper is there to hear it."""
        try:
            os.write(self._orders, order.encode() + b"\n")
        except OSError:
            return False
        return True

    def collect(self) -> None:
        """Wait until the keeper's process is gone."""
        self._process.wait()


class _Run:
    def __init__(self, command: Command, keeper: _Keeper, new: tuple[Claim, ...], store: Store | None) -> None:
        self._command = command
        self._keeper = keeper
        self._store = store
        self._claim = new[0] if new else None
        self._labels = [claim.label for claim in new]
        self._child = 0
        self._signalled = False

    def outcome(self) -> int:
        # For good: from here on a signal is the command's, and after it there is nothing left to interrupt.
        signal.pthread_sigmask(signal.SIG_BLOCK, _signals())
        self._keeper.begin(self._claim.fence if self._claim else None, self._labels)
        threading.Thread(target=self._pass_signals_on, daemon=True).start()
        name, *words = self._listen() or self._without_the_keeper()
        if name == "failed":
            self._release()
            raise NotStarted.by_system(self._command.argv[0], int(words[0]))
        if words[1] == "0":
            self._release()
            self._keeper.tell("done")
        else:
            labels = ", ".join(self._labels)
            output.warn(f"{labels} stays held until all that the command has left behind is gone: `homelab claims` shows it")
        code = os.waitstatus_to_exitcode(int(words[0]))
        return code if code >= 0 else 128 - code

    def _listen(self) -> list[str]:
        """Return how the keeper says that the command ended; nothing when the keeper was killed."""
        for line in self._keeper.reports:
            words = line.split()
            if words[0] in ("ended", "failed"):
                return words
            if words[0] == "started":
                self._child = int(words[1])
            else:
                _warn_of_loss(line)
        return []

    def _without_the_keeper(self) -> list[str]:
        """Wait for the command ourselves; it is our child once the dead keeper has been collected."""
        self._keeper.collect()
        if not self._child:
            self._release()
            raise Failed("the keeper of the claim ended before it started the command", hint="run it again")
        if self._claim and isinstance(self._store, HeartbeatStore):
            connect, patience = partial(locate.reopen, self._store.url), self._store.patience
            heartbeat.Heart(connect, patience, self._claim.id, self._labels, _warn_of_loss).start()
        try:
            status = os.waitpid(self._child, 0)[1]
        except ChildProcessError:
            hint = "its claim is free; look at what it did before you run it again"
            raise Failed("the keeper of the claim was killed, and how the command ended is not known", hint=hint) from None
        with contextlib.suppress(ChildProcessError):
            while self._signalled:
                os.waitpid(-1, 0)
        return ["ended", str(status), "0"]

    def _pass_signals_on(self) -> None:
        wanted = _signals()
        while True:
            with contextlib.suppress(InterruptedError):
                number, sender = signals.next_signal(wanted)
                self._signalled = True
                if not self._keeper.tell(f"signal {number} {sender}"):
                    with contextlib.suppress(OSError):
                        os.kill(self._child, number)

    def _release(self) -> None:
        if self._store is None or self._claim is None:
            return
        try:
            lost = self._store.end(self._claim.id, self._labels)
        except HomelabError as error:
            # The command has ended, and its exit code counts; the claim goes with us, or when its heartbeat stays away.
            output.warn(f"the end of the claim could not be recorded: {error.message}")
            return
        for label in lost:
            output.warn(f"{label} was taken from this command while it ran: `homelab claims history {label}` says by whom")


def _warn_of_loss(line: str) -> None:
    """Say that the command runs on without its claim; to end it half-way would be worse."""
    why, *labels = line.split()
    reason = "others have it now" if why == "gone" else "the store has not answered for so long that others may have it"
    with contextlib.suppress(OSError):  # nobody listens any more
        output.warn(f"the claim on {', '.join(labels)} is lost, {reason}, and the command still runs")
