"""Removing finished work: a worktree and its branch go when everything in them is on the target, or when forced.

Judged on what the remote has now, all reasons at once; how it goes is `homelab.worktrees.remove`'s. The main worktree is never
removed, and a worktree that holds another only together with it.
"""

import contextlib
import difflib
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from homelab import output
from homelab.errors import Failed, Refused, Unreachable, Usage
from homelab.git.remotes import fetch_branch
from homelab.git.repository import Repository
from homelab.policy.rules import read_rules
from homelab.policy.states import State
from homelab.system.proc import occupants
from homelab.worktrees import landed, registry, remove
from homelab.worktrees import names as topic
from homelab.worktrees.registry import Layout, Worktree
from homelab.worktrees.remove import Work
from homelab.worktrees.unsaved import leftovers

_HERE = "in use: you are in it"


class Judged(NamedTuple):
    """Why a piece of work stays: without a reason it may go. `fresh` work has no commit yet and goes only by name."""

    work: Work
    reasons: tuple[str, ...]
    #: Reasons that force does not override.
    firm: tuple[str, ...] = ()
    fresh: bool = False
    #: Everything committed in it is on the target, and something was.
    landed: bool = False

    def document(self) -> dict[str, object]:
        """Return why it stays, for an answer in JSON."""
        return {**self.work.document(), "reasons": list(self.reasons)}


class Outcome(NamedTuple):
    """What a cleaning has removed, each with the command that brings its commits back, and what it has left."""

    removed: tuple[tuple[Work, str | None], ...]
    kept: tuple[Judged, ...]


def clean(repository: Repository, names: Sequence[str], *, sweep: bool = False, force: bool = False) -> Outcome:
    """Remove the named work, all of it or none; with `sweep` whatever has landed (among the named, if any).

    Raises `Usage` for an unknown name, `Refused` with every reason, `Unreachable` when what has landed cannot be told.
    """
    if not names and not sweep:
        raise Usage("nothing is named to clean", hint="`homelab work clean TOPIC`, or --landed for all that has landed")
    rules = read_rules(repository)
    plan = registry.layout(repository, rules.config.work)
    found = _found(plan, names)
    target = _target(repository, rules, force=force and not sweep)
    with registry.exclusive(repository):
        found = [work for work in _found(plan, names) if names or _is_swept(plan, rules, work)]
        # The innermost first: a worktree may stand in another that goes with it.
        found.sort(key=lambda work: len(work.path.parts) if work.path else 0, reverse=True)
        if sweep:
            return _swept(plan, rules, target, found, force=force)
        judged = [_judge(plan, rules, target, work, found) for work in found]
        if staying := [one for one in judged if (one.firm if force else one.reasons)]:
            raise _refusal(plan, staying, force=force)
        return Outcome(tuple((work, remove.remove(plan, rules, work)) for work in found), ())


def _swept(plan: Layout, rules: State, target: str | None, found: Sequence[Work], *, force: bool) -> Outcome:
    """Judge each piece of work when its turn comes, and remove it at once: people work while others are being removed."""
    removed: list[tuple[Work, str | None]] = []
    kept, unfinished = [], remove.unfinished(plan.repository)
    for work in found:
        one = _judge(plan, rules, target, work, ())
        # It may have been moved, or stand on a disk that is not mounted: without its registration git knows it nowhere.
        gone = work.worktree is not None and work.worktree.missing and work.path not in unfinished
        if one.landed and not gone and not (one.firm if force else one.reasons):
            removed.append((work, remove.remove(plan, rules, work)))
        else:
            more = ["gone: its folder is not there; named, its registration goes too"] if gone else []
            more += ["fresh: it has no commit yet"] if one.fresh else []
            kept.append(one._replace(reasons=(*one.reasons, *more)))
    return Outcome(tuple(removed), tuple(kept))


def _found(plan: Layout, names: Sequence[str]) -> list[Work]:
    """Return the named work, each once, or every linked worktree."""
    entries = registry.registered(plan.repository)
    if not names:
        return [_of(plan, entry) for entry in entries if not entry.is_main]
    return list({work.name: work for work in (_named(plan, entries, name) for name in names)}.values())


def _is_swept(plan: Layout, rules: State, work: Work) -> bool:
    """Return whether a sweep may take a worktree that nobody has named.

    A worktree of the target or of a protected branch is permanent: what is committed there has always landed.
    """
    entry = work.worktree
    return entry is not None and plan.started(entry) and not (entry.branch and rules.protects(entry.branch))


def _of(plan: Layout, entry: Worktree) -> Work:
    return Work(plan.topic(entry) or str(entry.path), entry, entry.branch, entry.head)


def _named(plan: Layout, entries: Iterable[Worktree], name: str) -> Work:
    """Return the work that a topic, a branch or a whole path names; a part of a path names nothing."""
    linked = [entry for entry in entries if not entry.is_main]
    for entry in entries:
        if entry.is_main and name and name in (str(plan.root), entry.branch):
            raise Refused(f"{name} is the main worktree: it is never removed", hint="`homelab work list` names the others")
    for matches in (
        [entry for entry in linked if str(entry.path) in (name, f"{plan.directory}/{name}")],
        [entry for entry in linked if plan.topic(entry) == name],
        [entry for entry in linked if name == entry.branch],
    ):
        if matches:
            return _of(plan, matches[0])
    known = [plan.topic(entry) or str(entry.path) for entry in linked]
    if name.startswith("/"):
        raise Usage(f"there is no worktree at {output.line(name)}", hint="`homelab work list` names them")
    if name not in known:
        topic.check(name)
    branch = plan.branch(name)
    if tip := plan.repository.oid(f"refs/heads/{branch}"):
        if any(entry.branch == branch for entry in entries):
            raise Refused(f"{branch} is checked out in the main worktree", hint=f"`git -C {plan.root} switch -` frees it")
        return Work(name, None, branch, tip)
    near = difflib.get_close_matches(name, known, 1)
    raise Usage(
        f"there is no worktree or branch of the topic {output.line(name)}",
        hint=f"did you mean `{near[0]}`?" if near else "`homelab work list` names them",
    )


def _target(repository: Repository, rules: State, *, force: bool) -> str | None:
    """Return the target's tip as the remote has it now; None where there is none to judge by."""
    if rules.remote is None or rules.target is None:
        return None
    try:
        return fetch_branch(repository, rules.remote, rules.target)
    except (Unreachable, Failed) as error:
        if not force:
            raise Unreachable(error.message, hint=error.hint) from None
        output.warn(f"{error.message}; forced, it is not asked what has landed")
        return repository.oid(f"refs/remotes/{rules.remote}/{rules.target}")


def _judge(plan: Layout, rules: State, target: str | None, work: Work, going: Sequence[Work]) -> Judged:
    repository, reasons, firm = plan.repository, [], []
    if (entry := work.worktree) is not None:
        firm = _firm(repository, entry, {other.path for other in going})
        reasons += _standing(plan, entry)
    unlanded, fresh = _commits(repository, rules, target, work)
    return Judged(work, (*firm, *reasons, *unlanded), tuple(firm), fresh, landed=not unlanded and not fresh)


def _firm(repository: Repository, entry: Worktree, going: set[Path | None]) -> list[str]:
    inner = registry.nested(registry.registered(repository), entry.path)
    firm = [f"nested: it holds the worktree {output.line(str(one.path))}" for one in inner if one.path not in going]
    with contextlib.suppress(OSError):
        if Path.cwd().is_relative_to(entry.path):
            firm.insert(0, _HERE)
    return firm


def _standing(plan: Layout, entry: Worktree) -> list[str]:
    reasons = []
    if entry.lock is not None:
        reasons.append(f"locked: {output.line(entry.lock) or 'no reason was given'}")
    if entry.missing:
        if os.path.lexists(entry.path):
            reasons.append("unreadable: its .git is gone; `git worktree repair` may bring it back")
        elif moved := registry.moved(plan, entry):
            reasons.append(
                f"moved: it stands at {output.line(str(moved))} now; `git worktree repair {shlex.quote(str(moved))}` tells git"
            )
        return reasons
    reasons += [f"in use: process {one.pid} ({output.line(one.name)}) works in it" for one in occupants(entry.path)]
    return [*reasons, *leftovers(entry.path, plan.repository.common_dir, plan.repository.worktree)]


def _commits(repository: Repository, rules: State, target: str | None, work: Work) -> tuple[list[str], bool]:
    """Return the reasons that the work's commits give, and whether it has none of its own yet."""
    if work.tip is None:
        return [], True
    if target and landed.proof(repository, target, work.tip):
        return [], not work.branch or not landed.begun(repository, target, work.branch, work.tip)
    where = f"{rules.remote}/{rules.target}"
    elsewhere = landed.pushed(repository, work.tip)
    if not work.branch and (elsewhere or _on_a_branch(repository, work.tip)):
        return [], False
    if not target:
        return ["unlanded: there is no target on a remote to tell what has landed"], False
    commits = landed.missing(repository, target, work.tip)
    shown = "; ".join(output.line(commit) for commit in commits[:3]) + (" …" if len(commits) > 3 else "")
    note = f", pushed as {elsewhere}" if elsewhere else ""
    return [f"unlanded: {len(commits)} {'commit' if len(commits) == 1 else 'commits'} not on {where}{note}: {shown}"], False


def _on_a_branch(repository: Repository, tip: str) -> bool:
    return bool(repository.line("for-each-ref", f"--contains={tip}", "--count=1", "--format=x", "refs/heads"))


def _refusal(plan: Layout, staying: Sequence[Judged], *, force: bool) -> Refused:
    rows = []
    for one in staying:
        rows.append(f"{output.line(one.work.name)} is not removed:")
        rows += [f"  {reason}" for reason in (one.firm if force else one.reasons)]
    hint = "land or move away what is named (`homelab work land`), then run it again; --force destroys it"
    command = None
    if any(_HERE in one.firm for one in staying):
        command = f"cd {shlex.quote(str(plan.root))}"
        hint = f"`{command}`, then run it again"
    elif not force and any(one.work.worktree and one.work.worktree.lock is not None for one in staying):
        locked = next(one.work.path for one in staying if one.work.worktree and one.work.worktree.lock is not None)
        command = f"git worktree unlock {shlex.quote(str(locked))}"
        hint = f"ask who locked it whether they are done; `{command}`, then run it again"
    elif force:
        hint = "name the inner worktree as well, or clean it first"
    return Refused(
        "\n".join(rows), hint=hint, next=command, fields={"removed": [], "kept": [one.document() for one in staying]}
    )
