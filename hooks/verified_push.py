"""``verified-push``: refuses a push of anything unverified to a protected branch.

Started as git's own pre-push (``--native``, the whole push on stdin), by pre-commit or prek (one ref in the environment),
or as a server's pre-receive (``--server``).
"""

import contextlib
import sys

from homelab import output
from homelab.errors import HomelabError, Refused
from homelab.gate import updates as push

_PART = "pre-commit and prek show a hook one ref of a push and no deletion"
#: What hooks start that are older than 0.2; setup.py gives the name an answer.
_FORMER = "hooks.verified_push"
_REPAIR = "`homelab hooks install` makes the gate see every push whole"


def native(remote: str) -> None:
    """The push that git describes on stdin may go on. Raises `Refused`."""
    updates = push.read(sys.stdin.buffer.read())
    if not updates:
        return
    from homelab.gate import admission
    from homelab.git import repository as git

    if _FORMER in sys.orig_argv:
        _renew(received=False)
    admission.admit(admission.open_door(git.discover(from_hook=True), remote), updates)


def server() -> None:
    """The push that a server is receiving may be accepted. Raises `Refused`."""
    from homelab.gate import admission
    from homelab.git import repository as git

    updates = push.received(sys.stdin.buffer.read())
    if _FORMER in sys.orig_argv:
        _renew(received=True)
    admission.admit(admission.open_server_door(git.discover(from_hook=True)), updates)


def _renew(*, received: bool) -> None:
    """Write the hook anew that started us by our former name; sh goes on reading the file that it opened."""
    from homelab.git import repository as git
    from homelab.install import install

    with contextlib.suppress(HomelabError, OSError):  # judged all the same, and renewed by whoever may write there
        (install.renew_server if received else install.renew)(git.discover(from_hook=True))


def framework(*, whole: bool) -> None:
    """The one ref that the framework tells of may go on; a clone without the whole gate is told, or refused if `whole`."""
    import os

    from homelab.gate import admission
    from homelab.git import repository as git
    from homelab.install import install

    repository = git.discover(from_hook=True)
    complete = install.status(repository).gate == "whole"
    if not complete:
        if whole:
            raise Refused(f"this clone does not have the whole gate, and {_PART}", hint=_REPAIR)
        output.warn(f"note: this clone has a part of the gate only: {_PART}")
        output.warn(f"hint: {_REPAIR}")
    told = push.from_framework(os.environ)
    if told is None:
        output.say("no push to judge: this hook belongs to the stage pre-push")
        return
    door = admission.open_door(repository, told.remote)
    branch = told.ref.removeprefix("refs/heads/")
    if told.ref.startswith("refs/heads/") and door.aim.protects(branch):
        # The whole gate has run before us in this push, so whatever it found green is remembered, and a red is not run twice.
        admission.admit(door, [admission.framework_update(repository, told)], run=not complete)


def main() -> None:
    """The program ``homelab-verified-push``."""
    args = sys.argv[1:]

    def entry() -> None:
        if args[:1] == ["--native"]:
            native(args[1] if len(args) > 1 else "")
        elif args[:1] == ["--server"]:
            server()
        else:
            framework(whole="--whole" in args)

    sys.exit(output.report(entry))


if __name__ == "__main__":
    main()
