"""The candidate: the commit that would become the target's tip, built from objects alone. No worktree is touched.

Where the target's tip lies on HEAD's first-parent line, HEAD itself is the candidate. Otherwise it is a merge with the
target as first parent: fast-forwarding a branch that has merged the target would make the branch's line the target's.
"""

import contextlib
import functools
import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from homelab import output
from homelab.errors import Conflict, Failed, Refused
from homelab.git import attributes
from homelab.git.repository import Repository
from homelab.gitcrypt import rules


class Merged(NamedTuple):
    """The tree that a merge of target and head has, and whether a merge commit is needed to carry it."""

    base: str | None
    head: str
    tree: str
    is_head: bool


def merge(repository: Repository, base: str | None, head: str) -> Merged:
    """Return the merge of `head` into the target's tip `base`. Raises `Conflict` with the files, `Refused` when unrelated."""
    tree = repository.objects.commit(head).tree
    if base is None:
        return Merged(base, head, tree, True)
    if repository.line("merge-base", base, head) == base:
        return Merged(base, head, tree, _extends(repository, base, head))
    tree, names = merged_tree(repository, base, head)
    if names is None:
        return Merged(base, head, tree, False)
    raise Conflict(
        f"merging the target conflicts in {output.names(names) or 'some files'}",
        hint=resolving(repository, names),
        next="git status",
        fields={"conflicts": names},
    )


def resolving(repository: Repository, names: Sequence[str]) -> str:
    """Return in words how to resolve conflicts in these paths, some of which may be secrets that are sealed here."""
    done = repository.run("check-attr", "-z", "--stdin", "filter", input=b"".join(os.fsencode(name) + b"\0" for name in names))
    fields = os.fsdecode(done.stdout).split("\0")
    filters = {path: value for path, value in zip(fields[::3], fields[2::3], strict=False) if value.startswith("git-crypt")}
    sealed = [path for path, name in filters.items() if not rules.key_file(repository.git_dir, name).is_file()]
    again = "`git add` and `git commit`, then `homelab work land` again"
    if not sealed:
        return f"resolve them, {again}"
    one = shlex.quote(sealed[0])
    return (
        f"{output.names(sealed)} is sealed here: `git checkout --ours -- {one}`, or --theirs, takes one side as it is; resolve "
        f"the rest, {again}. To merge what it says: `git merge --abort`, `git-crypt unlock KEYFILE` here, and land again"
    )


def merged_tree(repository: Repository, base: str, head: str) -> tuple[str, list[str] | None]:
    """Return the tree of a merge, and the paths in conflict or None where it is clean. Raises `Refused` when unrelated."""
    with _attributes(repository, base) as folder:
        done = repository.run(
            "-c", "merge.renormalize=false", "-c", "core.attributesFile=/dev/null",
            "merge-tree", "--write-tree", "--name-only", "-z", "--no-messages", base, head,
            env={"GIT_DIR": str(repository.common_dir), "GIT_WORK_TREE": str(folder)}, cwd=folder,
        )  # fmt: skip
    parts = os.fsdecode(done.stdout).split("\0")
    if done.returncode in (0, 1):
        names = sorted({name for name in parts[1:] if name})
        return parts[0].strip(), names if done.returncode else None
    if "unrelated histories" in done.words:
        raise Refused(
            "the branch and the target share no history",
            hint="start a worktree off the target and bring the work over; in a shallow clone `git fetch --unshallow`",
        )
    raise Failed(f"git cannot build the merge: {done.words}", hint="`git fsck` tells what is broken")


def _extends(repository: Repository, base: str, head: str) -> bool:
    """Return whether `base` lies on the first-parent line of `head`, which descends from it."""
    rows = (repository.line("rev-list", "--first-parent", "--parents", head, f"^{base}") or "").split("\n")
    last = rows[-1].split(" ")
    return len(last) > 1 and last[1] == base


@contextlib.contextmanager
def _attributes(repository: Repository, base: str) -> Iterator[Path]:
    """Yield a folder that holds the target's attribute files alone.

    git before 2.43 reads them from the worktree it stands in, so that one merge would come out differently on two branches.
    """
    with tempfile.TemporaryDirectory(prefix="homelab-merge-") as name:
        folder = Path(name)
        # One process for all names: a walk through the folders of 20,000 files takes six times as long.
        for path, oid in attributes.of_tree(repository, base).files:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(repository.objects.blob(oid))
        yield folder


def commit(repository: Repository, merged: Merged, message: str) -> str:
    """Return the candidate: HEAD itself, or a merge commit with this message."""
    if merged.is_head:
        return merged.head
    assert merged.base is not None
    sign = ["-S"] if _signs(repository) else []  # commit-tree, unlike commit, does not read commit.gpgsign
    words = ("-c", "i18n.commitEncoding=UTF-8", "commit-tree", *sign)
    done = repository.run(*words, merged.tree, "-p", merged.base, "-p", merged.head, "-F", "-", input=os.fsencode(message))
    if done.returncode:
        raise Failed(f"git cannot make the merge commit: {done.words}", hint=commit_hint(done.stderr))
    return os.fsdecode(done.stdout).strip()


@functools.cache
def _signs(repository: Repository) -> bool:
    return repository.line("config", "--type=bool", "--get", "commit.gpgsign") == "true"


def commit_hint(stderr: bytes) -> str:
    """Return what to do where git could not make a commit."""
    if b"tell me who you are" in stderr:
        return "`git config user.name NAME` and `git config user.email ADDRESS`, then `homelab work land` again"
    if b"sign" in stderr or b"gpg" in stderr:
        return "mend the signing key (`git config user.signingkey`), or `git config commit.gpgsign false`"
    return "`git commit` shows the same"
