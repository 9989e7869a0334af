"""Whose rules apply: those of the remote's default branch, never those of the change being judged.

What can be read ends in one of three states, and not knowing is one of them: a gate that took it for "no rules" would open
with every remote that is added, renamed or not fetched. A local file never moves target or protection. See docs/adr/0019.
"""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from homelab.errors import Failed, Refused, Unreachable, Usage
from homelab.git.objects import Objects
from homelab.git.remotes import addresses, ask_remote, ask_remote_head, fetch_branch, fetch_commit, refs, remotes
from homelab.git.repository import Repository
from homelab.policy import config, last_known
from homelab.policy.config import Config, Gate

#: Protected whatever the rules say: the names that a default branch has where nobody chose another.
_ALWAYS = ("main", "master")
_NOTHING_SAID = Config()
#: What holds while nothing can be read: no setting that could let more through.
_STRICTEST = Config(gate=Gate(claims=True))


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules are known: where work lands, and which branches only take verified commits."""

    #: None on a server, which has the branches itself.
    remote: str | None
    target: str
    #: Names and patterns, of all of the clone's remotes.
    protect: tuple[str, ...]
    config: Config
    #: The branch that the rules were read from, the object id of its tip, and that of the file in it, where there is one.
    default: str
    tip: str | None = None
    blob: str | None = None
    #: Whether `remote` is a remote's name; else it is an address.
    is_named: bool = True

    def protects(self, branch: str) -> bool:
        """Return whether a branch only takes verified commits. Its name decides, whatever remote is pushed to."""
        return _matches(branch, self.protect)


@dataclass(frozen=True, slots=True)
class NoTarget:
    """It is known that there is nothing to land on yet: no remote, or one without a branch."""

    remote: str | None = None
    protect: tuple[str, ...] = _ALWAYS
    target: None = None
    config: Config = _NOTHING_SAID

    def protects(self, branch: str) -> bool:
        """Return whether a branch only takes verified commits."""
        return _matches(branch, self.protect)


@dataclass(frozen=True, slots=True)
class Unknown:
    """The rules cannot be read. Every branch counts as protected until the command `repair` makes them known."""

    remote: str | None
    #: Why, as a sentence.
    reason: str
    repair: str
    #: The target, where that much is known: only its file cannot be read.
    target: str | None = None
    #: The protection that was last known, or None where none ever was.
    protect: tuple[str, ...] | None = None
    #: What is protected by other remotes' rules, or always.
    certain: tuple[str, ...] = _ALWAYS
    config: Config = _STRICTEST
    #: Whether it is for want of an answer from the remote.
    is_unreachable: bool = False

    def protects(self, branch: str) -> bool:
        """Return whether a branch only takes verified commits: as was last known, else every one."""
        return self.protect is None or _matches(branch, self.protect)

    def is_certain(self, branch: str) -> bool:
        """Return whether a branch is protected whatever the rules turn out to be."""
        return _matches(branch, self.certain)


State = Rules | NoTarget | Unknown


def _matches(branch: str, patterns: Iterable[str]) -> bool:
    return any(branch == pattern or fnmatch.fnmatchcase(branch, pattern) for pattern in patterns)


def require_target(rules: State) -> tuple[str, str]:
    """Return the remote and the branch that work lands on. Raises `Refused` or `Unreachable` when nothing says which."""
    match rules:
        case Rules(remote=str(remote), target=target) | Unknown(remote=str(remote), target=str(target)):
            return remote, target
        case Unknown(reason=reason, repair=repair, is_unreachable=True):
            raise Unreachable(reason, hint=f"`{repair}`")
        case Unknown(reason=reason, repair=repair):
            raise Refused(f"nothing says where work lands: {reason}", hint=f"`{repair}`")
        case NoTarget(remote=str(remote)):
            raise Refused(f"{remote} has no branch to land on yet", hint=f"push a first one: `git push {remote} BRANCH`")
        case _:
            raise Refused("there is no remote to land on", hint="`git remote add origin URL`")


def require_settings(rules: State) -> Config:
    """Return the settings that the rules state. Raises `Usage` where the file that states them cannot be read."""
    if isinstance(rules, Unknown) and rules.target is not None:
        raise Usage(rules.reason, hint=f"mend it on a branch (`git switch -c repair`) and land that: `{rules.repair}`")
    return rules.config


def default_remote(names: Sequence[str]) -> str | None:
    """Return ``forgejo``, else ``origin``, else the only remote."""
    for name in ("forgejo", "origin"):
        if name in names:
            return name
    return names[0] if len(names) == 1 else None


def read_rules(repository: Repository, *, pushed_to: str = "", ask: bool = True) -> State:
    """Return the rules of where work lands, or of what a push goes to: a remote's name or an address.

    `ask` allows one question to that one remote where this clone does not know its default branch or that branch's file; no
    other host is ever asked. Protection is the union over all remotes.
    """
    names = remotes(repository)
    pushed = pushed_to if pushed_to in names else _called(repository, pushed_to, names)
    asked = pushed or default_remote(names) if ask and not (pushed_to and not pushed) else None
    stated = _stated_by_all(repository, names, asked)
    landing = _landing(repository, names, stated, ask=ask and not pushed_to)
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
            own = replace(own, remote=landing.remote, target=landing.target)
        return replace(own, certain=everything, protect=None if own.protect is None else everything)
    return replace(own, protect=everything)


def read_server_rules(repository: Repository) -> State:
    """Return what a receiving repository protects: its own HEAD branch is the target, and its file states the rules."""
    head = (repository.line("symbolic-ref", "--quiet", "HEAD") or "").removeprefix("refs/heads/")
    tip = refs(repository, f"refs/heads/{head}").get(f"refs/heads/{head}", ("", ""))[0] if head else ""
    if not tip:
        reason = f"HEAD of the receiving repository names {'a branch that it does not have' if head else 'no branch'}"
        return Unknown(None, reason, "git symbolic-ref HEAD refs/heads/BRANCH", head or None)
    return _stated(repository.objects, None, head, tip)


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


def _called(repository: Repository, address: str, names: Sequence[str]) -> str | None:
    """Return the remote that has this address, or None."""
    found = addresses(repository) if address and names else {}
    return next((name for name in names if address in found.get(name, ())), None)


def _stated_by_all(repository: Repository, names: Sequence[str], asked: str | None) -> dict[str, State]:
    known = refs(repository, *(f"refs/remotes/{name}/{branch}" for name in names for branch in ("HEAD", *_ALWAYS)))
    last = last_known.read(repository)
    stated: dict[str, State] = {}
    for name in names:
        state = _of_remote(repository, name, known, ask=name == asked)
        stated[name] = _kept(repository, name, state, last.get(name, ()), may_ask=name == asked)
    if asked:
        last_known.keep(repository, {name: state.protect for name, state in stated.items() if isinstance(state, Rules)})
    return stated


def _kept(repository: Repository, name: str, state: State, last: Sequence[str], *, may_ask: bool) -> State:
    """Return the state with the protection that was last known, unless the remote itself says that it was dropped.

    A remote-tracking ref is a local file like any other: whoever moves it would take the protection away.
    """
    match state:
        case Unknown(target=str(target)) if last:
            return replace(state, protect=tuple(dict.fromkeys((target, *last))))
        case Rules(default=default, tip=tip) if not set(last) <= set(state.protect):
            if not (may_ask and tip and _has_landed(repository, name, default, tip)):
                return replace(state, protect=tuple(dict.fromkeys((*state.protect, *last))))
    return state


def _has_landed(repository: Repository, remote: str, default: str, tip: str) -> bool:
    try:
        if ask_remote_head(repository, remote, timeout=10) != default:
            return False
        now = fetch_branch(repository, remote, default)
    except (Unreachable, Failed):
        return False
    return now is not None and (now == tip or repository.is_ancestor(tip, now))


def _landing(repository: Repository, names: Sequence[str], stated: dict[str, State], *, ask: bool) -> State:
    """Return the rules of the remote that work lands on."""
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
        stated.update(_stated_by_all(repository, [wanted], wanted))
    return stated[wanted]


def _of_remote(repository: Repository, name: str, known: Mapping[str, tuple[str, str]], *, ask: bool) -> State:
    prefix = f"refs/remotes/{name}/"
    tip, symbolic = known.get(f"{prefix}HEAD", ("", ""))
    if symbolic.startswith(prefix):
        return _stated(repository.objects, name, symbolic.removeprefix(prefix), tip)
    usual = [branch for branch in _ALWAYS if f"{prefix}{branch}" in known]
    guess = usual[0] if len(usual) == 1 else None
    if not ask:  # no HEAD, or one that names what is not here: renamed, pruned, or a clone of another branch alone
        repair = f"git fetch {name} && git remote set-head {name} {guess or '--auto'}"
        return Unknown(name, f"the default branch of {name} is not known in this clone", repair)
    return _asked(repository, name, guess)


def _asked(repository: Repository, name: str, guess: str | None) -> State:
    """Return what a remote says now whose default branch, or that branch's file, was not known; it is known afterwards."""
    head = None
    try:
        head = ask_remote_head(repository, name, timeout=10)
        if head is None and not ask_remote(repository, name, "refs/heads/*", timeout=10):
            return _nothing_yet(repository, name)
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
    return replace(found, is_named=False) if isinstance(found, Rules) else found


def _nothing_yet(repository: Repository, name: str) -> State:
    """Return the rules of a remote without a branch: work lands on the one that the clone was told to begin with."""
    rows = repository.line("config", "--get-regexp", r"^branch\.(main|master)\.remote$") or ""
    pairs = (row.split(" ", 1) for row in rows.split("\n") if row)
    begun = [key.split(".")[1] for key, value in pairs if value == name]
    if len(begun) != 1:
        return NoTarget(name)
    return Rules(name, begun[0], (*_ALWAYS, begun[0]), Config(), begun[0])


def _stated(objects: Objects, remote: str | None, default: str, tip: str) -> State:
    """Return what the file at the tip of the default branch states."""
    tree = objects.commit(tip).tree
    entry, content = objects.entry(tree, config.NAME), objects.content(tree, config.NAME)
    read = Config()
    if content is not None:
        try:
            read = config.parse(content, f"{config.NAME} of {remote or 'the server'}/{default}")
        except Usage as error:
            reason, repair = f"the gate's own rules cannot be read: {error.message}", "homelab work land --no-verify"
            return Unknown(remote, reason, repair, default)
    target = read.gate.target or default
    protect = tuple(dict.fromkeys((*_ALWAYS, default, target, *read.gate.protect)))
    return Rules(remote, target, protect, read, default, tip, entry.oid if entry else None)


def _union(states: Iterable[State], own: State) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for state in (own, *states, NoTarget()) for name in state.protect or ()))
