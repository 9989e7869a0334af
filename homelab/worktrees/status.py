"""The worktrees of a clone and their state, read without asking anybody and without changing anything.

What is not known is None, never a guess.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from homelab.claims import stacks
from homelab.errors import HomelabError
from homelab.git.repository import Repository, seen_from
from homelab.policy.rules import read_rules
from homelab.verify.remembered import Memory, Remembered, Verdict
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
    #: Whether all that the target demands is remembered as green, or as red there too.
    verified: bool | None
    #: The runs that are known to be red with this very content.
    red: list[str]
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
    seen = repository.snapshot()
    rules = read_rules(repository, seen, ask=False)
    plan = registry.layout(repository, rules.config.work)
    target = registry.target(repository, rules)
    entries = registry.registered(repository)
    commits = heads.read(repository, target, {entry.head for entry in entries}, both_ways=True)
    memory = Memory(repository, seen.settings, target, tells=rules.config.gate.red_before == "tell")
    judged = {head: _judged(memory, head, commits.get(head)) for head in {entry.head for entry in entries} if head}
    here = repository.worktree.resolve() if repository.worktree else None
    held = stacks.held(repository, rules)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda entry: _row(plan, target, entry, commits.get(entry.head or ""), here, held), entries)
        return tuple(
            replace(row, verified=known.verdict is Verdict.GREEN, red=list(known.red)) if known else row
            for row, entry in zip(found, entries, strict=True)
            for known in [judged.get(entry.head or "")]
        )


def _judged(memory: Memory, head: str, commit: Head | None) -> Remembered | None:
    """Return what is remembered of a commit by all that the target demands; None where that cannot be told."""
    try:
        return memory.of(head, is_new=bool(commit and commit.ahead))
    except HomelabError:
        return None


def _row(
    plan: Layout,
    target: str | None,
    entry: Worktree,
    commit: Head | None,
    here: Path | None,
    held: frozenset[str] | None,
) -> Row:
    repository, head = plan.repository, entry.head
    path = plan.root if entry.is_main else entry.path
    done = _has_landed(repository, target, head, commit) if target and head else None
    fresh = None
    if done and target and head and entry.branch:
        fresh = not landed.begun(repository, target, entry.branch, head)
    return Row(
        topic=plan.topic(entry),
        branch=entry.branch,
        path=path,
        head=head,
        main=entry.is_main,
        ahead=commit.ahead if commit else None,
        behind=commit.behind if commit else None,
        dirty=_dirty(repository, entry),
        verified=None,
        red=[],
        landed=False if fresh else done,
        fresh=fresh if done else done,
        claims=stacks.touched(repository, target, head, held) if target and head else None,
        locked=entry.lock,
        missing=entry.missing,
        subject=commit.subject if commit else None,
        committed_at=commit.committed_at if commit else None,
        here=path.resolve() == here,
    )


def _has_landed(repository: Repository, target: str, head: str, commit: Head | None) -> bool:
    """Return whether everything up to `head` is on the target; what the numbers say already costs no further process."""
    if commit and commit.ahead == 0:
        return True
    if commit and commit.behind == 0:  # the target has nothing that could have it in another form
        return repository.objects.commit(head).tree == repository.objects.commit(target).tree
    return landed.proof(repository, target, head) is not None


def _dirty(repository: Repository, entry: Worktree) -> bool | None:
    """Return whether anything in it is uncommitted or untracked; None where git cannot say."""
    if entry.missing or not entry.path.is_dir():
        return None
    done = seen_from(repository, entry.path).run(
        "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=normal", "--ignore-submodules=none"
    )
    return bool(done.stdout) if done.returncode == 0 else None
