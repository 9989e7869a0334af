"""Whose rules apply: the target's, never those of the change being judged.

`aim` says where work lands and what is protected, read from the remote's default branch. `policy` says which suites a
commit needs. A local file never moves target or protection.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from homelab.errors import Refused, Unreachable, Usage
from homelab.git.objects import Objects
from homelab.git.remotes import ask_remote_head, refs, remotes
from homelab.git.repository import Repository
from homelab.policy import config
from homelab.policy.config import Config, Suite, Verify

_UNKNOWN_HEAD = ("main", "master")


@dataclass(frozen=True, slots=True)
class Aim:
    """Where work lands: the remote, the target branch on it, and every branch that only takes verified commits."""

    remote: str | None
    #: The target branch; None while the remote does not tell its HEAD and several would do.
    target: str | None
    protect: tuple[str, ...]
    config: Config
    #: The remote's default branch, whose file this is; None while the remote does not tell its HEAD.
    default: str | None = None
    #: Why that file could not be used, in one sentence; what stands in it by default applies then.
    problem: str | None = None
    #: The default branch's tip as fetched, and the object id of the file in it, for the memo of what was judged by it.
    tip: str | None = None
    blob: str | None = None

    def protects(self, branch: str) -> bool:
        """Tell whether a branch only takes verified commits; the name decides, whatever remote is pushed to."""
        return any(branch == pattern or fnmatch.fnmatchcase(branch, pattern) for pattern in self.protect)

    def require_remote(self) -> str:
        """Return the remote. Raises `Refused` when there is none."""
        if self.remote is None:
            raise Refused(
                "there is no remote to land on",
                hint="`git remote add origin URL`; of several, the one to land on is called origin (`git remote rename`)",
            )
        return self.remote

    def require_target(self) -> str:
        """Return the target branch. Raises `Refused` when nothing says which it is."""
        if self.target is None:
            raise Refused(
                f"nothing says which branch of {self.remote} work lands on",
                hint=f"`git remote set-head {self.remote} BRANCH`; where it is empty, `git push {self.remote} BRANCH` first",
            )
        return self.target


def default_remote(names: list[str]) -> str | None:
    """Return ``forgejo``, else ``origin``, else the only remote."""
    for name in ("forgejo", "origin"):
        if name in names:
            return name
    return names[0] if len(names) == 1 else None


def head_branch(repository: Repository, remote: str, *, ask: bool) -> str | None:
    """Return the branch that the remote's HEAD names, asked once and then remembered as git does."""
    prefix = f"refs/remotes/{remote}/"
    known = repository.line("symbolic-ref", "--quiet", f"{prefix}HEAD")
    if known and known.startswith(prefix):
        return known.removeprefix(prefix)
    if not ask:
        return None
    try:
        answer = ask_remote_head(repository, remote, timeout=10)
    except Unreachable:
        return None
    if answer:
        repository.run("symbolic-ref", f"{prefix}HEAD", f"{prefix}{answer}")
    return answer


def aim(repository: Repository, *, ask: bool = True) -> Aim:
    """Return where work lands. `ask` allows one question to a remote whose HEAD is not known here."""
    names = remotes(repository)
    remote = default_remote(names)
    if remote is None:
        # No remote, or several of equal standing: their HEADs cannot be told apart, so both usual names are protected.
        return Aim(None, None, _UNKNOWN_HEAD, Config())
    found = _aim_at(repository, remote, ask=ask)
    wanted = found.config.gate.remote
    if wanted is not None and wanted != remote:
        if wanted not in names:
            return replace(found, problem=f"[gate] remote names {wanted!r}, which is no remote of this clone")
        found = _aim_at(repository, wanted, ask=ask)
    return found


def aim_of_server(repository: Repository) -> Aim:
    """Return what a receiving repository protects: its own HEAD branch is the target, and its file states the rules."""
    head = (repository.line("symbolic-ref", "--quiet", "HEAD") or "").removeprefix("refs/heads/")
    known = refs(repository, *(f"refs/heads/{name}" for name in filter(None, (head, *_UNKNOWN_HEAD))))
    tips = {name.removeprefix("refs/heads/"): oid for name, (oid, _) in known.items()}
    return _stated(repository.objects, None, head or None, tips)


def _aim_at(repository: Repository, remote: str, *, ask: bool) -> Aim:
    prefix = f"refs/remotes/{remote}/"
    known = refs(repository, *(f"{prefix}{name}" for name in ("HEAD", *_UNKNOWN_HEAD)))
    tips = {name.removeprefix(prefix): oid for name, (oid, _) in known.items()}
    symbolic = known.get(f"{prefix}HEAD", ("", ""))[1]
    if symbolic.startswith(prefix):
        head: str | None = symbolic.removeprefix(prefix)
        tips[symbolic.removeprefix(prefix)] = tips["HEAD"]
    elif (head := head_branch(repository, remote, ask=ask)) and (tip := repository.oid(f"{prefix}{head}")):
        tips[head] = tip
    return _stated(repository.objects, remote, head, tips, [] if tips else _cloned_from(repository, remote))


def _stated(objects: Objects, remote: str | None, head: str | None, tips: Mapping[str, str], cloned: Sequence[str] = ()) -> Aim:
    """Return what the file on the default branch `head` states; `tips` are the branches that are known here."""
    tip = tips.get(head) if head else None
    tree = objects.commit(tip).tree if tip else None
    entry = objects.entry(tree, config.NAME) if tree else None
    read, problem = Config(), None
    if tree and (content := objects.content(tree, config.NAME)) is not None:
        try:
            read = config.parse(content, f"{config.NAME} of {remote or 'the server'}/{head}")
        except Usage as error:
            problem = f"the gate's own rules cannot be read: {error.message}"
    target = read.gate.target or head
    if target is None:
        candidates = [name for name in _UNKNOWN_HEAD if name in tips] or cloned
        target = candidates[0] if len(candidates) == 1 else None
    sure = (head or read.gate.target) and problem is None
    always = (target,) if sure else (*_UNKNOWN_HEAD, target)
    protect = tuple(dict.fromkeys(name for name in (*always, *read.gate.protect) if name))
    return Aim(remote, target, protect, read, head, problem, tip, entry.oid if entry else None)


def _cloned_from(repository: Repository, remote: str | None) -> list[str]:
    """Return the branch that a clone of an empty remote was told to begin with: there is no other trace of it."""
    rows = repository.line("config", "--get-regexp", r"^branch\.(main|master)\.remote$") or ""
    pairs = (row.split(" ", 1) for row in rows.split("\n") if row)
    return [name.split(".")[1] for name, value in pairs if value == remote]


@dataclass(frozen=True, slots=True)
class Policy:
    """The suites that a commit needs, by one file or by what was detected where there is none."""

    config: Config
    #: What the rules were read from, for messages: ``homelab.toml of abc123`` or ``what was detected in abc123``.
    source: str
    #: The object id of the file, or None where suites were detected.
    blob: str | None

    @property
    def suites(self) -> tuple[Suite, ...]:
        """The suites, configured or detected."""
        return self.config.suites


def read(objects: Objects, tree: str, label: str = "the tree") -> Policy:
    """Return the policy that a tree itself states. Raises `Usage` when its file cannot be read."""
    entry = objects.entry(tree, config.NAME)
    found, name = Config(), f"{config.NAME} of {label}"
    if entry is not None:
        content = objects.content(tree, config.NAME)
        if content is None:
            raise Usage(f"{name} is not a plain file", hint="replace it by a file")
        found = config.parse(content, name)
    if not found.suites:
        from homelab.policy import detect  # only where there is no file: every push reads a policy

        shown = detect.detect(objects, tree)
        # What is written in a file without suites still prepares; without one a checkout gets what `init` would write.
        found = replace(found, suites=shown.suites, verify=shown.verify if found.verify == Verify() else found.verify)
        name = f"what is detected in {label}"
    return Policy(found, name, entry.oid if entry else None)


def policies(objects: Objects, base: str | None, tree: str) -> tuple[Policy, ...]:
    """Return every policy that judges a tree on its way onto the commit `base`: the old one, and the new where it changes.

    Raises `Refused` when the old one cannot be read, `Usage` when the new one cannot.
    """
    if base is None:
        return (read(objects, tree, "the change"),)
    try:
        old = read(objects, objects.commit(base).tree, base[:12])
    except Usage as error:
        raise Refused(
            f"the target's rules cannot be read: {error.message}", hint="land a repair with `homelab work land --no-verify`"
        ) from None
    entry = objects.entry(tree, config.NAME)
    if not old.suites:
        return (read(objects, tree, "the change"),)
    if (entry.oid if entry else None) == old.blob:
        return (old,)
    return (old, read(objects, tree, "the change"))
