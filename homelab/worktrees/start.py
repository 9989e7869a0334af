"""Starting work: a topic's worktree on its branch, off the fetched target.

What is there already is given back and never made a second time; what stands in the way is left alone and named. How a
worktree is made, whole or not at all, is `homelab.worktrees.create`'s.
"""

import os
import shlex
from pathlib import Path

from homelab import output
from homelab.errors import Failed, Refused, Unreachable, Usage
from homelab.git.remotes import ask_remote, ask_remote_head, fetch_branch
from homelab.git.repository import Repository
from homelab.gitcrypt import linked
from homelab.policy.rules import read_rules
from homelab.policy.states import State, Unknown, require_settings, require_target
from homelab.worktrees import create, names, registry
from homelab.worktrees.create import Started
from homelab.worktrees.registry import Layout, Worktree


def start(repository: Repository, name: str, *, revision: str | None = None) -> Started:
    """Return the topic's worktree. If it is missing, make it and its branch off `revision` or the fetched target.

    Raises `Usage` for a bad topic or revision, `Refused` where something stands in the way, `Unreachable`, `Failed`.
    """
    names.check(name)
    rules = read_rules(repository)
    plan = registry.layout(repository, require_settings(rules).work)
    _require_directory(plan)
    with create.alone(plan, name) as fd:
        if (record := create.interrupted(plan, name)) and (finished := create.finish(plan, name, record, rules, fd)):
            return finished
        with registry.exclusive(repository):
            there = _started(plan, name, plan.branch(name))
            if there:
                _keep_sealed(plan, there.branch and f"refs/heads/{there.branch}")
        if there:
            return there
        wanted = _revision(repository, revision)
        tips = _ask(repository, rules, plan.branch(name), optional=wanted is not None)
        _fetch(repository, rules, tips, plan.branch(name), target=wanted is None)
        now = read_rules(repository, ask=False)  # what was fetched may bring another file
        # A remote without a branch leaves nothing here to read: what it has answered stays known.
        rules = rules if isinstance(now, Unknown) and now.target is None else now
        plan = registry.layout(repository, require_settings(rules).work)
        return _make(plan, name, rules, tips, wanted, fd)


def _require_directory(plan: Layout) -> None:
    """Refuse where the worktrees' folder is a link that leads nowhere: their disk may not be mounted. Raises `Refused`."""
    folder = plan.root / plan.name
    if folder.is_symlink() and not folder.exists():
        raise Refused(
            f"{folder} leads to {plan.directory}, which is not there",
            hint=f"mount what it is on, or `mkdir {shlex.quote(str(plan.directory))}`",
        )


def _make(plan: Layout, name: str, rules: State, tips: dict[str, str], wanted: str | None, fd: int) -> Started:
    branch, path = plan.branch(name), plan.path(name)
    record: create.Record | None = None
    try:
        with registry.exclusive(plan.repository):
            if there := _started(plan, name, branch):
                return there
            registry.require_room(registry.registered(plan.repository), plan, path)
            _require_folder(plan, path)
            base = _base(plan.repository, rules, branch, tips, wanted)
            registry.remember(plan)
            _keep_sealed(plan, base or f"refs/heads/{branch}")
            record = create.Record(str(path), branch, base, create.missing_folders(path))
            create.write(plan, name, record)
            create.ignore(plan, name)
            create.register(plan.repository, record)
        create.fill(record, fd)
    except BaseException:
        if record:
            create.undo(plan, name, record)
        raise
    return create.prepare(plan, name, record, rules)


def _keep_sealed(plan: Layout, revision: str | None) -> None:
    """Configure the filter for the worktree where git-crypt is used, and tell the user that secrets stay encrypted in it."""
    if revision and linked.protect(plan.repository, revision):
        linked.say(plan.repository.worktree)


def _started(plan: Layout, name: str, branch: str) -> Started | None:
    """Return the worktree that the topic has, or None; a registration whose folder is gone has been taken back."""
    path = plan.path(name)
    for entry in registry.registered(plan.repository):
        if entry.path != path and entry.branch != branch:
            continue
        if entry.is_main:
            raise Refused(
                f"{branch} is checked out in the main worktree {plan.root}",
                hint=f"`git -C {plan.root} switch -` frees it",
            )
        if not entry.missing:
            if entry.branch != branch:
                output.say(f"{path} is there, on {entry.branch or 'a detached HEAD'} instead of {branch}")
            return Started(name, entry.path, entry.branch, None, created=False)
        _forget(plan, entry)
    return None


def _forget(plan: Layout, entry: Worktree) -> None:
    """Unregister a worktree whose folder is gone. Raises `Refused` when it is locked, or was only moved."""
    if not os.path.lexists(entry.path) and (moved := registry.moved(plan, entry)):
        repair = f"git worktree repair {shlex.quote(str(moved))}"
        raise Refused(
            f"{moved} is no worktree that git knows: it has stood at {entry.path}",
            hint=f"`{repair}` makes it known again",
            next=repair,
        )
    if entry.lock is not None:
        raise Refused(
            f"the folder of {entry.path} is gone, and its worktree is locked: {entry.lock or 'no reason was given'}",
            hint=f"bring the folder back, or `git worktree unlock {entry.path}`",
        )
    if os.path.lexists(entry.path):
        raise Refused(
            f"{entry.path} is no longer a worktree: its .git is gone",
            hint=f"`git worktree repair {entry.path}`, or move the folder away",
        )
    plan.repository.out("worktree", "remove", "--force", "--", str(entry.path))
    output.say(f"the folder of {entry.path} was gone: its registration is taken back")
    if entry.branch is None and entry.head:
        output.say(f"it was at {entry.head}, detached; `git branch NAME {entry.head}` keeps that")


def _revision(repository: Repository, revision: str | None) -> str | None:
    if revision is None:
        return None
    oid = repository.oid(f"{revision}^{{commit}}") if revision and "\0" not in revision else None
    if oid is None:
        raise Usage(f"'{output.line(revision)}' is no commit here", hint="`git fetch` may bring it; `git log` names commits")
    return oid


def _ask(repository: Repository, rules: State, branch: str, *, optional: bool) -> dict[str, str]:
    """Return the remote's tips of the target and of the topic's branch, nothing where the remote is not needed."""
    if repository.oid(f"refs/heads/{branch}"):
        return {}
    if optional and (rules.remote is None or rules.target is None):
        return {}
    remote, target = require_target(rules)
    try:
        return ask_remote(repository, remote, f"refs/heads/{target}", f"refs/heads/{branch}")
    except (Unreachable, Failed) as error:
        if not optional:
            raise Unreachable(error.message, hint=error.hint) from None
        output.say(f"{error.message}; whether it has {branch} is not known")
        return {}


def _fetch(repository: Repository, rules: State, tips: dict[str, str], branch: str, *, target: bool) -> None:
    for name in (*((rules.target,) if target else ()), branch):
        tip = tips.get(f"refs/heads/{name}")
        known = {repository.oid(f"refs/{place}/{rules.remote}/{name}") for place in ("homelab/seen", "remotes")}
        if rules.remote and name and tip and known != {tip}:
            fetch_branch(repository, rules.remote, name)


def _base(repository: Repository, rules: State, branch: str, tips: dict[str, str], wanted: str | None) -> str | None:
    """Return where the branch is to be made, None where it is there already. Raises `Refused`."""
    if repository.oid(f"refs/heads/{branch}"):
        output.say(f"{branch} is there already and is attached" + (", not made anew" if wanted else ""))
        return None
    _require_free_name(repository, branch)
    if tip := tips.get(f"refs/heads/{branch}"):
        output.say(f"{branch} is on {rules.remote} already and is taken from there")
        return repository.oid(f"refs/remotes/{rules.remote}/{branch}") or tip
    if wanted:
        return wanted
    target = "/".join(require_target(rules))
    tip = repository.oid(f"refs/homelab/seen/{target}") if tips else None
    if tip is None or f"refs/heads/{rules.target}" not in tips:
        now = ask_remote_head(repository, rules.remote) if rules.remote else None
        if now not in (None, rules.target):  # renamed: a push of the old name would bring it back for everybody
            repair = f"git fetch {rules.remote} && git remote set-head {rules.remote} --auto"
            raise Refused(
                f"{rules.remote} has no branch {rules.target} any more: its default branch is {now}",
                hint=f"`{repair}`, then run it again",
                next=repair,
            )
        raise Refused(
            f"{rules.remote} has no branch {rules.target} to start from",
            hint=f"push a first commit with `git push {rules.remote} HEAD:{rules.target}`, or give `--from REV`",
        )
    output.say(f"{branch} is made off {target} at {tip[:12]}")
    return tip


def _require_free_name(repository: Repository, branch: str) -> None:
    parts = branch.split("/")
    above = ["/".join(parts[:n]) for n in range(1, len(parts))]
    taken = next((name for name in above if repository.oid(f"refs/heads/{name}")), None)
    taken = taken or (repository.line("for-each-ref", "--count=1", "--format=%(refname:lstrip=2)", f"refs/heads/{branch}/"))
    if taken:
        raise Refused(
            f"git cannot have a branch {branch} beside {taken}: one would be the other's folder",
            hint=f"take another topic, or `git branch -m {taken} NAME`",
        )


def _require_folder(plan: Layout, path: Path) -> None:
    for folder in (plan.directory, *reversed([p for p in path.parents if p.is_relative_to(plan.directory)]), path):
        if os.path.lexists(folder) and not folder.is_dir():
            raise Refused(f"{folder} is in the way: it is no folder", hint=f"move it away, `ls -l {folder}` shows it")
    if path.is_dir() and any(path.iterdir()):
        raise Refused(
            f"{path} is in the way: it is no worktree and is not empty",
            hint=f"`git worktree repair {path}`, if it was moved there"
            if (path / ".git").is_file()
            else f"look at it with `ls -A {path}`, then move it away",
        )
