"""Starting work: a topic's worktree on its branch, off the fetched target; made whole or not at all.

Registration is done one at a time for all worktrees of the clone, filling the folder is not. A record says what a start
has made so far: after a failure it is undone, after SIGKILL the next start of the topic finishes it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from homelab import git, output, policy, process, storage, topic, worktree
from homelab.errors import Failed, Refused, Unreachable, Usage
from homelab.git import Repository
from homelab.policy import Aim
from homelab.repo import Objects
from homelab.worktree import Layout, Worktree


@dataclass(frozen=True, slots=True)
class Started:
    """A topic's worktree; `base` is the commit that its branch was made at, None where the branch was there before."""

    topic: str
    path: Path
    branch: str | None
    base: str | None
    created: bool


@dataclass(frozen=True, slots=True)
class _Record:
    """What a start is about to make, written before it makes it."""

    path: str
    branch: str
    #: Where the branch is made; None where it was there before.
    base: str | None
    #: The folders that were not there before, the innermost first.
    folders: tuple[str, ...]
    stage: str = "checkout"


def start(repository: Repository, objects: Objects, name: str, *, revision: str | None = None) -> Started:
    """The topic has a worktree and a branch; both were there, or were made off `revision`, else off the fetched target.

    Raises `Usage` for a bad topic or revision, `Refused` where something stands in the way, `Unreachable`, `Failed`.
    """
    topic.check(name)
    aim = policy.aim(repository, objects)
    plan = worktree.layout(repository, aim.config.work)
    with _alone(plan, name) as fd:
        if (interrupted := _read(plan, name)) and (finished := _finish(plan, name, interrupted, aim, fd)):
            return finished
        with worktree.exclusive(repository):
            there = _started(plan, name, plan.branch(name))
        if there:
            return there
        wanted = _revision(repository, revision)
        tips = _ask(repository, aim, plan.branch(name), optional=wanted is not None)
        _fetch(repository, aim, tips, plan.branch(name), target=wanted is None)
        aim = policy.aim(repository, objects, ask=False)
        plan = worktree.layout(repository, aim.config.work)
        return _make(plan, name, aim, tips, wanted, fd)


def _make(plan: Layout, name: str, aim: Aim, tips: dict[str, str], wanted: str | None, fd: int) -> Started:
    branch, path = plan.branch(name), plan.path(name)
    record = None
    try:
        with worktree.exclusive(plan.repository):
            if there := _started(plan, name, branch):
                return there
            worktree.require_room(worktree.registered(plan.repository), plan, path)
            _require_folder(plan, path)
            base = _base(plan.repository, aim, branch, tips, wanted)
            record = _Record(str(path), branch, base, _missing_folders(path))
            _write(plan, name, record)
            _ignore(plan, name)
            _register(plan.repository, record)
        _fill(plan, record, fd)
    except BaseException:
        if record:
            _undo(plan, name, record)
        raise
    return _prepare(plan, name, record, aim)


@contextlib.contextmanager
def _alone(plan: Layout, name: str) -> Iterator[int]:
    """No other start of this topic runs meanwhile: its path is not given away before the folder is whole."""
    path = plan.repository.state / "locks" / f"start-{_digest(name)}"
    fd = storage.hold(path)
    if fd is None:
        output.say(f"another start of {name} is under way, waiting for it")
        fd = storage.hold(path, blocking=True)
    assert fd is not None
    try:
        yield fd
    finally:
        os.close(fd)


def _digest(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _place(plan: Layout, name: str) -> Path:
    return plan.repository.state / "starting" / _digest(name)


def _write(plan: Layout, name: str, record: _Record) -> None:
    storage.replace(_place(plan, name), json.dumps(asdict(record)).encode())


def _read(plan: Layout, name: str) -> _Record | None:
    try:
        fields = json.loads(_place(plan, name).read_bytes())
        return _Record(**{**fields, "folders": tuple(fields["folders"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _started(plan: Layout, name: str, branch: str) -> Started | None:
    """Return the worktree that the topic has, or None; a registration whose folder is gone has been taken back."""
    path = plan.path(name)
    for entry in worktree.registered(plan.repository):
        if entry.path != path and entry.branch != branch:
            continue
        if entry.is_main:
            raise Refused(
                f"{branch} is checked out in the main worktree {entry.path}",
                hint=f"`git -C {entry.path} switch {'-' if entry.path == plan.root else 'BRANCH'}` frees it",
            )
        if not entry.missing:
            if entry.branch != branch:
                output.say(f"{path} is there, on {entry.branch or 'a detached HEAD'} instead of {branch}")
            return Started(name, entry.path, entry.branch, None, created=False)
        _forget(plan, entry)
    return None


def _forget(plan: Layout, entry: Worktree) -> None:
    """Git no longer has the worktree, whose folder is gone. Raises `Refused` when it is locked."""
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


def _ask(repository: Repository, aim: Aim, branch: str, *, optional: bool) -> dict[str, str]:
    """Return the remote's tips of the target and of the topic's branch, nothing where the remote is not needed."""
    if repository.oid(f"refs/heads/{branch}"):
        return {}
    if optional and (aim.remote is None or aim.target is None):
        return {}
    wanted = [f"refs/heads/{aim.require_target()}", f"refs/heads/{branch}"] if aim.require_remote() else []
    try:
        return git.ask_remote(repository, aim.require_remote(), *wanted)
    except (Unreachable, Failed) as error:
        if not optional:
            raise Unreachable(error.message, hint=error.hint) from None
        output.say(f"{error.message}; whether it has {branch} is not known")
        return {}


def _fetch(repository: Repository, aim: Aim, tips: dict[str, str], branch: str, *, target: bool) -> None:
    for name in (*((aim.target,) if target else ()), branch):
        tip = tips.get(f"refs/heads/{name}")
        known = {repository.oid(f"refs/{place}/{aim.remote}/{name}") for place in ("homelab/seen", "remotes")}
        if aim.remote and name and tip and known != {tip}:
            git.fetch_branch(repository, aim.remote, name)


def _base(repository: Repository, aim: Aim, branch: str, tips: dict[str, str], wanted: str | None) -> str | None:
    """Return where the branch is to be made, None where it is there already. Raises `Refused`."""
    if repository.oid(f"refs/heads/{branch}"):
        output.say(f"{branch} is there already and is attached" + (", not made anew" if wanted else ""))
        return None
    _require_free_name(repository, branch)
    if tip := tips.get(f"refs/heads/{branch}"):
        output.say(f"{branch} is on {aim.remote} already and is taken from there")
        return repository.oid(f"refs/remotes/{aim.remote}/{branch}") or tip
    if wanted:
        return wanted
    target = f"{aim.require_remote()}/{aim.require_target()}"
    tip = repository.oid(f"refs/homelab/seen/{target}") if tips else None
    if tip is None or f"refs/heads/{aim.target}" not in tips:
        raise Refused(
            f"{aim.remote} has no branch {aim.target} to start from",
            hint=f"push a first commit with `git push {aim.remote} HEAD:{aim.target}`, or give `--from REV`",
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
            hint=f"look at it with `ls -A {path}`, then move it away",
        )


def _missing_folders(path: Path) -> tuple[str, ...]:
    return tuple(str(folder) for folder in (path, *path.parents) if not folder.exists())


def _ignore(plan: Layout, name: str) -> None:
    """Git ignores the worktrees' folder in every worktree, by a line that belongs to this clone alone."""
    pattern = f"{plan.name}/" if plan.name != "." else f"/{name.split('/')[0]}/"
    if (plan.root / plan.name).is_symlink():
        pattern = pattern.rstrip("/")
    file = plan.repository.common_dir / "info" / "exclude"
    there = file.read_bytes() if file.exists() else b""
    line = os.fsencode(pattern)
    if line in there.splitlines() or b"/" + line in there.splitlines():
        return
    file.parent.mkdir(exist_ok=True)
    with file.open("ab") as stream:
        stream.write((b"\n" if there and not there.endswith(b"\n") else b"") + line + b"\n")


def _register(repository: Repository, record: _Record) -> None:
    """Git has the worktree, empty, and the branch, without an upstream: `git push` shall not suggest the target."""
    how = ["--", record.path, record.branch]
    if record.base:
        how = ["--no-track", "-b", record.branch, "--", record.path, record.base]
    done = repository.run("worktree", "add", "--quiet", "--no-checkout", *how)
    if done.returncode:
        raise Failed(
            f"git cannot make the worktree: {done.words}", hint="nothing was left behind; mend that, then run it again"
        )


def _fill(plan: Layout, record: _Record, fd: int) -> None:
    """The worktree's files stand there and the clone's post-checkout hook has agreed, as after `git worktree add`."""
    made = git.discover(Path(record.path))
    workers = () if made.config("checkout.workers") else ("-c", "checkout.workers=0")
    # The lock goes along, so that nobody fills the folder twice while git outlives us; a daemon would keep it for ever.
    done = made.run(
        "-c", "core.fsmonitor=false", *workers, "reset", "--quiet", "--hard", "--no-recurse-submodules", pass_fds=(fd,)
    )
    if done.returncode:
        raise _failed(f"git cannot check out {record.branch}", done)
    head = made.oid("HEAD")
    assert head is not None
    done = made.run("hook", "run", "--ignore-missing", "post-checkout", "--", "0" * len(head), head, "1")
    if done.returncode:
        raise _failed("the post-checkout hook refused the worktree", done)
    output.quote((done.stdout + done.stderr).decode(errors="replace"))


def _failed(what: str, done: process.Completed) -> Failed:
    output.quote((done.stdout + done.stderr).decode(errors="replace"))
    return Failed(f"{what}: {done.words}", hint="nothing was left behind; mend that, then run it again")


@contextlib.contextmanager
def _unsignalled() -> Iterator[None]:
    """No signal ends the undoing: a second Ctrl-C would leave half of it."""
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _undo(plan: Layout, name: str, record: _Record) -> None:
    """Nothing is left of what this start has made, and what was there before still is."""
    repository, path = plan.repository, Path(record.path)
    with _unsignalled(), worktree.exclusive(repository):
        if any(entry.path == path for entry in worktree.registered(repository)):
            repository.run("worktree", "remove", "--force", "--force", "--", record.path)
        if os.path.lexists(path):
            shutil.rmtree(path, ignore_errors=True)
        for folder in record.folders:
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
        if record.path not in record.folders:
            path.mkdir(exist_ok=True)
        if record.base:
            repository.run("update-ref", "-d", f"refs/heads/{record.branch}", record.base)
        _place(plan, name).unlink(missing_ok=True)


def _finish(plan: Layout, name: str, record: _Record, aim: Aim, fd: int) -> Started | None:
    """Return what an interrupted start had begun, finished; None when nothing of it is there."""
    path = Path(record.path)
    with worktree.exclusive(plan.repository):
        entry = next((entry for entry in worktree.registered(plan.repository) if entry.path == path), None)
        if entry is None or entry.missing:
            with contextlib.suppress(OSError):
                if [inner.name for inner in path.iterdir()] == [".git"]:
                    (path / ".git").unlink()
                    path.rmdir()
            _place(plan, name).unlink(missing_ok=True)
            return None
        if entry.lock == "initializing":
            plan.repository.run("worktree", "unlock", record.path)
    output.say(f"an earlier start of {name} was interrupted, it is finished now")
    git_dir = git.discover(path).git_dir
    # Git writes the index when every file stands: without one the folder was never whole, and was given to nobody.
    if record.stage == "checkout" and not (git_dir / "index").exists():
        (git_dir / "index.lock").unlink(missing_ok=True)
        try:
            _fill(plan, record, fd)
        except BaseException:
            _undo(plan, name, record)
            raise
    return _prepare(plan, name, record, aim)


def _prepare(plan: Layout, name: str, record: _Record, aim: Aim) -> Started:
    """Return the worktree after ``[work] prepare`` has run in it. Raises `Failed`; the worktree stays then."""
    started = Started(name, Path(record.path), record.branch, record.base, created=True)
    if command := aim.config.work.prepare:
        _write(plan, name, _Record(**{**asdict(record), "stage": "prepare"}))
        output.say(f"prepare: {command}")
        code = process.narrate(["sh", "-c", command], output.quote, cwd=started.path)
        if code:
            _place(plan, name).unlink(missing_ok=True)
            ended = f"ended with {code}" if code > 0 else f"ended by {process.signal_name(-code)}"
            raise Failed(
                f"[work] prepare {ended}; the worktree stays: {started.path}",
                hint=f"`cd {started.path}` and run it by hand: {command}",
                fields={**asdict(started), "path": str(started.path)},
            )
    _place(plan, name).unlink(missing_ok=True)
    return started
