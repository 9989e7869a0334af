"""``verified-push``: refuses a push of anything unverified to a protected branch.

Started as git's own pre-push (``--native``, the whole push on stdin), by pre-commit or prek (one ref in the environment),
or as a server's pre-receive (``--server``).
"""

import contextlib
import sys

from homelab import output
from homelab.errors import HomelabError, Refused
from homelab.gate import updates

_START_SECONDS = 5
_PART = "pre-commit and prek show a hook one ref of a push and no deletion"
#: What hooks start that are older than 0.2; setup.py gives the name an answer.
_FORMER = "hooks.verified_push"
_REPAIR = "`homelab hooks install` makes the gate see every push whole"


def judge_push(remote: str) -> None:
    """Let the push that git describes on stdin go on. Raises `Refused`."""
    pushed = updates.read(sys.stdin.buffer.read())
    if not pushed:
        return
    from homelab.gate import admission
    from homelab.git.repository import discover_pushed

    if _FORMER in sys.orig_argv:
        _renew_hook(received=False)
    admission.require_admitted(*discover_pushed(), remote, pushed)


def judge_received() -> None:
    """Let the server take the push that it is receiving. Raises `Refused`."""
    from homelab.gate import server
    from homelab.gate.admission import Admission
    from homelab.git.repository import discover

    pushed = updates.received(sys.stdin.buffer.read())
    if _FORMER in sys.orig_argv:
        _renew_hook(received=True)
    repository = discover(from_hook=True)
    server.share(repository)
    Admission.of_server(repository).admit(pushed)


def _renew_hook(*, received: bool) -> None:
    """Write the hook anew that started us by our former name; sh goes on reading the file that it opened."""
    from homelab.git.repository import discover
    from homelab.install import install, server

    with contextlib.suppress(HomelabError, OSError):  # judged all the same, and renewed by whoever may write there
        (server.renew_server if received else install.renew)(discover(from_hook=True))


def judge_told(*, whole: bool) -> None:
    """Let the one ref go on that the framework tells of. A clone without the whole gate is warned, or refused if `whole`."""
    import os

    from homelab.gate.admission import Admission
    from homelab.git.repository import discover
    from homelab.install import present

    repository = discover(from_hook=True)
    complete = present.status(repository).gate == "whole"
    if not complete:
        if whole:
            raise Refused(f"this clone does not have the whole gate, and {_PART}", hint=_REPAIR)
        output.warn(f"note: this clone has a part of the gate only: {_PART}")
        output.warn(f"hint: {_REPAIR}")
    told = updates.from_framework(os.environ)
    if told is None:
        output.say("no push to judge: this hook belongs to the stage pre-push")
        return
    gate = Admission.of_clone(repository, told.remote)
    branch = told.ref.removeprefix("refs/heads/")
    if branch != told.ref and gate.rules.protects(branch):
        # The whole gate has run before us in this push, so whatever it found green is remembered, and a red is not run twice.
        gate.admit([gate.told(told)], run=not complete)


def _lift_limit() -> None:
    """Take off the limit that our hooks start Python under (`install/updates.sh`): suites take their time."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if soft == _START_SECONDS:
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def main() -> None:
    """Run the program ``homelab-verified-push``."""
    args = sys.argv[1:]
    _lift_limit()
    try:
        if args[:1] == ["--native"]:
            judge_push(args[1] if len(args) > 1 else "")
        elif args[:1] == ["--server"]:
            judge_received()
        else:
            judge_told(whole="--whole" in args)
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(output.failed(error))


if __name__ == "__main__":
    main()
