"""One repository, as everything else has it: where it is, its objects, and the git program run on it.

No rule is decided here. Replacements and grafts never count: git pushes the real object, so that is the one we read.
"""

import contextlib
import os
import re
import shlex
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from homelab import output
from homelab.errors import Failed, Refused, Usage
from homelab.git.configuration import Settings, listed
from homelab.git.objects import Objects
from homelab.system import process

#: The names that a default branch has where nobody chose another.
USUAL = ("main", "master")
#: Names in one question: a list of arguments ends at two megabytes, and a push can bring a hundred thousand refs.
_AT_ONCE = 5000

_ENVIRONMENT = {
    "GIT_NO_REPLACE_OBJECTS": "1",
    # A path that cannot exist: /dev/null would print a hint about grafts being deprecated.
    "GIT_GRAFT_FILE": "/dev/null/none",
    # A mere look would lock the index to refresh it: in the way of the user's git, and for good when it is killed.
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}

#: A history as a program reads it: ``log.showSignature``, ``log.showRoot`` and ``log.follow``, which people set for their eyes,
#: and ``ignore`` of a submodule, which the tree itself can say, would add lines to it or take changes out.
LOG = ("log", "--no-show-signature", "--root", "--no-follow", "--no-color", "--encoding=UTF-8", "--ignore-submodules=none")

_QUARANTINE = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")


def variables(extra: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Return the variables that a git of ours gets besides our environment; None takes a variable out."""
    found: dict[str, str | None] = dict(_ENVIRONMENT)
    for name in (name for name in os.environ if name.startswith("GIT_TRACE")):
        if os.environ[name].lower() in ("1", "2", "true"):
            found[name] = None  # on stderr, where we look for git's reasons; a trace into a file goes on
    if "GIT_TERMINAL_PROMPT" not in os.environ and not (sys.stdin and sys.stdin.isatty()):
        found["GIT_TERMINAL_PROMPT"] = "0"
    return {**found, **(extra or {})}


class Snapshot(NamedTuple):
    """What a clone says of itself at one moment: its settings, and what it knows of its remotes' default branches."""

    settings: Settings
    #: By full name: the object id, and what a symbolic ref names (else ``""``). A dangling one is left out.
    refs: Mapping[str, tuple[str, str]]


class Repository:
    """One worktree's view of a repository; all worktrees of a clone share `common_dir`."""

    def __init__(
        self, git_dir: Path, common_dir: Path, worktree: Path | None, quarantine: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Look at a worktree, or at a bare repository. Nothing is read yet."""
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.worktree = worktree
        #: Where a receiving hook's new objects are until it has said yes; empty elsewhere.
        self.quarantine = quarantine
        #: What reads the clone's commits, trees and blobs.
        self.objects = Objects(common_dir, dict(quarantine))
        #: Where homelab keeps what it knows of this clone.
        self.state = common_dir / "homelab"

    @cached_property
    def _named(self) -> Mapping[str, str]:
        """What names this repository to git, where standing in its worktree does not lead there by itself.

        ``GIT_WORK_TREE``, ``core.worktree`` and ``--git-dir=~/.dotfiles`` give any folder as worktree, another repository's
        too, which would then be asked for rules, refs and history. Not where the way leads back: git hands the two variables
        on to hooks, and a user's hook that works in a submodule or in another clone would be led astray by them.
        """
        if self.worktree is None:  # named as well where `safe.bareRepository=explicit` lets no bare repository be found
            return {"GIT_DIR": os.fspath(self.git_dir)}
        if _leads_to(self.worktree) == self.git_dir.resolve():
            return {}
        return {"GIT_DIR": os.fspath(self.git_dir), "GIT_WORK_TREE": os.fspath(self.worktree)}

    @property
    def is_linked(self) -> bool:
        """Return whether this is a linked worktree."""
        return self.git_dir != self.common_dir

    @property
    def refs_are_files(self) -> bool:
        """Return whether a ref of the clone is a file of its name in `common_dir`, or packed there; else git alone can tell."""
        # git has this from the clone's own file, and from 2.54 on as URI of another place, and from the environment, too.
        try:
            said = (self.common_dir / "config").read_bytes().lower()
        except OSError:
            return False
        return b"refstorage" not in said and not os.environ.get("GIT_REFERENCE_BACKEND")

    def run(
        self,
        *args: str | Path,
        input: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float | None = None,
        pass_fds: Sequence[int] = (),
    ) -> process.Completed:
        """Return how a git command ended, run in the worktree (or `cwd`), or on the git directory where there is none."""
        return process.complete(
            ["git", *args],
            cwd=cwd or self.worktree or self.git_dir,
            extra=variables({**self._named, **dict(self.quarantine), **(env or {})}),
            input=input,
            timeout=timeout,
            pass_fds=pass_fds,
        )

    def begin(self, *args: str | Path) -> Callable[[], process.Completed]:
        """Start a git command that only looks. Return a function that waits for its end and returns that."""
        child = process.start(
            ["git", *args],
            cwd=self.worktree or self.git_dir,
            extra=variables({**self._named, **dict(self.quarantine)}),
            stdout=process.PIPE,
            stderr=process.PIPE,
        )

        def ended() -> process.Completed:
            stdout, stderr = child.communicate()
            return process.Completed(child.returncode, stdout, stderr)

        return ended

    def ask(
        self, *args: str, patience: float, pass_fds: Sequence[int] = (), alive: Callable[[], bool] = lambda: False
    ) -> process.Completed:
        """Return how a git command ended that talks to a remote.

        Raises `Silent` after `patience` seconds without a word, unless `alive` says that the remote is still at it.
        """
        from homelab.system import conversation  # most of what we do asks no remote

        where = self.worktree or self.git_dir
        env = process.environment(variables({**self._named, **dict(self.quarantine)}))
        other = args[args.index("--") + 1] if "--" in args else ""
        told = output.waits_for("the remote" if not other or ":" in other or "/" in other else other)
        return conversation.converse(
            ["git", *args], cwd=where, env=env, patience=patience, each=output.quote, lasts=told, pass_fds=pass_fds, alive=alive
        )

    def out(self, *args: str | Path, input: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        """Return what a git command printed, without the last newline. Raises `Failed` with git's words."""
        return printed(self.run(*args, input=input, env=env), args[0])

    def line(self, *args: str | Path) -> str | None:
        """Return what a git command printed, or None when it failed."""
        done = self.run(*args)
        return os.fsdecode(done.stdout).removesuffix("\n") if done.returncode == 0 else None

    def oid(self, revision: str) -> str | None:
        """Return the object id a revision names, or None; for git `^REV` names one too, without which."""
        found = self.line("rev-parse", "--verify", "--quiet", "--end-of-options", revision)
        return None if not found or found.startswith("^") else found

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Return whether `older` is reachable from `newer`; an unknown object is not."""
        return self.run("merge-base", "--is-ancestor", older, newer).returncode == 0

    def settings(self) -> Settings:
        """Return git's configuration as it holds here, of the user, clone, worktree and command. Raises `Failed`."""
        done = self.run("config", "--list", "--show-scope", "--null")
        if done.returncode:
            raise Failed(f"git's configuration cannot be read: {done.words}", hint="`git config --list` shows the same")
        return listed(done.stdout)

    def refs(self, *names: str) -> dict[str, tuple[str, str]]:
        """Return, of the refs that exist, the object id, and what a symbolic one names (else ``""``). Raises `Failed`."""
        found: dict[str, tuple[str, str]] = {}
        for start in range(0, len(names), _AT_ONCE):
            wanted = names[start : start + _AT_ONCE]
            done = self.run("for-each-ref", "--format=%(refname) %(objectname) %(symref)", *wanted)
            if done.returncode:  # no ref at all would look the same
                raise Failed(f"the refs of this repository cannot be read: {done.words}", hint="`git fsck` tells what is wrong")
            rows = (row.split(" ", 2) for row in os.fsdecode(done.stdout).split("\n") if row)
            found |= {name: (oid, symbolic) for name, oid, symbolic in rows}
        # A name is a pattern too: where there is no `a`, it finds `a/b`.
        return {name: found[name] for name in names if name in found}

    def snapshot(self) -> Snapshot:
        """Return what the clone says of itself now, by two processes however many remotes it has. Raises `Failed`."""
        settings = self.settings()
        heads = (f"refs/remotes/{name}/{branch}" for name in settings.remotes for branch in ("HEAD", *USUAL))
        return Snapshot(settings, self.refs(*heads))

    def config(self, name: str) -> str | None:
        """Return the last value of a configuration variable, or None."""
        return self.line("config", "--get", name)


def printed(done: process.Completed, command: str | Path) -> str:
    """Return what a git command printed, without the last newline. Raises `Failed` with git's words."""
    if done.returncode:
        raise Failed(f"git {command} failed: {done.words}", hint=_way_out(done))
    return os.fsdecode(done.stdout).removesuffix("\n")


def _way_out(done: process.Completed) -> str:
    """Return what to do about a git command that failed here."""
    found = re.search(r"Unable to create '([^'\n]+\.lock)': File exists", done.stderr.decode(errors="replace"))
    if found:  # left by a git that was killed, or held by one that runs
        return f"another git is at work here; where none is, `rm {shlex.quote(found[1])}`, then run it again"
    return "`homelab doctor` looks for the usual reasons"


def _leads_to(worktree: Path) -> Path | None:
    """Return the git directory that git finds from a worktree's top, or None."""
    place = worktree / ".git"
    try:
        if place.is_dir():
            return place.resolve()
        text = place.read_bytes()
    except OSError:
        return None
    if not text.startswith(b"gitdir: "):
        return None
    return (worktree / os.fsdecode(text.removeprefix(b"gitdir: ").rstrip(b"\r\n"))).resolve()


def seen_from(repository: Repository, worktree: Path) -> Repository:
    """Return the clone as it is seen from another of its worktrees. No process is started."""
    return Repository(_leads_to(worktree) or worktree / ".git", repository.common_dir, worktree)


_ABSOLUTE = ("git", "rev-parse", "--path-format=absolute")


def _left_behind(where: Path) -> tuple[Path, Path] | None:
    """Return the linked worktree around a folder and where its clone was, where that has been moved or deleted."""
    for folder in (where, *where.parents):
        target = _leads_to(folder)
        if target is not None:
            return (folder, target.parent.parent) if target.parent.name == "worktrees" and not target.exists() else None
    return None


def discover(cwd: Path | None = None, *, from_hook: bool = False) -> Repository:
    """Return the repository at `cwd`, or in a hook the one that git named in the environment. Raises `Usage`."""
    env, extra = (os.environ, _ENVIRONMENT) if from_hook else (None, variables())
    questions = ("--git-dir", "--git-common-dir", "--show-toplevel")
    done = process.complete([*_ABSOLUTE, *questions], cwd=cwd, env=env, extra=extra)
    if not done.stdout:
        words = done.words
        if "not a git repository" in words or "gitfile" in words:  # the second is what git says from 2.55 on
            where = cwd or Path.cwd()
            if (left := _left_behind(where)) is not None:
                worktree, clone = left
                raise Usage(
                    f"the clone of the worktree {worktree} is no longer at {clone}",
                    hint=f"`git -C CLONE worktree repair {worktree}`, with the place where the clone is now",
                )
            raise Usage(f"{where} is not in a git repository", hint="change into a clone, or make one with `git clone`")
        raise Usage(f"git cannot open the repository here: {words}", hint="`git status` says more")
    lines = done.stdout.removesuffix(b"\n").split(b"\n")
    if len(lines) != (3 if done.returncode == 0 else 2):  # a path with a newline: one question at a time
        single = (process.complete([*_ABSOLUTE, option], cwd=cwd, env=env, extra=extra) for option in questions)
        lines = [answer.stdout.removesuffix(b"\n") for answer in single if answer.returncode == 0]
    git_dir, common_dir, *top = (Path(os.fsdecode(line)) for line in lines if line)
    quarantine = tuple((name, os.environ[name]) for name in _QUARANTINE if from_hook and name in os.environ)
    with contextlib.suppress(OSError):  # a folder that cannot be looked at is named by whoever needs it
        # As git makes one for ``core.sharedRepository``; in another the second user of a group could not commit either.
        if not ~common_dir.stat().st_mode & (stat.S_ISGID | stat.S_IWGRP):
            process.share_with_group()
    return Repository(git_dir, common_dir, top[0] if top else None, quarantine)


def discover_pushed() -> tuple[Repository, Snapshot]:
    """Return the repository that git named to a hook, and what it says of itself now. Raises `Usage` or `Failed`."""
    repository = discover(from_hook=True)
    return repository, repository.snapshot()


def require_pushed(repository: Repository, source: str, kind: str = "") -> str:
    """Return the object id that a push's source names, peeled to `kind` (``^{commit}``). Raises `Refused`."""
    oid = repository.oid(f"{source}{kind}")
    if oid is None:
        hint = "push the branch by its plain name: `git push REMOTE BRANCH`"
        raise Refused(f"cannot tell which commit {source!r} is", hint=hint)
    return oid


def require_worktree(repository: Repository) -> Path:
    """Return the worktree. Raises `Refused` in a bare repository or inside a git directory."""
    if repository.worktree is None:
        raise Refused("there is no worktree here", hint="run it in a worktree, `homelab work list` names them")
    return repository.worktree
