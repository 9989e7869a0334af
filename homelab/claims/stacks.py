"""Changes to stacks that others hold: which stacks a change touches, and who is in the way.

Only what the change itself does counts: what a merge brings in from elsewhere was somebody else's to answer for.
"""

import os
from collections.abc import Iterable
from pathlib import PurePosixPath

from homelab.claims import identity, locate, render
from homelab.claims.model import Claim, Mode
from homelab.errors import HomelabError, Refused
from homelab.git.repository import LOG, Repository
from homelab.policy.states import State

#: A stack can be a submodule, which `ignore` in `.gitmodules` would hide.
_NAMES = ("--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules=none", "-z")


def labels(paths: Iterable[str]) -> set[str]:
    """Return the labels that must be free before these paths change: the stack of each, and all stacks around it."""
    found: set[str] = set()
    for path in paths:
        parts = PurePosixPath(path).parts
        for at in (number for number, part in enumerate(parts[:-1]) if part == "stacks"):
            name = parts[at + 1 :]
            # `stacks/NAME` itself may be what changes: a link, a submodule.
            found.update(f"stack:{'/'.join(name[:end])}" for end in range(1, max(2, len(name))))
    return found


def staged(repository: Repository) -> set[str]:
    """Return the paths that the commit in the making changes; in a merge those that differ from both sides."""
    changed = _names(repository, "diff", "--cached")
    if repository.oid("MERGE_HEAD"):
        changed &= _names(repository, "diff", "--cached", "MERGE_HEAD")
    return changed


def pushed(repository: Repository, new: str, known: Iterable[str | None] = (), *, lands: bool = False) -> set[str]:
    """Return the paths that those commits change which are not in what is `known` of the place that they are pushed to.

    Unless it `lands` what any remote has is no change either: a branch that is there for review changes a stack when it lands.
    """
    there = [oid for oid in known if oid and repository.oid(f"{oid}^{{commit}}")]
    return _names(repository, *LOG, "--format=", "-c", new, "--not", *([] if lands else ["--remotes"]), *there)


def _names(repository: Repository, *args: str) -> set[str]:
    # `git commit -a` and `git commit PATH` make the commit from an index of its own, and name it to hooks.
    index = {"GIT_INDEX_FILE": os.environ["GIT_INDEX_FILE"]} if "GIT_INDEX_FILE" in os.environ else {}
    listed = repository.out(*args, *_NAMES, env=index)
    return {name.lstrip("\n") for name in listed.split("\0") if name.strip("\n")}


def _holders(repository: Repository, paths: Iterable[str], *, ours_too: bool) -> list[Claim]:
    """Return the claims of others, or `ours_too`, on the stacks that these paths touch. No stack, and no store is asked."""
    wanted = labels(paths)
    if not wanted:
        return []
    store = locate.open(locate.url(repository))
    asker = identity.holder(one_machine=store.one_machine)
    own = store.inside(identity.claim_id())
    return [
        claim
        for claim in store.board()
        if claim.label in wanted
        and (ours_too or claim.id not in own)
        and (claim.damaged is not None or not (claim.mode is Mode.ADVISORY or (not ours_too and claim.holder.is_same(asker))))
    ]


def require_free(repository: Repository, paths: Iterable[str], what: str, *, ours_too: bool = False) -> None:
    """Check that nobody else holds a stack that these paths touch. Raises `Refused` saying who and why, `Unreachable`.

    `ours_too` counts what we hold as well, where the change is somebody else's.
    """
    found = _holders(repository, paths, ours_too=ours_too)
    if found:
        raise Refused(
            f"{what} changes what others hold:\n" + "\n".join(render.held(claim) for claim in found),
            hint=f"talk to {render.person(found[0])}, or wait: `homelab claims` shows when it is free",
            next="homelab claims",
            fields={"blockers": [claim.document() for claim in found]},
        )


def touched(repository: Repository, target: str, head: str, held: frozenset[str] | None) -> list[str] | None:
    """Return which of the `held` labels' stacks `head` changes since it left `target`; None where that is not known."""
    if not held:
        return None if held is None else []
    listed = repository.line("diff", *_NAMES, f"{target}...{head}")
    return None if listed is None else sorted(held & labels(name for name in listed.split("\0") if name))


def held(repository: Repository, rules: State) -> frozenset[str] | None:
    """Return the labels that somebody holds, by the rules of the clone around us; None where the store is not there."""
    try:
        return frozenset(claim.label for claim in locate.open(locate.url(known=(repository, rules))).board())
    except HomelabError:
        return None
