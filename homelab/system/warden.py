"""The process above one command: whatever becomes of the command or of us, nothing of its tree outlives the warden.

Started as a program of its own (`python -I -S warden.py GRACE LC_CTYPE COMMAND`). Its stdin is a pipe from whoever asked:
the pipe's end, also by the asker's SIGKILL, is the order to end the tree. Its stdout is a pipe back: `pid N`, `code N`,
`left N…`. Its stderr is the command's log. On Linux it is the subreaper of the tree, so daemons come back to it; elsewhere
it ends the command's process group, which is the best there is. It imports the standard library's minimum: it stands in
front of every suite.
"""

import contextlib
import os
import select
import signal
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36
#: A process that is still there this many seconds after the first SIGKILL (another user's, or stuck in the kernel) is left.
_PATIENCE = 10.0


def _adopt_orphans() -> bool:
    """Return whether every orphan of the tree becomes our child."""
    if sys.platform != "linux":
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def _start(command: str, locale: str) -> int:
    # A TERM that came before the exec would be swallowed by our own handlers.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        return child
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(2, 1)
        # Python, started in the C locale, sets LC_CTYPE for its children; the command gets what it was given.
        os.environ.pop("LC_CTYPE", None)
        if locale:
            os.environ["LC_CTYPE"] = locale[1:]
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execv("/bin/sh", ["/bin/sh", "-c", command])
    except OSError as error:
        os.write(2, f"/bin/sh: {error.strerror}\n".encode())
    finally:
        os._exit(127)


class _Bell:
    """Rings on a child's end and on a signal that asks us to end."""

    def __init__(self) -> None:
        self.ended = False
        self._inner, outer = os.pipe()
        for fd in (self._inner, outer):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(outer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, self._end)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _end(self, *_: object) -> None:
        self.ended = True

    def wait(self, seconds: float | None, *others: int) -> bool:
        """Return when something happened or the time is up; whether one of `others` can be read."""
        poll = select.poll()
        for fd in (self._inner, *others):
            poll.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(None if seconds is None else seconds * 1000)}
        if self._inner in ready:
            os.read(self._inner, 4096)
        return bool(ready & set(others))


def _reap() -> dict[int, int] | None:
    """Return the children that have ended, with their status; None when there is no child at all any more."""
    found: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found or None
        if pid == 0:
            return found
        found[pid] = status


def _watch(command: int, bell: _Bell) -> int | None:
    """Return the command's status, or None when we have to end it."""
    while True:
        status = (_reap() or {}).get(command)
        if status is not None or bell.ended:
            return status
        if bell.wait(None, 0) and not os.read(0, 4096):
            return None


def _parents() -> dict[int, int]:
    """Return every process with its parent, as /proc shows them; nothing where there is no /proc."""
    found: dict[int, int] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return found
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # The name stands in parentheses and may hold anything, a parenthesis too.
                    found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
    return found


def _descendants() -> list[int]:
    parents, found = _parents(), [os.getpid()]
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    for pid in found:
        found.extend(children.get(pid, ()))
    return found[1:]


def _children() -> list[int]:
    """Return our own children, by one read where the kernel offers that: a chain of forks outruns a walk."""
    me = os.getpid()
    try:
        with open(f"/proc/self/task/{me}/children", "rb") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return [pid for pid, parent in _parents().items() if parent == me]


def _send(pids: list[int], *numbers: int) -> None:
    for pid in pids:
        for number in numbers:
            try:
                os.kill(pid, number)
            except OSError:
                break


def _lives(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except OSError:
        return False
    return True


def _send_group(leader: int, *numbers: int) -> None:
    for number in numbers:
        try:
            os.killpg(leader, number)
        except OSError:
            return


class _Tree:
    """The command and all that came of it."""

    def __init__(self, command: int, adopting: bool) -> None:
        self.command = command
        self.ended: dict[int, int] = {}
        self._adopting = adopting

    def is_gone(self) -> bool:
        """Return whether nothing of it lives; what has ended is reaped."""
        while reaped := _reap():
            self.ended.update(reaped)
        return reaped is None and (self._adopting or not _lives(self.command))

    def end(self, grace: float, bell: _Bell) -> list[int]:
        """End all of it. Return what could not be ended."""
        if self.is_gone():
            return []
        _send(_descendants(), signal.SIGTERM, signal.SIGCONT)
        _send_group(self.command, signal.SIGTERM, signal.SIGCONT)
        limit = time.monotonic() + grace
        while (left := limit - time.monotonic()) > 0:
            bell.wait(min(left, 0.05))
            if self.is_gone():
                return []
        limit += _PATIENCE
        while time.monotonic() < limit:
            _send(_children(), signal.SIGKILL)
            _send_group(self.command, signal.SIGKILL)
            if self.is_gone():
                return []
            bell.wait(0.002)
        return _children() or [self.command]


def _tell(*words: object) -> None:
    with contextlib.suppress(OSError):  # whoever asked may have gone; the tree is ended all the same
        os.write(1, (" ".join(map(str, words)) + "\n").encode())


def main(grace: float, locale: str, command: str) -> None:
    """Run the command; afterwards nothing of its tree lives."""
    bell = _Bell()
    adopting = _adopt_orphans()
    tree = _Tree(_start(command, locale), adopting)
    _tell("pid", tree.command)
    status = _watch(tree.command, bell)
    if status is not None:
        _tell("code", os.waitstatus_to_exitcode(status))
    left = tree.end(grace, bell)
    if status is None and tree.command in tree.ended:
        _tell("code", os.waitstatus_to_exitcode(tree.ended[tree.command]))
    if left:
        _tell("left", *left)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2], sys.argv[3])
