"""Preconditions of a landing: on a branch, nothing half done, nothing uncommitted, nothing brought back.

Refusals name everything that is in the way and the command that clears it.
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from homelab import output
from homelab.errors import Failed, Refused
from homelab.git.remotes import ask_remote_head
from homelab.git.repository import Repository, require_worktree
from homelab.gitcrypt import plaintext
from homelab.landing import conflict
from homelab.system.process import Completed
from homelab.worktrees import registry


def branch(repository: Repository) -> tuple[str, str]:
    """Return the branch that is checked out, and its commit. Raises `Refused` when there is none, or it has no commit."""
    require_worktree(repository)
    for name in registry.under_way(repository):
        if name not in ("merge", "bisect"):  # a merge may be ours, and in a bisect HEAD is detached
            command = f"git {name} --continue"
            raise Refused(f"a git {name} is under way in this worktree", hint=f"finish it with `{command}`", next=command)
    ref = repository.line("symbolic-ref", "--quiet", "HEAD")
    if not ref or not ref.startswith("refs/heads/"):
        raise Refused("HEAD is detached, so there is no branch to land", hint="`git switch -c BRANCH` makes one")
    head = repository.oid("HEAD^{commit}")
    if head is None:
        raise Refused("the branch has no commit yet", hint="`git commit` something first")
    return ref.removeprefix("refs/heads/"), head


def check(repository: Repository, name: str, remote: str, target: str) -> None:
    """Check that nothing in the worktree is half done or uncommitted. Raises `Conflict` in a merge, `Refused` otherwise."""
    conflict.check_finished(repository)
    if name == target:
        raise Refused(
            f"this is {target} itself; work lands from a branch of its own",
            hint="`homelab work start TOPIC` makes one; to push what is here, use `git push`",
        )
    done = repository.run("status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=none", "--no-renames")
    if done.returncode:
        raise _unreadable(repository, f"refs/remotes/{remote}/{target}", done)
    if done.stdout:
        names = [row[3:] for row in os.fsdecode(done.stdout).split("\0") if row]
        raise Refused(
            f"uncommitted changes would not land: {output.names(names)}",
            hint="`git commit` them, or `git stash`",
            fields={"uncommitted": names},
        )


def _unreadable(repository: Repository, tracked: str, done: Completed) -> Failed | Refused:
    """Return why git cannot tell what changed: a secret that was committed as plaintext past the filter, or something else."""
    known = [tip for tip in (repository.oid(tracked),) if tip]
    head = repository.oid("HEAD^{commit}")
    # Such a commit was made by `-c filter.…` options; from then on the filter refuses its own file, and with it all of git.
    found = plaintext.pushed(repository, [head], known=known) if head else []
    if not found:
        return Failed(f"git status failed: {done.words}", hint="`homelab doctor` looks for the usual reasons")
    return plaintext.refusal(repository, found)


def check_hook(repository: Repository) -> None:
    """Check that the push hook can be started. Raises `Refused`: without its interpreter git 2.39 waits for ever."""
    place = repository.line("rev-parse", "--path-format=absolute", "--git-path", "hooks/pre-push")
    if place is None:  # core.hooksPath names what is no folder, as /dev/null: git runs no hook, and rev-parse ends over it
        return
    hook = Path(place)
    try:
        first = hook.read_bytes().split(b"\n", 1)[0] if os.access(hook, os.X_OK) else b""
    except OSError:
        return
    words = os.fsdecode(first.removeprefix(b"#!")).split() if first.startswith(b"#!") else []
    if words and words[0].startswith("/") and not Path(words[0]).exists():
        raise Refused(
            f"the hook {output.line(str(hook))} wants {output.line(words[0])}, which is not there",
            hint="install the hook anew, with the program that made it; `homelab hooks status` names the hooks",
            next="homelab hooks status",
        )


def check_gone(repository: Repository, remote: str, target: str) -> None:
    """Refuse to make a target branch again that was deleted from the remote. Raises `Refused`."""
    default = ask_remote_head(repository, remote)
    if default not in (None, target):
        name = shlex.quote(remote)
        command = f"git fetch {name} && git remote set-head {name} --auto"
        raise Refused(
            f"{remote} has no branch {target}; its default branch is {default}",
            hint=f"`{command}`, unless [gate] target names {target}",
            next=command,
        )
    known = repository.oid(f"refs/remotes/{remote}/{target}") or repository.oid(f"refs/homelab/seen/{remote}/{target}")
    if known is not None:
        raise Refused(
            f"{target} was removed from {remote}; it was at {known[:12]}",
            hint=f"if that was a mistake: `git push {remote} {known[:12]}:refs/heads/{target}`",
        )


def removed(repository: Repository) -> list[str]:
    """Return the commits that were seen on a target and are no longer on it."""
    return (repository.line("for-each-ref", "--format=%(objectname)", "refs/homelab/removed/") or "").split()


def check_rewound(repository: Repository, head: str, base: str | None, target: str, gone: Sequence[str]) -> None:
    """Refuse a branch that would bring back commits that are `gone` from the target. Raises `Refused`.

    Landing it would bring back what somebody took away: to git that is a plain fast-forward.
    """
    for removed in gone:
        if base is not None and repository.is_ancestor(removed, base):
            repository.run("update-ref", "-d", f"refs/homelab/removed/{removed}")
            continue
        shared = (repository.line("merge-base", "--all", head, removed) or "").split()
        if any(base is None or not repository.is_ancestor(oid, base) for oid in shared):
            raise Refused(
                f"{target} was rewound, and this branch carries commits that were removed from it (up to {shared[0][:12]})",
                hint=f"keep your own commits alone: `git rebase --onto {target} {shared[0][:12]}`",
                next=f"git rebase --onto {target} {shared[0][:12]}",
            )
