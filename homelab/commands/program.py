"""What every command begins with, and the one that does without click: a prompt or a page asks where one stands all day.

click alone takes as long to import as all that a status reads.
"""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import NoReturn

from homelab import output
from homelab.commands.verbs import ALIASES, COMPLETE
from homelab.errors import Interrupted, Usage
from homelab.system import folders


def serve(argv: list[str]) -> int:
    """Run the command line and return its exit code."""
    # Known before anything is parsed, since wrong usage is answered in JSON too. What follows a stack is the runner's, and
    # what follows -- is a command's.
    end = argv.index("--") if "--" in argv else len(argv)
    own, rest = (argv[:1], argv[1:]) if argv[:1] == ["tf"] else (argv[:end], argv[end:])
    output.configure(quiet=not _QUIET.isdisjoint(own), as_json="--json" in own)
    argv = _spelt_out([word for word in own if word not in _QUIET]) + rest
    taken = [signum for signum in _ENDING if signal.getsignal(signum) is signal.SIG_DFL]
    for signum in taken:
        signal.signal(signum, _end)
    try:
        return output.report(lambda: _entry(argv))
    finally:
        for signum in taken:  # nobody is there any more to catch what they raise
            signal.signal(signum, signal.SIG_DFL)


def _entry(argv: list[str]) -> None:
    if instruction := os.environ.get(COMPLETE):
        from homelab.commands import completion

        completion.complete(instruction)
        return
    _begin(argv)
    if argv in (["status"], ["status", "--json"]):
        from homelab.overview import words

        words.show(as_json="--json" in argv)
        return
    from homelab.commands import app

    app.invoke(argv)


def _begin(argv: list[str]) -> None:
    """Do what every command does first. Raises `Usage` where the working folder is gone."""
    from homelab.claims.renewal import renew_own_leases
    from homelab.system import private

    renew_own_leases(argv)
    private.sweep()
    _require_folder(argv)
    if argv[:1] not in (["hooks"], ["doctor"]):  # they speak of it themselves
        from homelab.install.upkeep import look_after_gate

        look_after_gate()


def _end(signum: int, _: FrameType | None) -> NoReturn:
    raise Interrupted(signum)


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_QUIET = frozenset(("-q", "--quiet"))

#: What needs no folder to be in.
_ANYWHERE = frozenset(("--help", "-h", "agent-hook", "claim", "claims", "manifest", "release", "shell-init", "version"))


def _require_folder(argv: list[str]) -> None:
    """Refuse a command whose working folder has been deleted, as `work clean` in another shell does. Raises `Usage`."""
    if argv[:1] and argv[0] in _ANYWHERE:
        return
    try:
        Path.cwd()
    except OSError:
        command = folders.way_out()
        raise Usage("the folder you are in is gone", hint=f"`{command}`, then run it again", next=command) from None


def _spelt_out(argv: list[str]) -> list[str]:
    """Return the words with the name of a command in place of its alias; without any command it is `status`."""
    for alias, verb in ALIASES.items():
        if tuple(argv[: len(alias)]) == alias:
            return [*verb, *argv[len(alias) :]]
    return ["status", *argv] if argv in ([], ["--json"]) else argv
