"""Making one worktree, whole or not at all.

Registration is done one at a time for all worktrees of the clone, filling the folder is not. A record says what is being
made: after a failure it is undone, after SIGKILL the next start of the topic finishes it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from homelab import output
from homelab.errors import Failed
from homelab.git.repository import Repository, discover
from homelab.policy.states import State
from homelab.system import files, process
from homelab.worktrees import include, registry
from homelab.worktrees.registry import Layout


@dataclass(frozen=True, slots=True)
class Started:
    """A topic's worktree; `base` is the commit that its branch was made at, None where the branch was there before."""

    topic: str
    path: Path
    branch: str | None
    base: str | None
    created: bool

    def document(self) -> dict[str, object]:
        """Return it as answers in JSON have it."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True, slots=True)
class Record:
    """What a start is about to make, written before it makes it."""

    path: str
    branch: str
    #: Where the branch is made; None where it was there before.
    base: str | None
    #: The folders that were not there before, the innermost first.
    folders: tuple[str, ...]
    stage: str = "checkout"


_TYPES = {"path": str, "branch": str, "base": str | None, "folders": list, "stage": str}


@contextlib.contextmanager
def alone(plan: Layout, name: str) -> Iterator[int]:
    """Keep other starts of this topic out for the block: its path is not given away before the folder is whole."""
    path = plan.repository.state / "locks" / f"start-{_digest(name)}"
    fd = files.hold(path)
    if fd is None:
        output.say(f"another start of {name} is under way, waiting for it")
        fd = files.hold(path, blocking=True)
    assert fd is not None
    try:
        yield fd
    finally:
        os.close(fd)


def _digest(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _place(plan: Layout, name: str) -> Path:
    return plan.repository.state / "starting" / _digest(name)


def write(plan: Layout, name: str, record: Record) -> None:
    """Write down what is being made, for the next run should this one be killed."""
    files.replace(_place(plan, name), json.dumps(asdict(record)).encode())


def interrupted(plan: Layout, name: str) -> Record | None:
    """Return what an earlier start had begun to make, or None."""
    found = files.document(_place(plan, name), _TYPES)
    if found is None or not all(files.is_sound(folder, str) for folder in found["folders"]):
        return None
    if Path(found["path"]) != plan.path(name):  # undoing it would remove somebody else's folder
        return None
    return Record(**{**{field: found[field] for field in _TYPES}, "folders": tuple(found["folders"])})


def missing_folders(path: Path) -> tuple[str, ...]:
    """Return the folders on the way to a path that are not there, the innermost first."""
    return tuple(str(folder) for folder in (path, *path.parents) if not folder.exists())


def ignore(plan: Layout, name: str) -> None:
    """Let git ignore the worktrees' folder in every worktree, by a line of this clone alone."""
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


def register(repository: Repository, record: Record) -> None:
    """Register the worktree, empty, and make its branch. It has no upstream: `git push` must not suggest the target."""
    how = ["--", record.path, record.branch]
    if record.base:
        how = ["--no-track", "-b", record.branch, "--", record.path, record.base]
    done = repository.run("worktree", "add", "--quiet", "--no-checkout", *how)
    if done.returncode:
        raise Failed(
            f"git cannot make the worktree: {done.words}", hint="nothing was left behind; mend that, then run it again"
        )


def fill(record: Record, fd: int) -> None:
    """Check out the worktree's files and run the post-checkout hook, as `git worktree add` does. Raises `Failed`."""
    made = discover(Path(record.path))
    workers = () if made.config("checkout.workers") else ("-c", "checkout.workers=0")
    # The lock goes along, so that nobody fills the folder twice while git outlives us; a daemon would keep it for ever.
    reset = ("-c", "core.fsmonitor=false", *workers, "reset", "--quiet", "--hard", "--no-recurse-submodules")
    done = made.run(*reset, pass_fds=(fd,))
    if done.returncode and b"lfs" in done.stderr:
        output.warn("note: large files cannot be had now, and are pointers in it: `git lfs pull` brings them")
        done = made.run(*reset, env={"GIT_LFS_SKIP_SMUDGE": "1"}, pass_fds=(fd,))
    if done.returncode:
        raise _failed(f"git cannot check out {record.branch}", done)
    head = made.oid("HEAD")
    assert head is not None
    done = made.run("hook", "run", "--ignore-missing", "post-checkout", "--", "0" * len(head), head, "1")
    if done.returncode:
        raise _failed("the post-checkout hook refused the worktree", done)
    output.quote((done.stdout + done.stderr).decode(errors="replace"))
    if made.config("core.sparseCheckout") == "true":
        output.say("it is sparse, as the main worktree is: `git sparse-checkout disable` in it brings everything")
    if (Path(record.path) / ".gitmodules").exists():
        output.say("it has submodules, which are empty yet: `git submodule update --init` fills them")


def _failed(what: str, done: process.Completed) -> Failed:
    output.quote((done.stdout + done.stderr).decode(errors="replace"))
    return Failed(f"{what}: {done.words}", hint="nothing was left behind; mend that, then run it again")


@contextlib.contextmanager
def _unsignalled() -> Iterator[None]:
    """Hold signals back for the block: a second Ctrl-C would leave half of the undoing."""
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def undo(plan: Layout, name: str, record: Record) -> None:
    """Remove all that this start has made; keep what was there before."""
    repository, path = plan.repository, Path(record.path)
    with _unsignalled(), registry.exclusive(repository):
        if any(entry.path == path for entry in registry.registered(repository)):
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


def finish(plan: Layout, name: str, record: Record, rules: State, fd: int) -> Started | None:
    """Finish what an interrupted start had begun, and return it; None when nothing of it is left."""
    path = Path(record.path)
    with registry.exclusive(plan.repository):
        entry = next((entry for entry in registry.registered(plan.repository) if entry.path == path), None)
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
    git_dir = discover(path).git_dir
    # Git writes the index when every file stands: without one the folder was never whole, and was given to nobody.
    if record.stage == "checkout" and not (git_dir / "index").exists():
        (git_dir / "index.lock").unlink(missing_ok=True)
        try:
            fill(record, fd)
        except BaseException:
            undo(plan, name, record)
            raise
    return prepare(plan, name, record, rules)


def prepare(plan: Layout, name: str, record: Record, rules: State) -> Started:
    """Give the worktree what it gets from the main one, and prepare it. Return it. Raises `Failed`; the worktree stays then."""
    started = Started(name, Path(record.path), record.branch, record.base, created=True)
    include.bring(plan.repository, started.path, plan.directory)
    if command := rules.config.work.prepare:
        write(plan, name, replace(record, stage="prepare"))
        output.say(f"prepare: {command}")
        code = process.narrate(["sh", "-c", command], output.quote, cwd=started.path, lasts=output.waits_for("prepare"))
        if code:
            _place(plan, name).unlink(missing_ok=True)
            ended = f"ended with {code}" if code > 0 else f"ended by {process.signal_name(-code)}"
            raise Failed(
                f"[work] prepare {ended}; the worktree stays: {started.path}",
                hint=f"`cd {started.path}` and run it by hand: {command}",
                fields=started.document(),
            )
    _place(plan, name).unlink(missing_ok=True)
    return started
