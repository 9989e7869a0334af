"""How short the ways through the program are, followed call by call: a count, so that it is the same on every machine.

Only functions of ours count, on the main thread, and nothing that runs while a module is imported. A stay is a maximal run
inside one module, by a call into it or by coming back to it; `up` are the stays that a return begins, `returns` those in a
module that was left before. This file is also the program that is followed: it starts the one that it is told to, and
writes down what was called.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.timing import Rows
    from tests.support.world import World

#: What stands inside a function is a part of it; so is a constructor, which of a dataclass has no file and never counted.
_INNER = frozenset("<listcomp> <setcomp> <dictcomp> <genexpr> <lambda> __init__".split())
#: What reads a file in the place of Python's own functions, which never counted either.
_READERS = frozenset("content parsed document is_sound".split())


@dataclass(frozen=True, slots=True)
class Way:
    """What ran from an entry to its end."""

    #: Each call and each return: whether it is a call, and the module that runs from then on.
    steps: tuple[tuple[bool, str], ...]
    #: The command line of each program that was started, and the functions that led to it, the outermost first.
    started: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return sum(is_call for is_call, _ in self.steps)

    @property
    def stays(self) -> list[str]:
        """The modules, one for each stay."""
        return [module for before, (_, module) in pairwise([(True, ""), *self.steps]) if before[1] != module]

    @property
    def returns(self) -> int:
        """How many stays are in a module that was left before."""
        return len(self.stays) - len(set(self.stays))

    @property
    def ups(self) -> int:
        """How many stays a return to the caller begins."""
        return sum(not after[0] and before[1] != after[1] for before, after in pairwise(self.steps))

    def stack(self, *words: str) -> tuple[str, ...]:
        """Return the functions that led to the first program whose command line has these words; the outermost first."""
        return next(stack for argv, stack in self.started if set(words) <= set(argv))


def follow(world: "World", program: str, *args: str | Path, input: bytes = b"") -> Way:
    """Return the way through a program of ours, ``homelab_hooks.verified_push`` or ``homelab.cli``; it has to end with 0."""
    out = world.root / "way.json"
    world.run(sys.executable, "-I", __file__, out, program, *args, input=input)
    found = json.loads(out.read_bytes())
    started = tuple((tuple(argv), tuple(stack)) for argv, stack in found["started"])
    return Way(tuple((is_call, module) for is_call, module in found["steps"]), started)


def push(world: "World", branch: str) -> Way:
    """Return the way of a push of one new commit, verified, as git starts our hook."""
    old = world.git("rev-parse", "origin/master")
    world.git("commit", "--quiet", "--allow-empty", "-m", "next")
    world.homelab("verify", check=True)
    new = world.git("rev-parse", "HEAD")
    line = f"refs/heads/{branch} {new} refs/heads/{branch} {old}\n".encode()
    return follow(world, "homelab_hooks.verified_push", "--native", "origin", "url", input=line)


def land(world: "World") -> Way:
    """Return the way of a landing of one verified commit."""
    world.git("switch", "--quiet", "--create", "topic")
    world.commit({"x": "1"})
    world.homelab("verify", check=True)
    return follow(world, "homelab.cli", "work", "land", "--json")


def measure(root: Path, quick: bool) -> "list[Rows]":
    """Return the table of this part."""
    from bench import repositories as make
    from bench.timing import Rows

    world = make.gate(make.plain(root / "world"))
    found = {
        "a push of another ref": push(world, "feature"),
        "a verified push to the target": push(world, "master"),
        "a landing of what is verified": land(world),
        "a claim": follow(world, "homelab.cli", "claim", "stack:dns", "--purpose", "measure"),
    }
    note = "Followed, not timed. A landing and a claim with all that click calls of ours; a program is one that was started."
    table = Rows("The ways through the program", note, ("", "calls", "stays", "modules", "returns", "up", "programs"))
    for name, way in found.items():
        modules = len(set(way.stays))
        table.rows.append((name, way.calls, len(way.stays), modules, way.returns, way.ups, len(way.started)))
    return [table]


class _Trace:
    """Notes what runs."""

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders
        self._places: dict[str, str | None] = {}
        self._importing = 0
        self.steps: list[tuple[bool, str]] = []
        self.started: list[tuple[list[str], list[str]]] = []

    def _own(self, frame: FrameType) -> str | None:
        """Return the module of a function of ours, or None."""
        name = frame.f_code.co_filename
        if name not in self._places:
            path = Path(name).resolve().as_posix()
            found = (
                (path.removeprefix(folder), package) for folder, package in self._folders.items() if path.startswith(folder)
            )
            self._places[name] = next((package + rest.removesuffix(".py").replace("/", ".") for rest, package in found), None)
        module, function = self._places[name], frame.f_code.co_name
        return None if function in _INNER or (module == "homelab.system.files" and function in _READERS) else module

    def _caller(self, frame: FrameType) -> FrameType | None:
        caller = frame.f_back
        while caller is not None and self._own(caller) is None:
            caller = caller.f_back
        return caller

    def profile(self, frame: FrameType, event: str, _: object) -> None:
        """Note a call or a return; `sys.setprofile` calls it."""
        if event not in ("call", "return"):
            return
        if frame.f_code.co_name == "<module>":
            self._importing += 1 if event == "call" else -1
        elif not self._importing and (module := self._own(frame)):
            if event == "call":
                self.steps.append((True, module))
            elif (caller := self._caller(frame)) and (above := self._own(caller)):
                self.steps.append((False, above))

    def audit(self, event: str, details: tuple[Any, ...]) -> None:
        """Note a program that is started; `sys.addaudithook` calls it."""
        if event == "subprocess.Popen":
            stack = []
            frame: FrameType | None = sys._getframe(1)
            while frame := self._caller(frame) if frame else None:
                stack.append(f"{self._own(frame)}.{frame.f_code.co_name}")
            self.started.append(([str(word) for word in details[1]], stack[::-1]))


def _start(out: str, program: str, args: Sequence[str]) -> None:
    """Start a program of ours and write down its way."""
    import importlib

    entry = importlib.import_module(program).main
    packages = (sys.modules[name] for name in ("homelab", program.partition(".")[0]))
    trace = _Trace({f"{Path(str(each.__file__)).resolve().parent}/": f"{each.__name__}." for each in packages})
    sys.argv = [program, *args]
    sys.addaudithook(trace.audit)
    sys.setprofile(trace.profile)
    try:
        entry()
    finally:  # the entry ends with SystemExit
        sys.setprofile(None)
        Path(out).write_text(json.dumps({"steps": trace.steps, "started": trace.started}))


if __name__ == "__main__":
    _start(sys.argv[1], sys.argv[2], sys.argv[3:])
