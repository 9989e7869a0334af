"""Whether work is on the target already: by ancestry, by content, or by the same changes under other commits.

Every answer but None is safe to delete by. Merge drivers never count, since one that keeps "ours" would call everything
landed; patches are compared to the byte, since in YAML and Python white space is content.
"""

import os
import re
from collections.abc import Iterable

from homelab.git.repository import LOG, Repository

#: How far back the target is searched for the same changes.
_DEPTH = 5000
_PATCH = ("-p", "--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-renames", "--ignore-submodules=none")
_OWN = re.compile(r"commit|cherry-pick|am:|revert|merge .*: Merge made")


def proof(repository: Repository, target: str, tip: str) -> str | None:
    """Return how it is known that everything up to `tip` is on `target` (both object ids), or None when it is not."""
    if repository.is_ancestor(tip, target):
        return "ancestor"
    base = repository.line("merge-base", target, tip)
    if not base:
        return None
    tree = repository.oid(f"{tip}^{{tree}}")
    if tree == repository.oid(f"{base}^{{tree}}"):
        return "no change"
    if tree == repository.oid(f"{target}^{{tree}}"):
        return "same tree"
    if _adds_nothing(repository, target, tip):
        return "adds nothing"
    return _same_changes(repository, base, target, tip)


def _adds_nothing(repository: Repository, target: str, tip: str) -> bool:
    names = re.findall(
        r"^merge\.(.*)\.driver$",
        repository.line("config", "--name-only", "--get-regexp", r"^merge\..*\.driver$") or "",
        re.MULTILINE,
    )
    without = [part for name in names for part in ("-c", f"merge.{name}.driver=false")]
    merged = repository.run(*without, "merge-tree", "--write-tree", target, tip)
    return merged.returncode == 0 and merged.stdout.decode().strip() == repository.oid(f"{target}^{{tree}}")


def _same_changes(repository: Repository, base: str, target: str, tip: str) -> str | None:
    """Compare patches: the whole work as one commit (squash), or each of its commits (rebase, cherry-pick)."""
    options = ("-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none")
    changed = repository.run("diff-tree", *options, base, tip).stdout
    revisions = b"\n".join([target.encode(), b"^" + base.encode(), b"--", *changed.rstrip(b"\0").split(b"\0")])
    if b"\n" in changed:
        return None  # a path with a newline cannot be handed over; then nothing is proved
    listed = repository.run(
        "--literal-pathspecs", "rev-list", "--no-merges", f"--max-count={_DEPTH}", "--stdin", input=revisions
    )
    if not listed.stdout:  # the target has changed nothing of it since
        return None
    there = set(_patches(repository, listed.stdout.decode().split()).values())
    if there & set(_fingerprints(repository, base, tip).values()):
        return "squash"
    if repository.line("rev-list", "--merges", "--max-count=1", f"{base}..{tip}"):
        return None  # what a merge commit itself changed is in no patch
    own = (repository.line("rev-list", f"{base}..{tip}") or "").split()
    patches = _patches(repository, own)
    return "rebase" if patches and all(patches.get(oid) in there for oid in own) else None


def _patches(repository: Repository, commits: Iterable[str]) -> dict[str, str]:
    """Return the fingerprint of each commit's change; one without a change has none."""
    return _fingerprints(repository, "--stdin", "-r", input="".join(f"{oid}\n" for oid in commits).encode())


def _fingerprints(repository: Repository, *args: str, input: bytes = b"") -> dict[str, str]:
    """Return what a patch is without line numbers, by commit; white space is kept (``--verbatim``, since git 2.39)."""
    patches = repository.run("diff-tree", *_PATCH, *args, input=input).stdout
    rows = repository.run("patch-id", "--verbatim", input=patches).stdout.decode().split("\n")
    return {oid: digest for digest, _, oid in (row.partition(" ") for row in rows) if oid}


def begun(repository: Repository, target: str, branch: str, tip: str) -> bool:
    """Return whether anybody has committed on a branch whose tip is on the target: else it is fresh, and not landed."""
    words = repository.line("reflog", "show", "--format=%gs", f"refs/heads/{branch}", "--") or ""
    if any(_OWN.match(line) for line in words.splitlines()):
        return True
    line = (repository.line("rev-list", "--first-parent", target, "--not", f"{tip}^@") or "").split()
    return tip not in line


def pushed(repository: Repository, tip: str) -> str | None:
    """Return a remote-tracking branch or tag that has the commit, or None."""
    pattern = ("refs/remotes", "refs/tags")
    return repository.line("for-each-ref", f"--contains={tip}", "--count=1", "--format=%(refname:short)", *pattern) or None


def missing(repository: Repository, target: str | None, tip: str) -> list[str]:
    """Return the commits up to `tip` that are not on `target`, the newest first, each as its short id and subject."""
    range_ = [tip, f"^{target}"] if target else [tip, "--not", "--remotes"]
    return os.fsdecode(repository.run(*LOG, "--format=%h %s", *range_, "--").stdout).splitlines()
