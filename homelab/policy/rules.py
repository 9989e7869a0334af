"""Whose rules apply: those of the remote's default branch, never those of the change being judged.

What can be read ends in one of the three `homelab.policy.states`. A local file never moves target or protection: what each
remote was last known to protect is kept in the clone, so that a ref which is moved or lost takes nothing away (ADR 19).
"""

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from homelab.errors import Failed, Unreachable, Usage
from homelab.git.configuration import Settings
from homelab.git.objects import Objects
from homelab.git.remotes import ask_remote, ask_remote_head, fetch_branch, fetch_commit
from homelab.git.repository import USUAL, Repository, Snapshot
from homelab.policy import config, config_file, states
from homelab.policy.config import Config
from homelab.policy.states import NoTarget, Rules, State, Unknown
from homelab.system import files

#: The file of what each remote was last known to protect.
_LAST_KNOWN = "protected.json"


def default_remote(names: Sequence[str]) -> str | None:
    """Return ``forgejo``, else ``origin``, else the only remote."""
    for name in ("forgejo", "origin"):
        if name in names:
            return name
    return names[0] if len(names) == 1 else None


def read_rules(repository: Repository, seen: Snapshot | None = None, *, pushed_to: str = "", ask: bool = True) -> State:
    """Return the rules of where work lands, or of what a push goes to: a remote's name or an address.

    They are those of the moment that was `seen`, by default now. `ask` allows one question to that one remote where this
    clone does not know its default branch or that branch's file; no other host is ever asked. Protection is the union over
    all remotes.
    """
    seen = seen or repository.snapshot()
    names = seen.settings.remotes
    pushed = pushed_to if pushed_to in names else _called(seen.settings, pushed_to)
    asked = pushed or default_remote(names) if ask and not (pushed_to and not pushed) else None
    stated = _stated_by_all(repository, seen, names, asked, afresh=bool(pushed))
    landing = _landing(repository, seen, stated, ask=ask and not pushed_to)
    if not pushed_to:
        own: State = landing
    elif pushed:
        own = stated[pushed]
    else:
        own = _of_address(repository, pushed_to)
    # A mirror or a fork without a file of its own does not weaken the rules that work lands by.
    if pushed_to and not isinstance(own, Unknown) and not (isinstance(own, Rules) and own.blob) and isinstance(landing, Rules):
        own = landing
    everything = _union(stated.values(), own)
    if isinstance(own, Unknown):
        if pushed_to and isinstance(landing, Rules):  # by whose suites it is judged meanwhile
            own = own._replace(remote=landing.remote, target=landing.target)
        return own._replace(certain=everything, protect=None if own.protect is None else everything)
    return own._replace(protect=everything)


def read_server_rules(repository: Repository) -> State:
    """Return what a receiving repository protects: its own HEAD branch is the target, and its file states the rules.

    A branch that a protected name leads to is protected by that.
    """
    head = (repository.line("symbolic-ref", "--quiet", "HEAD") or "").removeprefix("refs/heads/")
    tip = repository.refs(f"refs/heads/{head}").get(f"refs/heads/{head}", ("", ""))[0] if head else ""
    if not tip:
        reason = f"HEAD of the receiving repository names {'a branch that it does not have' if head else 'no branch'}"
        return Unknown(None, reason, "git symbolic-ref HEAD refs/heads/BRANCH", head or None)
    found = _stated(repository.objects, None, head, tip)
    if not isinstance(found, Rules):
        return found
    listed = repository.out("for-each-ref", "--format=%(if)%(symref)%(then)%(refname) %(symref)%(end)", states.HEADS)
    names = (row.removeprefix(states.HEADS).partition(f" {states.HEADS}") for row in listed.split("\n") if row)
    real = {real for name, _, real in names if real and found.protects(name)}
    real |= {
        unborn(repository, f"{states.HEADS}{name}").removeprefix(states.HEADS) for name in found.protect if "*" not in name
    }
    return found._replace(protect=tuple(dict.fromkeys((*found.protect, *sorted(real)))))


def unborn(repository: Repository, ref: str) -> str:
    """Return what a ref names that may have no commit yet: a symbolic ref to a branch that is not there is listed nowhere."""
    if (repository.common_dir / ref).exists() or not repository.refs_are_files:
        return repository.line("symbolic-ref", "--quiet", ref) or ref
    return ref


def head_branch(repository: Repository, remote: str) -> str | None:
    """Return the branch that the remote's HEAD names, asked once and then remembered as git does; None where it is silent."""
    prefix = f"refs/remotes/{remote}/"
    known = repository.line("symbolic-ref", "--quiet", f"{prefix}HEAD")
    if known and known.startswith(prefix) and repository.oid(known):
        return known.removeprefix(prefix)
    try:
        answer = ask_remote_head(repository, remote, timeout=10)
    except Unreachable:
        return None
    if answer:
        repository.run("symbolic-ref", f"{prefix}HEAD", f"{prefix}{answer}")
    return answer


def _called(settings: Settings, address: str) -> str | None:
    """Return the remote that has this address, or None."""
    found = settings.addresses() if address else {}
    return next((name for name in settings.remotes if address in found.get(name, ())), None)


def _stated_by_all(
    repository: Repository, seen: Snapshot, names: Sequence[str], asked: str | None, *, afresh: bool = False
) -> dict[str, State]:
    last = _last_known(repository.state)
    stated: dict[str, State] = {}
    for name in names:
        state = _of_remote(repository, seen, name, ask=name == asked, afresh=afresh)
        stated[name] = _kept(repository, name, state, last.get(name, ()), may_ask=name == asked)
    now = {name: state.protect for name, state in stated.items() if isinstance(state, Rules)}
    if asked and not now.items() <= last.items():
        after = {**_last_known(repository.state), **now}  # somebody else may have learnt of another remote meanwhile
        with contextlib.suppress(OSError):  # a clone that cannot be written in reads the same from the remote's refs
            files.replace(repository.state / _LAST_KNOWN, json.dumps(after, indent=1).encode())
    return stated


def _last_known(state: Path) -> dict[str, tuple[str, ...]]:
    """Return what was last known to be protected, by remote. A file that is missing or damaged knows nothing."""
    document = files.document(state / _LAST_KNOWN, {}) or {}
    return {
        name: tuple(value)
        for name, value in document.items()
        if isinstance(value, list) and all(files.is_sound(each, str) for each in value)
    }


def _kept(repository: Repository, name: str, state: State, last: Sequence[str], *, may_ask: bool) -> State:
    """Return the state with the protection that was last known, unless the remote itself says that it was dropped.

    A remote-tracking ref is a local file like any other: whoever moves it would take the protection away.
    """
    match state:
        case Unknown(target=str(target)) if last:
            return state._replace(protect=tuple(dict.fromkeys((target, *last))))
        case Rules(default=default, tip=tip) if not set(last) <= set(state.protect):
            if not (may_ask and tip and _has_landed(repository, name, default, tip)):
                return state._replace(protect=tuple(dict.fromkeys((*state.protect, *last))))
    return state


def _has_landed(repository: Repository, remote: str, default: str, tip: str) -> bool:
    try:
        if ask_remote_head(repository, remote, timeout=10) != default:
            return False
        now = fetch_branch(repository, remote, default)
    except (Unreachable, Failed):
        return False
    return now is not None and (now == tip or repository.is_ancestor(tip, now))


def _landing(repository: Repository, seen: Snapshot, stated: dict[str, State], *, ask: bool) -> State:
    """Return the rules of the remote that work lands on."""
    names = seen.settings.remotes
    if not names:
        return NoTarget()
    remote = default_remote(names)
    if remote is None:
        reason = f"of {len(names)} remotes none is called forgejo or origin"
        return Unknown(None, reason, f"git remote rename {names[0]} origin")
    found = stated[remote]
    wanted = found.config.gate.remote
    if wanted is None or wanted == remote:
        return found
    if wanted not in names:
        return Unknown(wanted, f"[gate] remote names {wanted}, which this clone does not have", f"git remote add {wanted} URL")
    if ask and isinstance(stated[wanted], Unknown):
        stated.update(_stated_by_all(repository, seen, [wanted], wanted))
    return stated[wanted]


def _of_remote(repository: Repository, seen: Snapshot, name: str, *, ask: bool, afresh: bool) -> State:
    prefix = f"refs/remotes/{name}/"
    tip, symbolic = seen.refs.get(f"{prefix}HEAD", ("", ""))
    default = symbolic.removeprefix(prefix)
    if default != symbolic and not (ask and afresh and not _brings(seen.settings, name, default)):
        found = _stated(repository.objects, name, default, tip)
    else:
        usual = [branch for branch in USUAL if f"{prefix}{branch}" in seen.refs]
        guess = usual[0] if len(usual) == 1 else None
        if not ask:  # no HEAD, or one that names what is not here: renamed, pruned, or a clone of another branch alone
            repair = f"git fetch {name} && git remote set-head {name} {guess or '--auto'}"
            return Unknown(name, f"the default branch of {name} is not known in this clone", repair)
        found = _asked(repository, seen.settings, name, guess)
    if isinstance(found, Rules) and not _brings(seen.settings, name, found.default):
        return found._replace(is_narrow=True)
    return found


def _brings(settings: Settings, remote: str, branch: str) -> bool:
    """Return whether a plain fetch moves the branch's remote-tracking ref; where none does, it may be as old as the clone."""
    ref, found = f"refs/heads/{branch}", False
    for value in (row.value or "" for row in settings.rows if row.name == f"remote.{remote}.fetch"):
        source, _, target = value.lstrip("+").partition(":")
        before, star, after = source.lstrip("^").partition("*")
        if (ref.startswith(before) and ref.endswith(after)) if star else ref == before:
            if source.startswith("^"):
                return False
            found |= target.replace("*", ref[len(before) : len(ref) - len(after)]) == f"refs/remotes/{remote}/{branch}"
    return found


def _asked(repository: Repository, settings: Settings, name: str, guess: str | None) -> State:
    """Return what a remote says now whose default branch, or that branch's file, was not known; it is known afterwards."""
    head = None
    try:
        head = ask_remote_head(repository, name, timeout=10)
        if head is None and not ask_remote(repository, name, "refs/heads/*", timeout=10):
            return _nothing_yet(settings, name)
        tip = fetch_branch(repository, name, head) if head else None
    except (Unreachable, Failed) as error:
        repair = f"git fetch {name} {head}" if head else f"git fetch {name} && git remote set-head {name} --auto"
        return Unknown(name, error.message, repair, is_unreachable=isinstance(error, Unreachable))
    if head is None or tip is None:
        return Unknown(name, f"HEAD of {name} names no branch that it has", f"git remote set-head {name} {guess or 'BRANCH'}")
    repository.run("symbolic-ref", f"refs/remotes/{name}/HEAD", f"refs/remotes/{name}/{head}")
    return _stated(repository.objects, name, head, tip)


def _of_address(repository: Repository, address: str) -> State:
    """Return what stands at an address that no remote has. It is in no message: it may hold a password."""
    unknown = Unknown(None, "the address that is pushed to does not tell its default branch", "git remote add NAME URL")
    try:
        head = ask_remote_head(repository, address, timeout=10)
        if head is None:
            return unknown if ask_remote(repository, address, "refs/heads/*", timeout=10) else NoTarget()
        tip = fetch_commit(repository, address, head)
    except (Unreachable, Failed):
        return unknown
    if tip is None:
        return unknown
    found = _stated(repository.objects, address, head, tip)
    return found._replace(is_named=False) if isinstance(found, Rules) else found


def _nothing_yet(settings: Settings, name: str) -> State:
    """Return the rules of a remote without a branch: work lands on the one that the clone was told to begin with."""
    tracked = {f"branch.{branch}.remote": branch for branch in USUAL}
    begun = [tracked[row.name] for row in settings.rows if row.name in tracked and row.value == name]
    if len(begun) != 1:
        return NoTarget(name)
    return Rules(name, begun[0], (*USUAL, begun[0]), Config(), begun[0])


def _stated(objects: Objects, remote: str | None, default: str, tip: str) -> State:
    """Return what the file at the tip of the default branch states."""
    blob, content = objects.file(tip, config.NAME)
    try:
        read = config_file.parse(content, f"{config.NAME} of {remote or 'the server'}/{default}") if blob else Config()
    except Usage as error:
        repair = "homelab work land --no-verify" if remote else f"git update-ref refs/heads/{default} {states.REPAIR}"
        return Unknown(remote, f"the gate's own rules cannot be read: {error.message}", repair, default)
    target = read.gate.target or default
    protect = tuple(dict.fromkeys((*USUAL, default, target, *read.gate.protect)))
    return Rules(remote, target, protect, read, default, tip, blob)


def _union(states: Iterable[State], own: State) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for state in (own, *states, NoTarget()) for name in state.protect or ()))
