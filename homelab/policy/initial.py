"""The `homelab.toml` that a repository begins with: what was found in it, from where, and why each line is there.

The words are those of `homelab.policy.config`'s fields, so the file never says anything else than the reference. What is
switched off is there as a comment with its reason; what deploys is not there at all. Writing the file is the command's,
trying what is in it is `homelab.verify.trial`'s.
"""

import json
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from homelab.errors import Usage
from homelab.git.repository import Repository
from homelab.policy import config, config_file
from homelab.policy.config import Gate, Suite, Verify
from homelab.policy.found import gather
from homelab.policy.found.finding import Finding, preparation, suite
from homelab.policy.rules import default_remote, head_branch
from homelab.policy.tree import Tree

_HEAD = """\
# What a commit has to pass before it may reach the target. `homelab verify` runs it.
# The rules in force are those on the target: this file counts once it has landed there.
"""
#: How the reason begins why a suite is a comment.
SWITCHED_OFF = "Switched off:"
_WHOLE_TREE = """\
# inputs = ["src"]  # paths whose content decides it, so that other changes need not run it; default: the whole tree
"""
_EXAMPLE = """\
# [[suite]]
# name = "check"
# run = "make check"
"""


class Entry(NamedTuple):
    """One suite as the file has it: in force, or switched off with a reason."""

    finding: Finding
    #: Why it is commented out, or empty.
    off: str = ""
    #: What trying it showed that a reader should know, without a full stop, or empty.
    note: str = ""

    @property
    def suite(self) -> Suite:
        """The suite that it is or would be."""
        return suite(self.finding)


class Proposal(NamedTuple):
    """Where work lands, as far as it can be told, the suites, and what prepares a checkout for them."""

    remote: str | None
    target: str | None
    entries: tuple[Entry, ...]
    #: Whether the target was fetched before; a misspelt one would leave the real one unprotected.
    is_known: bool
    #: The commit that was looked at, or None where there is none yet.
    commit: str | None = None
    #: Steps of CI that were passed over because they deploy, and how many findings there were beyond those that fit.
    passed_over: tuple[str, ...] = ()
    cut: int = 0

    @property
    def suites(self) -> tuple[Suite, ...]:
        """The suites in force."""
        return tuple(entry.suite for entry in self.entries if not entry.off)

    @property
    def verify(self) -> Verify:
        """What prepares a checkout for the suites in force."""
        return preparation(entry.finding for entry in self.entries if not entry.off)

    def of(self, entries: Sequence[Entry]) -> "Proposal":
        """Return the proposal with these entries instead."""
        return self._replace(entries=tuple(entries))


def propose(repository: Repository, *, remote: str | None, branch: str | None, command: str | None) -> Proposal:
    """Return what the repository shows, with what was said put in its place. Raises `Usage`; nothing is changed."""
    names = list(repository.settings().remotes)
    _require_sensible(repository, names, remote, branch, command)
    remote = remote or default_remote(names)
    target = branch or (_target(repository, remote) if remote else None)
    is_known = repository.oid(f"refs/remotes/{remote}/{target}") is not None
    head = repository.oid("HEAD^{commit}")
    if command or head is None:
        return Proposal(remote, target, said(command), is_known, head)
    objects = repository.objects
    found = gather.find(Tree(objects, objects.commit(head).tree))
    entries = tuple(Entry(finding, finding.off) for finding in found.findings)
    return Proposal(remote, target, entries, is_known, head, found.passed_over, found.cut)


def said(command: str | None) -> tuple[Entry, ...]:
    """Return the one suite that a person named, or none."""
    return (Entry(Finding("verify", command, "--verify-cmd")),) if command else ()


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


def _target(repository: Repository, remote: str) -> str | None:
    known = head_branch(repository, remote)
    if known:
        return known
    usual = [name for name in ("main", "master") if repository.oid(f"refs/remotes/{remote}/{name}")]
    return usual[0] if len(usual) == 1 else None


def text(proposal: Proposal) -> str:
    """Return the file, each key under what it means; it reads back as the proposal."""
    parts = [_HEAD, _gate(proposal)]
    if proposal.verify != Verify():
        names = [name for name in ("prepare", "prepare_inputs", "caches") if getattr(proposal.verify, name)]
        parts.append("[verify]\n" + _keys(proposal.verify, names))
    if not proposal.suites:
        parts.append("# Nothing can be verified yet: say here what decides whether a commit is good.\n" + _EXAMPLE)
    first = next((entry for entry in proposal.entries if not entry.off), None)
    parts += [_entry(entry, explain=entry is first) for entry in proposal.entries]
    made = "\n".join(parts)
    _reads_back(made, proposal)
    return made


def _entry(entry: Entry, *, explain: bool) -> str:
    """Return a suite with where it comes from, every line a comment where it is switched off."""
    made, finding = entry.suite, entry.finding
    names = [name for name in ("name", "run", "dir", "each", "inputs") if _differs(made, name)]
    if made.each is not None and not made.inputs:
        names.remove("inputs")
    body = "[[suite]]\n" + _keys(made, names, explain=explain) + (_WHOLE_TREE if explain and "inputs" not in names else "")
    if entry.off:
        body = textwrap.indent(body, "# ")
    why = f"{SWITCHED_OFF} {entry.off}." if entry.off else f"{entry.note[:1].upper()}{entry.note[1:]}." if entry.note else ""
    head = [f"From {finding.source.rstrip('.')}." if finding.source else "", why]
    return "".join(f"# {row}\n" for part in head if part for row in textwrap.wrap(_line(part), 110)) + body


def _differs(made: Suite, name: str) -> bool:
    default = {"dir": ".", "each": None, "inputs": None}
    return name not in default or getattr(made, name) != default[name]


def _line(words: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in words)


def _gate(proposal: Proposal) -> str:
    gate = Gate(proposal.remote, proposal.target)
    known = [name for name in ("remote", "target") if getattr(gate, name)]
    open_ = [name for name in ("remote", "target") if not getattr(gate, name)]
    example = Gate("origin", "master")
    return "[gate]\n" + _keys(gate, known) + "".join(f"# {row}\n" for row in _keys(example, open_).splitlines())


def _keys(section: Gate | Verify | Suite, names: Sequence[str], *, explain: bool = True) -> str:
    """Return the keys as TOML, each under its documentation."""
    documented = {setting.name: setting.words for setting in config.settings(type(section))}
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
    read = config_file.parse(made.encode())
    assert (read.gate.remote, read.gate.target) == (proposal.remote, proposal.target)
    assert [(suite.name, suite.run) for suite in read.suites] == [(suite.name, suite.run) for suite in proposal.suites]
