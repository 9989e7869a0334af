"""The worktrees of a clone: which there are, what is under way in one, where a topic's stands, and what beside it.

Git's own list is the truth; folders are never matched by a part of their path, and one worktree never stands inside
another. Making and removing them is `homelab.worktrees.start` and `homelab.worktrees.clean`, both under `exclusive`.
"""

import contextlib
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from homelab import output
from homelab.errors import Refused, Usage
from homelab.git.repository import Repository, printed
from homelab.policy.config import Work
from homelab.policy.rules import read_rules
from homelab.policy.states import Rules, State
from homelab.system import files
from homelab.worktrees import names as topic

_HEADS = "refs/heads/"
#: Names the main worktree of a clone whose git directory stands apart.
_ROOT = "main-worktree"
#: How a folder is called that is being removed and could not leave its file system.
TRASH = ".homelab-trash-"
#: Which of git's commands is under way while one of these is in the git directory.
_OPERATIONS = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply/rebasing": "rebase",
    "rebase-apply/applying": "am",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}


class Worktree(NamedTuple):
    """A worktree as git has it registered."""

    path: Path
    #: The commit it is at; None where its branch has none yet.
    head: str | None
    #: The branch's short name; None when detached.
    branch: str | None
    is_main: bool = False
    #: Why it is locked, "" where no reason was given; None when it is not.
    lock: str | None = None

    @property
    def missing(self) -> bool:
        """Return whether its folder is gone, or is no longer this worktree."""
        return not os.path.lexists(self.path / ".git") and not self.is_main


def registered(repository: Repository) -> tuple[Worktree, ...]:
    """Return the worktrees, the main one first where there is one (a bare repository has none)."""
    return look_up(repository)()


def look_up(repository: Repository) -> Callable[[], tuple[Worktree, ...]]:
    """Begin to list the worktrees, 10 ms for fifty. Return a function that returns them, or raises `Failed`."""
    ended = repository.begin("worktree", "list", "--porcelain", "-z")
    return lambda: _listed(printed(ended(), "worktree"))


def _listed(text: str) -> tuple[Worktree, ...]:
    found = []
    for number, record in enumerate(text.split("\0\0")):
        fields = dict(part.partition(" ")[::2] for part in record.strip("\0").split("\0"))
        if "worktree" in fields and "bare" not in fields:
            found.append(_worktree(fields, is_main=number == 0))
    return tuple(found)


def _worktree(fields: dict[str, str], *, is_main: bool) -> Worktree:
    head, ref = fields.get("HEAD", ""), fields.get("branch", "")
    return Worktree(
        path=Path(fields["worktree"]),
        head=head if head.strip("0") else None,
        branch=ref.removeprefix(_HEADS) if ref else None,
        is_main=is_main,
        lock=fields.get("locked"),
    )


def under_way(made: Repository) -> list[str]:
    """Return which of git's commands have begun in a worktree and wait to be continued."""
    found = [command for name, command in _OPERATIONS.items() if (made.git_dir / name).exists()]
    if not made.refs_are_files:  # two of the heads are refs then; the git that knows such a place knows the option
        heads = made.line("for-each-ref", "--include-root-refs", "--format=%(refname)", "CHERRY_PICK_HEAD", "REVERT_HEAD")
        found += [_OPERATIONS[name] for name in (heads or "").split()]
    with contextlib.suppress(OSError):  # of several commits one was committed by hand: the head is gone, the rest is to come
        found.append("revert" if (made.git_dir / "sequencer/todo").read_bytes().startswith(b"revert") else "cherry-pick")
    return list(dict.fromkeys(found))


def target(repository: Repository, rules: State) -> str | None:
    """Return the target's tip as it was last fetched, or None where there is none."""
    if isinstance(rules, Rules) and rules.is_named and rules.target == rules.default:
        return rules.tip  # it has been read from there
    return repository.oid(f"refs/remotes/{rules.remote}/{rules.target}") if rules.target else None


def exclusive(repository: Repository) -> AbstractContextManager[None]:
    """Keep others from registering or removing worktrees for the block: of 24 unguarded `git worktree add` 11 to 24 succeed."""
    return files.locked(repository.state / "locks" / "worktrees")


class Layout(NamedTuple):
    """Where the worktrees of a clone stand, and what their branches are called."""

    #: The clone seen from its main worktree: a new worktree takes over the sparse patterns of where git runs.
    repository: Repository
    root: Path
    #: The folder of the started worktrees, links resolved, as git registers them.
    directory: Path
    #: The same folder from the root, as it is written in a pattern of ignored files.
    name: str
    pattern: str

    def path(self, name: str) -> Path:
        """Return where a topic's worktree stands."""
        return self.directory / name

    def branch(self, name: str) -> str:
        """Return the branch of a topic. Raises `Usage` when ``[work] branch`` makes a name that git does not take."""
        made = topic.branch(self.pattern, name)
        if self.repository.run("check-ref-format", f"{_HEADS}{made}").returncode or made.startswith("-"):
            raise Usage(f"'{made}' is no name for a branch", hint="mend [work] branch in homelab.toml, or take another topic")
        return made

    def topic(self, worktree: Worktree) -> str | None:
        """Return the topic of a worktree, by its place, else by its branch; None for what `start` did not make."""
        if worktree.is_main:
            return None
        if worktree.path != self.directory and worktree.path.is_relative_to(self.directory):
            return str(worktree.path.relative_to(self.directory))
        return topic.of_branch(self.pattern, worktree.branch) if worktree.branch else None

    def started(self, worktree: Worktree) -> bool:
        """Return whether `start` made a worktree: it is in the folder of started ones, or on a branch of their pattern.

        Neither tells anything where the folder holds the whole clone (``..``), or the pattern takes every name.
        """
        if worktree.is_main:
            return False
        inside = worktree.path != self.directory and worktree.path.is_relative_to(self.directory)
        named = worktree.branch is not None and topic.of_branch(self.pattern, worktree.branch) is not None
        return (inside and not self.root.is_relative_to(self.directory)) or (named and self.pattern != "{topic}")


def find(plan: Layout, name: str) -> Worktree:
    """Return the worktree that a topic, a branch or a whole path names. Raises `Usage` with the nearest names."""
    entries = [entry for entry in registered(plan.repository) if not entry.missing]
    for matches in (
        [entry for entry in entries if name in (str(entry.path), str(plan.root) if entry.is_main else None)],
        [entry for entry in entries if plan.topic(entry) == name],
        [entry for entry in entries if entry.branch == name],
    ):
        if matches:
            return matches[0]
    import difflib

    near = difflib.get_close_matches(name, [made for entry in entries if (made := plan.topic(entry))], 1)
    raise Usage(
        f"there is no worktree {output.line(name)}",
        hint=f"did you mean `{near[0]}`?" if near else "`homelab work list` names them, `homelab work start TOPIC` makes one",
    )


def found(repository: Repository, name: str) -> tuple[Layout, Worktree, Path]:
    """Return where worktrees stand, the one that a name means, and where people find that. Raises as `find` does."""
    plan = layout(repository, read_rules(repository, ask=False).config.work)
    entry = find(plan, name)
    return plan, entry, plan.root if entry.is_main else entry.path


def layout(repository: Repository, work: Work) -> Layout:
    """Return where worktrees stand. Raises `Refused` when the main worktree cannot be told from here."""
    is_bare, configured = _main_settings(repository)
    root = _root(repository, is_bare=is_bare, configured=configured).resolve()
    main = Repository(repository.common_dir, repository.common_dir, None if is_bare else root)
    return Layout(main, root, (root / work.directory).resolve(), work.directory, work.branch)


def _main_settings(repository: Repository) -> tuple[bool, str | None]:
    """Return whether the clone is bare, and what core.worktree names.

    What every `git init` and `git clone` writes is read here; git is asked only where the file leaves a doubt.
    """
    file = repository.common_dir / "config"
    with contextlib.suppress(OSError):
        text = file.read_bytes().lower()
        stated = re.findall(rb"^\s*bare\b(.*)", text, re.MULTILINE)
        if stated == [b" = false"] and b"worktree" not in text and b"include" not in text:
            return False, None
    bare = repository.line("--git-dir", str(repository.common_dir), "config", "--type=bool", "core.bare") == "true"
    return bare, repository.line("config", "--file", str(file), "core.worktree")


def _root(repository: Repository, *, is_bare: bool, configured: str | None) -> Path:
    """Return the main worktree, or the folder of a bare layout that worktrees stand in."""
    common = repository.common_dir
    if not repository.is_linked and repository.worktree:
        return repository.worktree
    if configured:
        return common / configured
    if common.name == ".git" or _points_at(common.parent / ".git", common):
        return common.parent
    if is_bare:
        return common
    with contextlib.suppress(OSError):
        remembered = Path(os.fsdecode(files.content(repository.state / _ROOT)))
        if _points_at(remembered / ".git", common):
            return remembered
    raise Refused(
        "git does not tell from here where the main worktree is: its git directory stands apart",
        hint="change into the main worktree and run it again",
    )


def remember(plan: Layout) -> None:
    """Write down where the main worktree is, where git does not tell it from linked ones."""
    file = plan.repository.state / _ROOT
    if (plan.root / ".git").is_file() and not file.exists():
        files.replace(file, os.fsencode(plan.root))


def moved(plan: Layout, entry: Worktree) -> Path | None:
    """Return where a worktree that is gone from its place stands now, among the started ones; None where it is not seen.

    Git knows it there again after `git worktree repair`. Whoever takes its registration away takes its index too.
    """
    common = plan.repository.common_dir
    for file in sorted([*plan.directory.glob("*/.git"), *plan.directory.glob("*/*/.git")]):
        if file.parent.name.startswith(TRASH):  # of a killed removal, which the next one ends
            continue
        with contextlib.suppress(OSError):
            kept = common / "worktrees" / Path(os.fsdecode(files.content(file)).strip()).name
            if Path(os.fsdecode(files.content(kept / "gitdir")).strip()) == entry.path / ".git":
                return file.parent
    return None


def _points_at(file: Path, git_dir: Path) -> bool:
    """Return whether this is a ``.git`` file that names the git directory, as in a ``.bare`` layout."""
    try:
        words = os.fsdecode(file.read_bytes()).strip()
    except OSError:
        return False
    target = words.removeprefix("gitdir:").strip()
    return words.startswith("gitdir:") and (file.parent / target).resolve() == git_dir.resolve()


def nested(worktrees: tuple[Worktree, ...], path: Path) -> list[Worktree]:
    """Return the worktrees that stand somewhere below a path."""
    return [other for other in worktrees if other.path != path and other.path.is_relative_to(path)]


def require_room(worktrees: tuple[Worktree, ...], layout: Layout, path: Path) -> None:
    """Refuse a new worktree that would hold another one, or be inside one. Raises `Refused`."""
    inner = nested(worktrees, path)
    outer = [other for other in worktrees if not other.is_main and path != other.path and path.is_relative_to(other.path)]
    if other := next(iter([*inner, *outer]), None):
        words = "would hold" if inner else "would stand in"
        raise Refused(
            f"{path} {words} the worktree {other.path}: worktrees are never nested",
            hint=f"take another topic; `homelab work clean {layout.topic(other) or other.path}` removes that one",
        )
