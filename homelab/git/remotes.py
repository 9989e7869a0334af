"""Remotes: what they answer when they are asked, and what is fetched from them."""

import os
import re
import time

from homelab.errors import Failed, Unreachable
from homelab.git.repository import Repository
from homelab.system import files, process

#: Seconds without a byte after which a remote is given up.
_SILENCE = 60
# A black-holed host never answers: these end a transfer that has moved under 1000 bytes/s for 30 s.
_PATIENCE = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30")


def ask_remote(repository: Repository, remote: str, *patterns: str, timeout: float = _SILENCE) -> dict[str, str]:
    """Return what the remote says now: full ref name to object id. Raises `Unreachable`."""
    done = _talk(repository, remote, "ls-remote", "--refs", "--", remote, *patterns, patience=timeout)
    if done.returncode:
        raise _unreachable(remote, done)
    found = {}
    for row in os.fsdecode(done.stdout).split("\n"):
        oid, tab, name = row.partition("\t")
        if tab:
            found[name] = oid
    return found


def ask_remote_head(repository: Repository, remote: str, *, timeout: float = _SILENCE) -> str | None:
    """Return the branch that the remote's HEAD names, or None when it does not say. Raises `Unreachable`."""
    done = _talk(repository, remote, "ls-remote", "--symref", "--", remote, "HEAD", patience=timeout)
    if done.returncode:
        raise _unreachable(remote, done)
    found = re.search(r"^ref: refs/heads/(.+)\tHEAD$", os.fsdecode(done.stdout), re.MULTILINE)
    return found[1] if found else None


def fetch_branch(repository: Repository, remote: str, branch: str) -> str | None:
    """Return the branch's tip as the remote has it now, fetched, or None where it has no such branch.

    Our own ref `refs/homelab/seen/REMOTE/BRANCH` and the remote-tracking ref name it afterwards. Raises `Unreachable`.
    """
    source, seen = f"refs/heads/{branch}", f"refs/homelab/seen/{remote}/{branch}"
    # Worktrees share the refs, and of six parallel fetches five fail on the ref's lock: one at a time, no refmap.
    with files.locked(repository.state / "locks" / "fetch"):
        tracked = f"refs/remotes/{remote}/{branch}"
        before = {name: oid for name, (oid, _) in repository.refs(seen, tracked).items()}
        done = _fetch(repository, remote, f"+{source}:{seen}")
        if done.returncode and _clear(repository, remote, branch):
            done = _fetch(repository, remote, f"+{source}:{seen}")
        if done.returncode:
            if source not in ask_remote(repository, remote, source):
                return None
            raise _not_fetched(remote, branch, done)
        tip = repository.oid(seen)
        assert tip is not None
        for old in set(before.values()) - {tip}:
            if not repository.is_ancestor(old, tip):  # kept, so that no branch brings it back unnoticed
                repository.run("update-ref", f"refs/homelab/removed/{old}", old)
        for _ in range(20):  # another program's fetch may hold the ref for a moment
            if before.get(tracked) == tip or repository.run("update-ref", tracked, tip).returncode == 0:
                break
        return tip


def _clear(repository: Repository, remote: str, branch: str) -> bool:
    """Drop what we remember of branches that cannot be beside this one any more. Return whether there was any.

    The remote had `ann/dns`, where it has `ann/dns/part` now, or the other way round; git keeps no such two refs.
    """
    places = (f"refs/homelab/seen/{remote}/", f"refs/remotes/{remote}/")
    rows = (repository.line("for-each-ref", "--format=%(refname)", *places) or "").split("\n")
    known = [(row, row.removeprefix(place)) for row in rows for place in places if row.startswith(place)]
    stale = [ref for ref, name in known if name.startswith(f"{branch}/") or branch.startswith(f"{name}/")]
    for ref in stale:
        repository.run("update-ref", "-d", ref)
    return bool(stale)


def fetch_commit(repository: Repository, address: str, branch: str) -> str | None:
    """Return the tip of a branch at an address, with its objects, or None where there is none. No ref is made.

    Raises `Unreachable`.
    """
    source = f"refs/heads/{branch}"
    tip = ask_remote(repository, address, source).get(source)
    if tip is None or repository.objects.has(tip):
        return tip
    done = _fetch(repository, address, source)
    if done.returncode:
        raise _unreachable(address, done)
    return tip if repository.objects.has(tip) else None


def _talk(repository: Repository, remote: str, *args: str, patience: float) -> process.Completed:
    """Return how a git command ended that talks to a remote. Raises `Unreachable` when that stays silent."""
    from homelab.system.conversation import Silent

    try:
        return repository.ask(*_PATIENCE, *args, patience=patience)
    except Silent:
        raise Unreachable(
            f"the remote {remote} cannot be reached: it has said nothing for {patience:.0f} s",
            hint=f"look at the network; `git ls-remote {remote}` waits for it",
        ) from None


def _fetch(repository: Repository, remote: str, refspec: str) -> process.Completed:
    """Return how a fetch ended. While a worktree is being added its HEAD names no object yet, and a fetch dies of that."""
    for pause in (0.05,) * 40 + (None,):
        # Its progress is the sign of life of a transfer that takes its time.
        done = _talk(
            repository, remote, "fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance",
            "--refmap=", "--recurse-submodules=no", "--", remote, refspec, patience=_SILENCE,
        )  # fmt: skip
        if b"bad object worktrees/" not in done.stderr or pause is None:
            break
        time.sleep(pause)
    return done


_LOCAL_FAULT = re.compile(
    "unpack-objects failed|index-pack failed|No space left|Read-only|Permission denied|insufficient permission|unable to "
    "(?:write|create)|cannot lock ref|bad object|ref updates aborted|update aborted by the reference-transaction"
)


def _not_fetched(remote: str, branch: str, done: process.Completed) -> Failed | Unreachable:
    """Return why a branch that the remote has could not be fetched: this clone's disk, or the way to it."""
    words = done.stderr.decode(errors="replace")
    if not _LOCAL_FAULT.search(words):
        return _unreachable(remote, done)
    first = next((row for row in words.splitlines() if row.startswith(("error:", "fatal:"))), done.words)
    return Failed(
        f"{branch} of {remote} cannot be stored here: {first}", hint=f"`git fetch {remote}` shows the same; look at the disk"
    )


def _unreachable(remote: str, done: process.Completed) -> Unreachable:
    return Unreachable(
        f"the remote {remote} cannot be reached: {done.words}", hint=f"`git ls-remote {remote}` shows what git says"
    )
