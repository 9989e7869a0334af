"""The `homelab.toml` that a repository begins with: what was found out about it, and why each line stands there.

The words are those of `homelab.policy.config`'s fields, so the file never says anything else than the reference. What is
written here reads back as what was proposed. Writing it is the command's.
"""

import dataclasses
import json
import textwrap
from collections.abc import Container, Sequence
from dataclasses import dataclass

from homelab.errors import Usage
from homelab.git.remotes import remotes
from homelab.git.repository import Repository
from homelab.policy import config
from homelab.policy.config import Gate, Suite, Verify
from homelab.policy.detect import detect
from homelab.policy.policy import default_remote, head_branch

_HEAD = """\
# What a commit has to pass before it may reach the target. `homelab verify` runs it.
# The rules in force are those on the target: this file counts once it has landed there.
"""
_WHOLE_TREE = """\
# inputs = ["src"]  # paths whose content decides it, so that other changes need not run it; default: the whole tree
"""
_STACKS = """\
# [[suite]]
# name = "stack"
# each = "stacks/*"
# run = "terraform fmt -check -recursive . && terraform validate"
"""
_EXAMPLE = """\
# [[suite]]
# name = "check"
# run = "make check"
"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Where work lands, as far as it can be told, how a checkout is prepared, and the suites."""

    remote: str | None
    target: str | None
    suites: tuple[Suite, ...]
    verify: Verify
    has_stacks: bool
    #: Whether the target was fetched before; a misspelt one would leave the real one unprotected.
    is_known: bool


def propose(repository: Repository, *, remote: str | None, branch: str | None, command: str | None) -> Proposal:
    """Return what the repository shows, with what was said put in its place. Raises `Usage`; nothing is changed."""
    names = remotes(repository)
    _require_sensible(repository, names, remote, branch, command)
    remote = remote or default_remote(names)
    target = branch or (_target(repository, remote) if remote else None)
    is_known = repository.oid(f"refs/remotes/{remote}/{target}") is not None
    objects = repository.objects
    head = repository.oid("HEAD^{commit}")
    if head is None:
        return Proposal(remote, target, _said(command), Verify(), False, is_known)
    tree = objects.commit(head).tree
    found, files = detect(objects, tree), objects.entries(tree)
    return Proposal(remote, target, _said(command) or found, _prepared(found, files), "stacks" in files, is_known)


def _require_sensible(
    repository: Repository, names: list[str], remote: str | None, branch: str | None, command: str | None
) -> None:
    if remote is not None and remote not in names:
        known = f"the remotes are: {', '.join(names)}" if names else "add it with `git remote add NAME URL`"
        raise Usage(f"there is no remote {remote!r}", hint=known)
    if branch is not None and repository.line("check-ref-format", "--branch", branch) != branch:
        raise Usage(f"{branch!r} is not the name of a branch", hint="name it as on the remote, like master")
    if command is not None and (not command.strip() or not command.replace("\n", " ").replace("\t", " ").isprintable()):
        raise Usage("the command to verify with is empty or not printable", hint='write it as --verify-cmd "make test"')


def _said(command: str | None) -> tuple[Suite, ...]:
    return (Suite("verify", command),) if command else ()


def _prepared(found: tuple[Suite, ...], files: Container[str]) -> Verify:
    """Return how a fresh checkout gets what git does not keep."""
    if "package-lock.json" in files and any(suite.name == "npm" for suite in found):
        return Verify("npm ci", ("package.json", "package-lock.json"), caches=("node_modules",))
    return Verify()


def _target(repository: Repository, remote: str) -> str | None:
    known = head_branch(repository, remote, ask=True)
    if known:
        return known
    usual = [name for name in ("main", "master") if repository.oid(f"refs/remotes/{remote}/{name}")]
    return usual[0] if len(usual) == 1 else None


def text(proposal: Proposal) -> str:
    """Return the file, each key under what it means; it reads back as the proposal."""
    parts = [_HEAD, _gate(proposal)]
    if proposal.verify != Verify():
        parts.append("[verify]\n" + _keys(proposal.verify, ("prepare", "prepare_inputs", "caches")))
    for n, suite in enumerate(proposal.suites):
        body = _keys(suite, ("name", "run"), explain=n == 0)
        parts.append("[[suite]]\n" + body + (_WHOLE_TREE if n == 0 else ""))
    if not proposal.suites:
        parts.append("# Nothing can be verified yet: say here what decides whether a commit is good.\n" + _EXAMPLE)
    if proposal.has_stacks:
        parts.append("# One run for each stack, again only when that stack changes:\n" + _STACKS)
    made = "\n".join(parts)
    _reads_back(made, proposal)
    return made


def _gate(proposal: Proposal) -> str:
    gate = Gate(proposal.remote, proposal.target)
    known = [name for name in ("remote", "target") if getattr(gate, name)]
    open_ = [name for name in ("remote", "target") if not getattr(gate, name)]
    example = Gate("origin", "master")
    return "[gate]\n" + _keys(gate, known) + "".join(f"# {row}\n" for row in _keys(example, open_).splitlines())


def _keys(section: Gate | Verify | Suite, names: Sequence[str], *, explain: bool = True) -> str:
    """Return the keys as TOML, each under its documentation."""
    documented = {spec.name: spec.metadata["doc"] for spec in dataclasses.fields(section) if spec.metadata}
    rows = []
    for name in names:
        if explain:
            rows += [f"# {part}" for part in textwrap.wrap(documented[name], 110)]
        rows.append(f"{name} = {_toml(getattr(section, name))}")
    return "".join(f"{row}\n" for row in rows)


def _toml(value: str | tuple[str, ...]) -> str:
    # JSON's strings and lists of them are TOML's, for what is printable.
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _reads_back(made: str, proposal: Proposal) -> None:
    read = config.parse(made.encode())
    assert (read.gate.remote, read.gate.target) == (proposal.remote, proposal.target)
    assert [(suite.name, suite.run) for suite in read.suites] == [(suite.name, suite.run) for suite in proposal.suites]
