"""The worktrees of a clone and their state, read without asking anybody and without changing anything.

What is not known is None, never a guess.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from homelab.claims import stacks
from homelab.errors import HomelabError
from homelab.git.repository import Repository, seen_from
from homelab.policy import policy
from homelab.policy.rules import read_rules
from homelab.verify import verification
from homelab.worktrees import heads, landed, registry
from homelab.worktrees.heads import Head
from homelab.worktrees.registry import Layout, Worktree


@dataclass(frozen=True, slots=True)
class Row:
    """One worktree and its state; None is unknown."""

    topic: str | None
    branch: str | None
    path: Path
    head: str | None
    main: bool
    ahead: int | None
    behind: int | None
    dirty: bool | None
    verified: bool | None
    landed: bool | None
    #: It has no commit of its own yet: nothing to land.
    fresh: bool | None
    claims: list[str] | None
    locked: str | None
    missing: bool
    #: The last commit: its subject, and when it was made.
    subject: str | None
    committed_at: str | None
    #: Whether the command is run in it.
    here: bool


def rows(repository: Repository) -> tuple[Row, ...]:
    """Return every worktree and its state against the target as last fetched."""
    rules = read_rules(repository, ask=False)
    plan = registry.layout(repository, rules.config.work)
    target = repository.oid(f"refs/remotes/{rules.remote}/{rules.target}") if rules.target else None
    entries = registry.registered(repository)
    verified = {head: _verified(repository, target, head) for head in {entry.head for entry in entries} if head}
    commits = heads.read(repository, target, verified)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda entry: _row(plan, target, entry, verified), entries)
        return tuple(_with_commit(row, commits.get(row.head or ""), repository) for row in found)


def _with_commit(row: Row, commit: Head | None, repository: Repository) -> Row:
    here = repository.worktree is not None and repository.worktree.resolve() == row.path.resolve()
    return replace(
        row, subject=commit.subject if commit else None, committed_at=commit.committed_at if commit else None, here=here
    )


def _verified(repository: Repository, target: str | None, head: str) -> bool | None:
    """Tell whether all that the target demands of a commit is remembered as green; None where that cannot be told."""
    try:
        tree = repository.objects.commit(head).tree
        demand = verification.demanded(repository, tree, policy.policies(repository.objects, target, tree))
    except HomelabError:
        return None
    return demand.verifiable and bool(demand.runs) and not verification.lookup(repository, demand)[1]


def _row(plan: Layout, target: str | None, entry: Worktree, verified: Mapping[str, bool | None]) -> Row:
    repository, head = plan.repository, entry.head
    ahead, behind = _distance(repository, target, head)
    done = landed.proof(repository, target, head) is not None if target and head else None
    fresh = None
    if done and target and head and entry.branch:
        fresh = not landed.begun(repository, target, entry.branch, head)
    return Row(
        topic=plan.topic(entry),
        branch=entry.branch,
        path=plan.root if entry.is_main else entry.path,
        head=head,
        main=entry.is_main,
        ahead=ahead,
        behind=behind,
        dirty=_dirty(repository, entry),
        verified=verified.get(head) if head else None,
        landed=False if fresh else done,
        fresh=fresh if done else done,
        claims=stacks.touched(repository, target, head) if target and head else None,
        locked=entry.lock,
        missing=entry.missing,
        subject=None,
        committed_at=None,
        here=False,
    )


def _distance(repository: Repository, target: str | None, head: str | None) -> tuple[int | None, int | None]:
    if not target or not head:
        return None, None
    counts = (repository.line("rev-list", "--left-right", "--count", f"{head}...{target}") or "").split()
    return (int(counts[0]), int(counts[1])) if len(counts) == 2 else (None, None)


def _dirty(repository: Repository, entry: Worktree) -> bool | None:
    """Tell whether anything in it is uncommitted or untracked; None where git cannot say."""
    if entry.missing or not entry.path.is_dir():
        return None
    done = seen_from(repository, entry.path).run(
        "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=normal", "--ignore-submodules=none"
    )
    return bool(done.stdout) if done.returncode == 0 else None
