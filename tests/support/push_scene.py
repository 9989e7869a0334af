"""A push to a real server in some state, and the register of all such cases."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from homelab.git.repository import discover
from homelab.landing import publish
from homelab.landing.push_result import Outcome, Pushed, Seen
from homelab.landing.target import Target
from tests.support.smart_http import Faults
from tests.support.world import World

OURS, SAME, THEIRS = "ours", "unchanged", "someone else's"


@dataclass
class Scene:
    """A clone whose branch has one commit more than the remote's master, to be pushed there."""

    world: World
    branch: str = "master"
    base: str | None = ""
    commit: str = ""
    http: Callable[[], tuple[str, Faults]] = field(default=lambda: ("", Faults()))

    @property
    def target(self) -> Target:
        """The branch as publishing sees it."""
        return Target(discover(self.world.clone), "origin", self.branch)

    def push(self) -> Pushed:
        """Push as publishing does."""
        return self.target.push(self.commit, self.target.ref, publish.lease(self.target, self.base))

    def git_push(self, *args: str) -> Pushed:
        """Push with other arguments than publishing's."""
        done = discover(self.world.clone).run("push", "--porcelain", *args)
        return Pushed(done.returncode, os.fsdecode(done.stdout), done.stderr.decode(errors="replace"))

    def plain(self, *args: str) -> Pushed:
        """Push without a lease."""
        return self.git_push(*args, "--", "origin", f"{self.commit}:refs/heads/{self.branch}")

    def seen(self) -> Seen:
        """Return what the remote answers."""
        return publish.look(self.target, self.commit, self.base)

    def hook(self, name: str, body: str) -> Pushed:
        """Push to a server with this hook."""
        self.world.server_hook(name, body)
        return self.push()

    def proc_receive(self, reason: str, *said: str) -> Pushed:
        """Push to a server that answers in the bracket and in the words of a forge."""
        forge(self.world, reason, *said, ref="refs/heads")
        return self.push()

    def config(self, name: str, value: str) -> Pushed:
        """Push to a server that is configured so."""
        self.world.git("config", name, value, cwd=self.world.remote)
        return self.push()

    def url(self, address: str) -> Pushed:
        """Push to another address."""
        self.world.git("remote", "set-url", "origin", address)
        return self.push()


_PROC_RECEIVE = '''
import sys
i, o = sys.stdin.buffer, sys.stdout.buffer
def read():
    size = int(i.read(4) or b"0", 16)
    return i.read(size - 4) if size else None
def send(text):
    o.write(b"%04x" % (len(text) + 4) + text)
while read(): pass
send(b"version=1\\n"); o.write(b"0000"); o.flush()
refs = []
while row := read(): refs.append(row.split()[2])
sys.stderr.write("""{said}\\n"""); sys.stderr.flush()
for ref in refs: send(b"ng " + ref + b" {reason}\\n")
o.write(b"0000"); o.flush()
'''


def forge(world: World, reason: str, *said: str, ref: str = "refs/heads/master") -> None:
    """The server answers a push to `ref` in a forge's bracket and words, and takes every other."""
    world.git("config", "receive.procReceiveRefs", ref, cwd=world.remote)
    script = world.root / "proc-receive.py"
    script.write_text(_PROC_RECEIVE.format(reason=reason, said="\n".join(said)))
    world.server_hook("proc-receive", f"exec python3 {script}")


Case = Callable[[Scene], Pushed]


CASES: dict[str, tuple[Outcome, str, Case]] = {}


def case(expected: Outcome, after: str = SAME) -> Callable[[Case], Case]:
    """Register a case, what it is to be judged as, and where the remote's branch is afterwards."""

    def register(function: Case) -> Case:
        CASES[function.__name__] = (expected, after, function)
        return function

    return register
