"""Signals on their way from whoever sends them to a claimed command: heard with their sender, and told from a group's.

Nothing here knows of claims. What hears and what passes on is `homelab.claims.command` and `homelab.claims.keeper`.
"""

import contextlib
import os
import signal
import sys
import threading
from typing import NoReturn

# Those of a terminal, and those that people send to end or to poke a program.
PASSED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]


def be_subreaper() -> bool:
    """Make orphaned descendants our children. Return whether the system can do that."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    # 36 is PR_SET_CHILD_SUBREAPER, since Linux 3.4.
    return bool(ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) == 0)


def next_signal(wanted: list[signal.Signals]) -> tuple[int, int]:
    """Return the next blocked signal that arrives, and who sent it: 0 for the kernel, or where the system does not say."""
    if not hasattr(signal, "sigwaitinfo"):
        return signal.sigwait(wanted), 0
    found = signal.sigwaitinfo(wanted)
    return found.si_signo, found.si_pid if found.si_code <= 0 else 0


def mute() -> None:
    """Detach from the caller's streams and folder: a reader of its pipe waits for all who could write into it."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    os.chdir("/")


class Sentinel:
    """A process that stays in homelab's process group and reports what the whole group is sent.

    The command is in that group too, so what the sentinel hears has reached the command already: a terminal's Ctrl-C, a
    `kill` of the group. The keeper itself is in a group of its own, where a SIGKILL of the group does not end it.
    """

    def __init__(self, forget: list[int]) -> None:
        self.reports, theirs = os.pipe()
        ours, self._life = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for fd in (self.reports, self._life, *forget):
                os.close(fd)
            self._watch(theirs, ours)
        os.close(theirs)
        os.close(ours)

    def _watch(self, reports: int, life: int) -> NoReturn:
        def leave_with_the_keeper() -> None:
            os.read(life, 1)
            os._exit(0)

        mute()
        threading.Thread(target=leave_with_the_keeper, daemon=True).start()
        while True:
            with contextlib.suppress(InterruptedError):
                os.write(reports, b"%d %d\n" % next_signal(PASSED))

    def end(self) -> None:
        """Let it leave: nobody asks any more."""
        os.close(self._life)
