"""Whose rules apply: the target's, never those of the change being judged.

`aim` says where work lands and what is protected, read from the remote's default branch. `policy` says which suites a
commit needs. A local file never moves target or protection.
"""

import fnmatch
from dataclasses import dataclass, replace

from homelab import config, detection
from homelab.config import Config, Suite
from homelab.errors import Refused, Unreachable, Usage
from homelab.git import Repository, ask_remote_head, remotes
from homelab.repo import Objects

_UNKNOWN_HEAD = ("main", "master")


@dataclass(frozen=True, slots=True)
class Aim:
    """Where work lands: the remote, the target branch on it, and every branch that only takes verified commits."""

    remote: str | None
    #: The target branch; None while the remote does not tell its HEAD and several would do.
    target: str | None
    protect: tuple[str, ...]
    config: Config
    #: The object id of the remote's default branch as last fetched, whose file this is.
    source: str | None = None

    def protects(self, branch: str) -> bool:
        """Tell whether a branch only takes verified commits; the name decides, whatever remote is pushed to."""
        return any(branch == pattern or fnmatch.fnmatchcase(branch, pattern) for pattern in self.protect)

    def require_remote(self) -> str:
        """Return the remote. Raises `Refused` when there is none."""
        if self.remote is None:
            raise Refused(
                "there is no remote to land on",
                hint="add one with `git remote add origin URL`, or name it in [gate] remote",
            )
        return self.remote

    def require_target(self) -> str:
        """Return the target branch. Raises `Refused` when nothing says which it is."""
        if self.target is None:
            raise Refused(
                f"nothing says which branch of {self.remote} work lands on",
                hint=f"`git remote set-head {self.remote} BRANCH`, or name it with `homelab init --branch BRANCH`",
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


def aim(repository: Repository, objects: Objects, *, ask: bool = True) -> Aim:
    """Return where work lands. `ask` allows one question to a remote whose HEAD is not known here."""
    names = remotes(repository)
    remote = default_remote(names)
    if remote is None:
        # No remote, or several of equal standing: their HEADs cannot be told apart, so both usual names are protected.
        return Aim(None, None, _UNKNOWN_HEAD, Config())
    found = _aim_at(repository, objects, remote, ask=ask)
    wanted = found.config.gate.remote
    if wanted is not None and wanted != remote:
        if wanted not in names:
            raise Refused(
                f"[gate] remote names {wanted!r}, which is no remote of this clone",
                hint=f"`git remote add {wanted} URL`, or mend homelab.toml on {remote}",
            )
        found = _aim_at(repository, objects, wanted, ask=ask)
    return found


def _aim_at(repository: Repository, objects: Objects, remote: str, *, ask: bool) -> Aim:
    head = head_branch(repository, remote, ask=ask)
    tip = repository.oid(f"refs/remotes/{remote}/{head}") if head else None
    read = Config()
    if tip and (content := objects.content(objects.commit(tip).tree, config.NAME)) is not None:
        try:
            read = config.parse(content, f"{config.NAME} of {remote}/{head}")
        except Usage as error:
            raise Refused(f"the gate's own rules cannot be read: {error.message}", hint=error.hint) from None
    target = read.gate.target or head
    if target is None:
        candidates = [name for name in _UNKNOWN_HEAD if repository.oid(f"refs/remotes/{remote}/{name}")]
        target = candidates[0] if len(candidates) == 1 else None
    always = (target,) if head or read.gate.target else (*_UNKNOWN_HEAD, target)
    protect = tuple(dict.fromkeys(name for name in (*always, *read.gate.protect) if name))
    return Aim(remote, target, protect, read, tip)


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


def read(objects: Objects, commit: str) -> Policy:
    """Return the policy that a commit's own tree states. Raises `Usage` when its file cannot be read."""
    tree = objects.commit(commit).tree
    entry = objects.entry(tree, config.NAME)
    content = objects.content(tree, config.NAME)
    found = Config()
    name = f"{config.NAME} of {commit[:12]}"
    if entry is not None:
        if content is None:
            raise Usage(f"{name} is not a plain file", hint="replace it by a file")
        found = config.parse(content, name)
    if not found.suites:
        found = replace(found, suites=detection.detect(objects, tree))
        name = f"what was detected in {commit[:12]}"
    return Policy(found, name, entry.oid if entry else None)


def policies(objects: Objects, base: str | None, commit: str) -> tuple[Policy, ...]:
    """Return every policy that judges `commit` on its way onto `base`: the old one, and the new where it changes.

    Raises `Refused` when the old one cannot be read, `Usage` when the new one cannot.
    """
    if base is None:
        return (read(objects, commit),)
    try:
        old = read(objects, base)
    except Usage as error:
        raise Refused(f"the target's rules cannot be read: {error.message}", hint=error.hint) from None
    entry = objects.entry(objects.commit(commit).tree, config.NAME)
    changed = (entry.oid if entry else None) != old.blob
    if not old.suites:
        return (read(objects, commit),)
    return (old, read(objects, commit)) if changed else (old,)
