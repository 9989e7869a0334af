"""The main worktree, brought forward to what landed where that only adds commits to it."""

import contextlib

from homelab import output
from homelab.errors import HomelabError
from homelab.git.repository import discover
from homelab.landing.target import Target
from homelab.worktrees import registry


def bring(target: Target, tip: str) -> None:
    """Fast-forward the main worktree to the tip where it is clean and has the target checked out. Never fails.

    `git merge --ff-only` holds the index's lock from its start and overwrites no untracked file, so it moves all or nothing; an
    ignored one only when it is told.
    """
    with contextlib.suppress(HomelabError):  # it has landed, whatever is wrong with that worktree
        main = next((entry for entry in registry.registered(target.repository) if entry.is_main), None)
        if main is None or main.branch != target.branch or main.head == tip:
            return
        repository = discover(main.path)
        if repository.out("status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=none"):
            return
        own = ("-c", f"branch.{target.branch}.mergeOptions=")  # of the user: `--squash` would leave it all staged
        options = ("--ff-only", "--no-overwrite-ignore", "--no-autostash", "--no-verify-signatures", "--quiet")
        repository.run(*own, "merge", *options, tip)
        if repository.oid("HEAD") == tip:
            output.say(f"brought {output.line(str(main.path))} forward to {tip[:12]}")
