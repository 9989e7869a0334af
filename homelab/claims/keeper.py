"""The keeper: a small program that is the parent of a claimed command, and keeps the claim while the command's tree lives.

It is a subreaper, so every descendant becomes its child when its own parent ends, daemons included; it holds the claim's
lock, whatever homelab itself suffers; it passes signals on. It ends nothing: it waits. What a claim is, stands in
`homelab.claims`, which is imported only when there is something to say to a store.

It is started by `homelab.claims.command`, before the claim is taken, with a JSON argument, the command's own, and its
environment, and they talk in lines:
    from homelab   ``store URL`` where the claim will be; ``go FENCE LABEL…`` it is granted, start the command;
                   ``signal N PID`` pass it on; ``done`` the claim is released or was never granted, leave
    to homelab     ``started PID``; ``failed ERRNO``; ``ended STATUS KEPT`` (KEPT is 1 when we keep the claim further);
                   ``gone LABEL…`` they were given to others; ``silent LABEL…`` the store does not answer, they may be
"""

import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
from typing import Any, NoReturn

from homelab.system import signals
from homelab.system.execution import execute

# How long after homelab the sentinel may hear what was sent to the whole process group, in seconds.
_ECHO = 0.05
# How long a sender's signal to the group accounts for its signals to homelab alone: `timeout` sends both.
_SAME = 1.0


class Keeper:
    """One command, its tree, and the claim that lasts as long. `task` is what `homelab.claims.command` says."""

    def __init__(self, task: dict[str, Any], argv: list[str]) -> None:
        self.task = task
        self.argv = argv
        self.control: int = task["control"]
        self.child = 0
        self.ended = False
        self.signalled = False
        self.homelab = True
        self.labels: list[str] = []
        self.heart: Any = None
        #: What the group was sent, by signal and sender: when.
        self.heard: dict[tuple[int, int], float] = {}
        #: What homelab was sent: until when we listen for the sentinel, signal, sender.
        self.pending: list[tuple[float, int, int]] = []

    def run(self) -> None:
        """Run the command. Return when homelab has released the claim, or nobody of the command's tree is left."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signals.PASSED)
        for fd in (self.control, self.task["status"]):
            os.set_inheritable(fd, False)
        self.subreaper = signals.be_subreaper()
        self.store = _line(self.control).partition(" ")[2]
        if not self._granted():
            return
        lock = self.task["lock"]
        self.sentinel = signals.Sentinel([self.control, self.task["status"], *([] if lock is None else [lock])])
        self.wake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        if not self._start():
            return
        signals.mute()
        if self.task["patience"] and self.labels:
            threading.Thread(target=self._beat, daemon=True).start()
        if self._attend():
            self._outlast()

    def _granted(self) -> bool:
        """Wait for homelab's word; return whether there is a command to run. Without a word, free what was granted."""
        word, _, rest = _line(self.control).partition(" ")
        fence, *self.labels = rest.split(" ") if rest.strip() else [""]
        if word == "" and self.task["claim"]:
            self.labels = self.task["labels"]
            self._release()
        if fence:
            os.environ.update(HOMELAB_CLAIM_ID=self.task["claim"], HOMELAB_CLAIM_FENCE=fence)
        return word == "go"

    def _tell(self, line: str) -> None:
        with contextlib.suppress(OSError):  # homelab is gone, which the control pipe says too
            os.write(self.task["status"], line.encode() + b"\n")

    def _start(self) -> bool:
        """Start the command in homelab's process group, with its terminal; return whether it runs."""
        failure, theirs = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            self._become_the_command(theirs)
        os.close(theirs)
        wrong = os.read(failure, 16)
        os.close(failure)
        self._tell(f"failed {wrong.decode()}" if wrong else f"started {self.child}")
        return not wrong

    def _become_the_command(self, failure: int) -> NoReturn:
        task = self.task
        try:
            with contextlib.suppress(OSError):  # homelab is gone already, and its group with it
                os.setpgid(0, task["group"])
            # A shell without job control starts `homelab … &` with the first two ignored, and a child inherits that.
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            if task["cwd"] is not None:
                os.chdir(task["cwd"])
            execute(self.argv, os.environ)
        except OSError as error:
            os.write(failure, b"%d" % (error.errno or 1))
        finally:
            os._exit(127)

    def _beat(self) -> None:
        from functools import partial

        from homelab.claims import heartbeat, locate

        connect = partial(locate.reopen, self.store)
        self.heart = heartbeat.Heart(connect, self.task["patience"], self.task["claim"], self.labels, self._tell)
        if not self.homelab:
            self.heart.orphan(self._survivors)
        self.heart.run()

    def _survivors(self) -> list[int]:
        from homelab.system import proc

        return sorted(set(proc.descendants(os.getpid())) - {self.sentinel.pid})

    def _attend(self) -> bool:
        """Return whether the claim is ours to keep: homelab is gone, and did not release it."""
        watched = [self.sentinel.reports, self.wake, self.control]
        while self.homelab:
            ready, _, _ = select.select(watched, [], [], self._patience())
            if self.sentinel.reports in ready and not self._hear(_line(self.sentinel.reports)):
                watched.remove(self.sentinel.reports)
            if self.control in ready and not self._obey(_line(self.control)):
                return False
            self._pass_on()
            if self.wake in ready:
                os.read(self.wake, 512)
                self._reap()
        return True

    def _reap(self) -> None:
        """Collect the dead, and tell homelab when its command is among them."""
        status = None
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, found = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self.child:
                    status = found
        if status is not None:
            self.ended = True
            # Who dies of a signal has left things unfinished, and sometimes dies before the sentinel has spoken.
            self.signalled |= os.WIFSIGNALED(status)
            self._tell(f"ended {status} {int(self.signalled and self._has_survivors())}")

    def _has_survivors(self) -> bool:
        # Those whom the same signal ends need a moment.
        for pause in (0.0, 0.02, 0.05, 0.1, 0.2):
            time.sleep(pause)
            if not self._survivors():
                return False
        return True

    def _hear(self, line: str) -> bool:
        """Take note of what the sentinel says, return whether there is a sentinel."""
        if line:
            number, sender = map(int, line.split())
            self.heard[number, sender] = time.monotonic()
            self.signalled = True
        return line != ""

    def _obey(self, line: str) -> bool:
        """Do what homelab says, return whether there still is something to keep."""
        word, *rest = line.split() or [""]
        if word == "signal":
            self.signalled = True
            self.pending.append((time.monotonic() + _ECHO, int(rest[0]), int(rest[1])))
        self.homelab = word != ""
        return word != "done"

    def _patience(self) -> float | None:
        return max(0.0, min(due for due, _, _ in self.pending) - time.monotonic()) if self.pending else None

    def _pass_on(self) -> None:
        """Send the command what homelab was sent, once, but for what has reached it with its whole group."""
        for entry in list(self.pending):
            due, number, sender = entry
            reached = self._reached(number, sender)
            if reached or due <= time.monotonic():
                self.pending.remove(entry)
                if not reached and not self.ended:
                    with contextlib.suppress(PermissionError):  # of another user, as under sudo
                        os.kill(self.child, number)

    def _reached(self, number: int, sender: int) -> bool:
        if time.monotonic() - self.heard.get((number, sender), -_SAME) >= _SAME:
            return False
        try:
            return bool(os.getpgid(self.child) == self.task["group"])
        except OSError:
            return True

    def _outlast(self) -> None:
        """Wait until nobody of the tree is left, and release the claim."""
        if self.heart:
            self.heart.orphan(self._survivors)
        self.sentinel.end()
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
        if not self.subreaper:
            # Without subreapers those left behind are not ours to wait for; most stay in the group.
            with contextlib.suppress(OSError):
                while True:
                    os.killpg(self.task["group"], 0)
                    time.sleep(0.5)
        if self.heart:
            self.heart.stop()
        if self.labels:
            self._release()

    def _release(self) -> None:
        # The lock goes with us in any case, and whoever comes next finds the record without it.
        from homelab.claims import locate

        with contextlib.suppress(Exception):
            locate.open(self.store).end(self.task["claim"], self.labels)


def _line(fd: int) -> str:
    """Return one line, empty at the end; read byte by byte, since what follows it is for later."""
    text = b""
    while (byte := os.read(fd, 1)) not in (b"", b"\n"):
        text += byte
    return text.decode()


def main() -> None:
    """Run as the program that `homelab.claims.command` starts."""
    Keeper(json.loads(sys.argv[1]), sys.argv[2:]).run()
