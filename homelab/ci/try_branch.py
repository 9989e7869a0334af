"""A try branch: a candidate is pushed beside the target, what CI says of it is the verdict, and the branch is taken away.

The change does not judge itself: one that touches CI's own files is refused, and so is any while a push of a try branch would
deploy. The record of a branch is on disk before the branch is on the remote, so whoever comes after a kill takes it away.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from homelab import output
from homelab.ci import last_heard, trigger, watch
from homelab.ci.report import url
from homelab.ci.site import Site, find
from homelab.ci.verdict import OPEN, Check, Verdict, judge, names
from homelab.ci.watch import GRACE, Outcome, Paced
from homelab.errors import Failed, Refused, Unreachable
from homelab.git.remotes import ask_remote
from homelab.git.repository import Repository
from homelab.gitcrypt import plaintext
from homelab.policy import ci_files
from homelab.policy.config import Ci
from homelab.policy.rules import read_rules
from homelab.policy.states import State, require_target
from homelab.policy.targets import Targets
from homelab.policy.tree import Tree
from homelab.system import files

PREFIX = "homelab/try/"
_SLICE = 0.2
_PUSH = 600


class Result(StrEnum):
    """How a try branch ended."""

    PASSED = "passed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    #: CI gave no verdict: nothing in the commit is wrong, as far as anybody knows.
    UNABLE = "unable"


class Tried(NamedTuple):
    """What became of one candidate at CI."""

    result: Result
    #: Why it is not green, in a few words.
    reason: str = ""
    url: str | None = None
    checks: tuple[Check, ...] = ()
    #: The last lines of what is red, each with the check's name.
    tails: tuple[tuple[str, str], ...] = ()


class Abandoned(Exception):
    """Nobody wants the verdict any more."""


def attempt(
    repository: Repository,
    commit: str,
    key: str,
    pattern: str,
    *,
    timeout: float,
    abandoned: Callable[[], bool] = lambda: False,
) -> Tried:
    """Push a candidate as ``homelab/try/KEY-COMMIT``. Return what the checks that match `pattern` say of it.

    `timeout` counts in seconds from the push. Raises `Refused` where CI's files forbid it, `Unreachable` where the remote or
    CI cannot be asked, and `Abandoned`. The branch is gone from the remote in every case, after a kill by the next one.
    """
    rules = read_rules(repository)
    remote, branch = require_target(rules)
    require_harmless(repository, rules, commit)
    plaintext.require_pushed(repository, [commit], remote=remote)
    sweep(repository)
    branch = f"{PREFIX}{key[:12]}-{commit[:12]}"
    ci = rules.config.ci
    target = find(repository, remote, branch, Ci(ci.kind, ci.url, ci.repository, (pattern,)))
    if trigger.is_skipped(repository.objects.message(commit)):
        return Tried(Result.UNABLE, "the commit's message makes CI skip it")
    expected = _expected(target, repository, rules, pattern)
    site = find(repository, remote, branch, Ci(ci.kind, ci.url, ci.repository, (pattern,)), is_try=True)
    with _pushed(repository, remote, branch, commit, site) as earlier:
        clock = _Impatient(site.clock.pace, abandoned)
        look = _Expecting(site, expected, earlier, clock)
        outcome = watch.watch(look, commit, clock, limit=timeout / clock.pace)
        last_heard.discount(repository, commit, (check.id for check in outcome.checks))
        return _trial(site, outcome, timeout)


def require_harmless(repository: Repository, rules: State, commit: str) -> None:
    """Refuse a candidate that changes CI's own files, and any while a push of a try branch would deploy. Raises `Refused`."""
    tree = Tree(repository.objects, repository.objects.commit(commit).tree)
    paths = ci_files.ci_files(tree)
    tip = repository.oid("refs/remotes/" + "/".join(require_target(rules)))
    base = repository.line("merge-base", tip, commit) if tip else None
    before = Tree(repository.objects, repository.objects.commit(base).tree) if base else None
    both = dict.fromkeys((*paths, *(ci_files.ci_files(before) if before else ())))
    changed = [path for path in both if before is None or _entry(tree, path) != _entry(before, path)]
    if changed:
        raise Refused(
            f"it changes CI's own files, so CI cannot be its judge: {output.names(changed, 3)}",
            hint="land it by a review (`git push REMOTE BRANCH`), or `homelab work land --no-verify`",
        )
    unread = [path for path in paths if not isinstance(tree.yaml(path), dict)]
    if unread:
        raise Refused(
            f"nobody can tell what a push of a try branch would run: {output.line(unread[0])} cannot be read",
            hint="mend that file, or verify with `run` instead of `ci`",
        )
    if steps := ci_files.deploying(tree, f"{PREFIX}x", Targets(tree)):
        raise Refused(
            f"a push of a try branch would deploy what nobody verified: {output.line(steps[0].source)}",
            hint=f"bind that step to pushes of {rules.target}; README.md, Verified by your CI, has the lines",
        )


def _entry(tree: Tree, path: str) -> tuple[int, str] | None:
    found = tree.objects.entry(tree.oid, path)
    return (found.mode, found.oid) if found else None


def _expected(target: Site, repository: Repository, rules: State, pattern: str) -> list[str]:
    """Return the names that have to be there: a name itself, of a pattern all that the target's tip shows."""
    if not any(char in pattern for char in "*?["):
        return [pattern]
    tip = repository.oid(f"refs/remotes/{rules.remote}/{rules.target}")
    return names(target.look(tip)) if tip else []


class _Impatient(Paced):
    """The real clock; a wait on it ends early once the verdict is no longer wanted."""

    def __init__(self, pace: float, abandoned: Callable[[], bool]) -> None:
        super().__init__(pace)
        self.abandoned = abandoned

    def sleep(self, seconds: float) -> None:
        """Wait. Raises `Abandoned`."""
        end = time.monotonic() + max(0.0, seconds) * self.pace
        while (left := end - time.monotonic()) > 0:
            if self.abandoned():
                raise Abandoned
            time.sleep(min(left, _SLICE))


@dataclass(slots=True)
class _Expecting:
    """Looks for a candidate's checks; what was there before the push says nothing, and what is expected has to come."""

    site: Site
    expected: list[str]
    earlier: frozenset[str]
    clock: Paced
    done_since: float | None = None

    def __call__(self, commit: str) -> list[Check]:
        found = [check for check in self.site.look(commit) if check.id not in self.earlier]
        there = {check.name for check in found}
        missing = [name for name in self.expected if name not in there]
        if not found or judge(found) in OPEN or not missing:
            self.done_since = None
            return found
        now = self.clock.now()
        self.done_since = self.done_since or now
        verdict = Verdict.RUNNING if now - self.done_since < GRACE else Verdict.GONE
        return [*found, *(Check(name, "missing", verdict) for name in missing)]


def _trial(site: Site, outcome: Outcome, timeout: float) -> Tried:
    link, checks = url(outcome), outcome.checks
    which = output.names(names(checks, outcome.verdict), 4)
    if outcome.verdict is Verdict.UNREACHABLE and not outcome.is_cut:
        raise Unreachable(outcome.reason or "CI cannot be asked", hint=outcome.hint or "run it again")
    if outcome.is_cut:
        return Tried(
            Result.TIMEOUT, f"CI had no verdict after {output.duration(timeout)}: {which or 'nothing seen'}", link, checks
        )
    match outcome.verdict:
        case Verdict.GREEN:
            return Tried(Result.PASSED, "", link, checks)
        case Verdict.RED:
            return Tried(Result.FAILED, f"CI is red: {which}", link, checks, tuple(site.tails(outcome)))
        case Verdict.GONE:
            missing = [check.name for check in checks if check.word == "missing"]
            words = f"CI did not run {output.names(missing, 4)} for the try branch" if missing else f"CI was ended: {which}"
            return Tried(Result.UNABLE, words, link, checks)
        case Verdict.NONE:
            return Tried(Result.UNABLE, "CI runs nothing that matches for pushes of try branches", link, checks)
        case Verdict.ASKS:
            return Tried(Result.UNABLE, f"CI waits for somebody to act: {which}", link, checks)
    return Tried(Result.UNABLE, f"CI says {outcome.verdict}: {which}", link, checks)


@contextlib.contextmanager
def _pushed(repository: Repository, remote: str, branch: str, commit: str, site: Site) -> Iterator[frozenset[str]]:
    """Keep the try branch on the remote for the block. Yield the checks that the commit had before."""
    record = _folder(repository) / f"{hashlib.sha256(f'{remote} {branch}'.encode()).hexdigest()[:24]}.json"
    fd = _hold(record)
    try:
        ref = f"refs/heads/{branch}"
        is_there = ask_remote(repository, remote, ref).get(ref) == commit  # after a kill: it is the same trial
        earlier = frozenset() if is_there else frozenset(check.id for check in site.look(commit))
        files.replace(record, json.dumps({"remote": remote, "branch": branch, "commit": commit}).encode())
        try:
            _push(repository, remote, ref, commit, fd)
            yield earlier
        finally:
            _take_away(repository, record, remote, branch, commit)
    finally:
        files.free(fd)


def _hold(record: Path) -> int:
    while (fd := files.hold(record.with_suffix(".lock"))) is None:  # the very same candidate, tried by another process
        time.sleep(_SLICE)
    return fd


def _push(repository: Repository, remote: str, ref: str, commit: str, fd: int) -> None:
    # With its hooks: they look for plaintext, and upload what LFS keeps elsewhere. With our lock, so that a push that
    # outlives us is not swept away before it is there.
    argv = ("push", "--porcelain", "--no-follow-tags", f"--force-with-lease={ref}:", "--", remote, f"{commit}:{ref}")
    done = repository.run(*argv, timeout=_PUSH, pass_fds=(fd,))
    if done.returncode and ask_remote(repository, remote, ref).get(ref) != commit:
        raise Failed(
            f"the try branch cannot be pushed to {remote}: {done.words}",
            hint="the server has to take branches called homelab/try/*; `git push` shows what it says",
        )


def _take_away(repository: Repository, record: Path, remote: str, branch: str, commit: str) -> None:
    """Remove the branch from the remote, where it still is that commit, and forget it; else it stays for `sweep`."""
    ref = f"refs/heads/{branch}"
    repository.run("push", "--quiet", "--no-verify", f"--force-with-lease={ref}:{commit}", "--", remote, f":{ref}", timeout=60)
    try:
        if ask_remote(repository, remote, ref).get(ref) != commit:
            record.unlink(missing_ok=True)
            return
    except (Unreachable, Failed):
        pass
    output.warn(f"note: {branch} is still on {remote}; the next trial takes it away")


def sweep(repository: Repository) -> None:
    """Take away the try branches that killed processes of this clone left on remotes."""
    for record in sorted(_folder(repository).glob("*.json")):
        fd = files.hold(record.with_suffix(".lock"))
        if fd is None:
            continue
        try:
            if known := files.document(record, {"remote": str, "branch": str, "commit": str}):
                _take_away(repository, record, known["remote"], known["branch"], known["commit"])
            else:
                files.remove(record)
        finally:
            files.free(fd)


def _folder(repository: Repository) -> Path:
    return repository.state / "ci" / "try"
