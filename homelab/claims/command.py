"""A command that runs under claims: they are its own, live as long as it does, and outlive this process with it.

Invariant: from the first instruction of the command until its end, normal or not, the claims are held, whoever is killed;
after a signal or a kill until its last descendant is gone. `homelab.claims.keeper` does the keeping.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from homelab import output
from homelab.claims.stores.base import Store
from homelab.claims.stores.ledger import Taken
from homelab.errors import Failed, HomelabError
from homelab.system import proc, process, signals

# Isolated, so that nothing of the folder we stand in is imported; where our own package is, we say ourselves.
_KEEPER = "import sys; sys.path.append(sys.argv.pop(1)); from homelab.claims.keeper import main; main()"
_ROOT = str(Path(__file__).parent.parent.parent)


class NotStarted(Failed):
    """The command could not be started; the exit code is a shell's."""

    def __init__(self, name: str, reason: str, code: int) -> None:
        super().__init__(f"cannot start {name}: {reason}", hint="nothing was started; check its name and PATH")
        self.exit_code = code


@dataclass(frozen=True, slots=True)
class Command:
    """What is to run, where, and with what besides our own environment."""

    argv: tuple[str, ...]
    cwd: Path | None = None
    #: Where the command's stdout goes; ours by default.
    stdout: int | None = None


def findable(command: Command) -> None:
    """The command's program exists and may be run. Raises `NotStarted` before anything is claimed."""
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


def _signals() -> list[signal.Signals]:
    # Under nohup a hang-up stays ignored.
    return [s for s in signals.PASSED if s is not signal.SIGHUP or signal.getsignal(s) is not signal.SIG_IGN]


def run(command: Command, taken: Taken | None, store: Store | None) -> int:
    """Return the command's exit code, 128 + n for a signal; its claims are free, or kept until its tree is gone."""
    _open_streams()
    # For good: from here on a signal is the command's, and after it there is nothing left to interrupt.
    signal.pthread_sigmask(signal.SIG_BLOCK, _signals())
    return _Run(command, taken, store).outcome()


def _open_streams() -> None:
    """None of the three streams is closed, so that no pipe of ours gets its number."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


class _Run:
    def __init__(self, command: Command, taken: Taken | None, store: Store | None) -> None:
        self._command = command
        self._store = store
        new = taken.new if taken else ()
        self._claim = new[0] if new else None
        self._grip = taken.grip if taken else None
        self._labels = [claim.label for claim in new]
        self._orders = -1
        self._begun = False
        self._child = 0
        self._signalled = False

    def outcome(self) -> int:
        try:
            name, *words = self._through_the_keeper()
        except BaseException:
            # Once the command may run, what goes wrong with us must not free its claim: the keeper has it.
            if not self._begun:
                self._release()
            raise
        if name == "failed":
            self._release()
            number = int(words[0])
            raise NotStarted(self._command.argv[0], os.strerror(number).lower(), 127 if number == 2 else 126)
        if words[1] == "0":
            self._release()
            with contextlib.suppress(OSError):
                os.write(self._orders, b"done\n")
        else:
            labels = ", ".join(self._labels)
            output.warn(f"{labels} stays held until all that the command has left behind is gone: `homelab claims` shows it")
        code = os.waitstatus_to_exitcode(int(words[0]))
        return code if code >= 0 else 128 - code

    def _through_the_keeper(self) -> list[str]:
        """Return the words with which the keeper, or we in its place, say how the command ended."""
        # If the keeper is killed, the command becomes our child.
        signals.be_subreaper()
        status, theirs = os.pipe()
        control, self._orders = os.pipe()
        pass_fds = [theirs, control, *([] if self._grip is None else [self._grip])]
        argv = [sys.executable, "-I", "-c", _KEEPER, _ROOT, json.dumps(self._task(control, theirs)), *self._command.argv]
        started = process.start(argv, env=self._environment(), stdin=None, stdout=self._command.stdout, pass_fds=pass_fds)
        os.close(theirs)
        os.close(control)
        if self._store and self._claim:
            self._store.attach(self._claim.id, self._labels, proc.identify(started.pid))
        # Not among the arguments, which everybody can read: it may hold a password.
        self._begun = True
        os.write(self._orders, f"go {self._store.url if self._store else ''}\n".encode())
        threading.Thread(target=self._pass_signals_on, daemon=True).start()
        with os.fdopen(status) as reports:
            return self._listen(reports) or self._without_the_keeper(started.wait())

    def _environment(self) -> dict[str, str]:
        claim = self._claim
        return process.environment({"HOMELAB_CLAIM_ID": claim.id, "HOMELAB_CLAIM_FENCE": str(claim.fence)} if claim else {})

    def _task(self, control: int, status: int) -> dict[str, object]:
        return {
            "cwd": self._command.cwd and str(self._command.cwd),
            "control": control,
            "status": status,
            "grip": self._grip,
            "group": os.getpgrp(),
            "claim": self._claim and self._claim.id,
            "labels": self._labels,
            "beats": bool(self._claim and self._store and self._store.patience),
        }

    def _listen(self, reports: IO[str]) -> list[str]:
        """Return how the keeper says that the command ended; nothing when the keeper was killed."""
        for line in reports:
            words = line.split()
            if words[0] in ("ended", "failed"):
                return words
            if words[0] == "started":
                self._child = int(words[1])
            else:
                _warn_of_loss(line)
        return []

    def _without_the_keeper(self, _: int) -> list[str]:
        """Wait for the command ourselves; it is our child once the dead keeper has been collected."""
        if not self._child:
            raise Failed("the keeper of the claim ended before it started the command", hint="run it again")
        if self._store and self._claim and self._store.patience:
            from homelab.claims import heartbeat

            heartbeat.Heart(self._store.url, self._claim.id, self._labels, _warn_of_loss).start()
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
                try:
                    os.write(self._orders, b"signal %d %d\n" % (number, sender))
                except OSError:
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
