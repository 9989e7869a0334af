"""``git-crypt-sealed``: refuses plaintext on a path that ``.gitattributes`` give to git-crypt.

In the stage pre-commit it looks at what is staged, in pre-push at every commit that the push brings.
"""

import os
import sys

from homelab import output
from homelab.gate import updates
from homelab.git import repository as git
from homelab.gitcrypt import plaintext


def staged() -> None:
    """Nothing plain is staged on a path of git-crypt. Raises `Refused`."""
    plaintext.require_staged(git.discover(from_hook=True), os.environ.get("GIT_INDEX_FILE"))


def pushed(told: updates.Framework) -> None:
    """Nothing plain is in what the framework says is pushed. Raises `Refused`."""
    repository = git.discover(from_hook=True)
    plaintext.require_pushed(repository, [git.require_pushed(repository, told.source)], remote=told.remote)


def main() -> None:
    """The program ``homelab-git-crypt-sealed``."""

    def entry() -> None:
        told = updates.from_framework(os.environ)
        if told is None:
            staged()
        else:
            pushed(told)

    sys.exit(output.report(entry))


if __name__ == "__main__":
    main()
