"""``claimed-stacks``: refuses a change to a stack that another session holds, saying who and why.

Started by pre-commit or prek, before a commit for what is staged, before a push for the ref that they tell of.
"""

import os
import sys

from homelab import output
from homelab.claims import stacks
from homelab.gate import updates
from homelab.git.repository import discover, require_pushed


def judge_change() -> None:
    """Let the commit or the push go on that changes no stack of another session. Raises `Refused`."""
    repository = discover(from_hook=True)
    told = updates.from_framework(os.environ)
    if told is None:
        stacks.require_free(repository, stacks.staged(repository), "the commit")
        return
    from homelab.gate.admission import Admission

    new = require_pushed(repository, told.source, "^{commit}")
    update = updates.moved(told.ref, os.environ.get("PRE_COMMIT_FROM_REF"), new)
    Admission.of_clone(repository, told.remote).require_free([update])


def main() -> None:
    """Run the program ``homelab-claimed-stacks``."""
    sys.exit(output.report(judge_change))


if __name__ == "__main__":
    main()
