"""``git-crypt-sealed``: refuses plaintext on a path that ``.gitattributes`` give to git-crypt.

In the stage pre-commit it looks at what is staged, in pre-push at every commit that the push brings.
"""

import os
import sys

from homelab import output
from homelab.gate import updates
from homelab.git.repository import discover, require_pushed
from homelab.gitcrypt import plaintext


def judge_commit() -> None:
    """Let a commit go on that brings no plaintext on a path of git-crypt. Raises `Refused`."""
    plaintext.require_staged(discover(from_hook=True), os.environ.get("GIT_INDEX_FILE"))


def judge_push(told: updates.Framework) -> None:
    """Let a push go on that brings no plaintext on a path of git-crypt. Raises `Refused`."""
    repository = discover(from_hook=True)
    plaintext.require_pushed(repository, [require_pushed(repository, told.source)], remote=told.remote)


def main() -> None:
    """Run the program ``homelab-git-crypt-sealed``."""

    def entry() -> None:
        told = updates.from_framework(os.environ)
        if told is None:
            judge_commit()
        else:
            judge_push(told)

    sys.exit(output.report(entry))


if __name__ == "__main__":
    main()
