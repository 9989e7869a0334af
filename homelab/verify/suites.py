"""What a commit has to pass, and the key under which each result is remembered.

A `Run` is one suite in one folder of one tree. Its key is a digest of everything that decides the result: the command, its
folder, the mode and object id of each input, the attributes and filters that decide how those look on disk, what prepares
the checkout, and the values of the variables it may see. Nothing is run here.
"""

import fnmatch
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from homelab.git import attributes
from homelab.git.objects import Objects
from homelab.git.repository import Repository
from homelab.policy.config import Suite, Verify
from homelab.policy.policy import Policy

#: Part of every key: raised when what a receipt promises changes.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One suite in one folder of one tree."""

    suite: Suite
    dir: str
    verify: Verify
    key: str
    #: Names what prepares the checkout and from what; None where nothing does.
    prepare: str | None
    #: Inputs that the tree does not have, named aloud since a typo would make the key too coarse.
    missing: tuple[str, ...]

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"{self.suite.name} ({self.dir})" if self.suite.each else self.suite.name


def digest(document: Any) -> str:
    """Return the SHA-256 of a document's canonical JSON."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def filters(repository: Repository) -> str:
    """Return the content filters that a scratch checkout runs: those of the user and the machine, not of the clone."""
    rows = (repository.line("config", "--show-scope", "--get-regexp", r"^filter\.") or "").split("\n")
    return "\n".join(sorted(row for row in rows if row and not row.startswith(("local", "worktree", "command"))))


class Keys:
    """Makes the keys of one tree; what several suites share is read once."""

    def __init__(self, objects: Objects, tree: str, filters: str) -> None:
        self._objects = objects
        self._tree = tree
        self._filters = filters

    def _content(self, path: str) -> list[Any]:
        entry = self._objects.entry(self._tree, path)
        return [path, "missing"] if entry is None else [path, f"{entry.mode:o}", entry.oid]

    def _attributes(self, paths: Iterable[str]) -> list[list[Any]]:
        """Return the attribute files that lie above the inputs; those inside are part of the inputs."""
        folders = {""}
        for path in paths:
            parts = path.split("/")[:-1]
            folders.update("/".join(parts[:n]) for n in range(1, len(parts) + 1))
        names = (f"{folder}/{attributes.NAME}".lstrip("/") for folder in sorted(folders))
        return [row for row in map(self._content, names) if row[1] != "missing"]

    def prepare(self, verify: Verify) -> str | None:
        """Return the digest of what prepares a checkout, or None."""
        if verify.prepare is None:
            return None
        inputs = [self._content(path) for path in verify.prepare_inputs]
        return digest([VERSION, verify.prepare, inputs, values(verify.env)])

    def run(self, suite: Suite, folder: str, verify: Verify) -> Run:
        """Return the run of a suite in a folder."""
        inputs = None if suite.inputs is None else [*suite.inputs, *([folder] if suite.each else [])]
        if suite.each and inputs is None:
            inputs = [folder]
        prepare = self.prepare(verify)
        key = digest(
            {
                "v": VERSION,
                "run": suite.run,
                "dir": folder,
                "inputs": [self._content(".")] if inputs is None else sorted(map(self._content, set(inputs))),
                "attributes": [] if inputs is None else self._attributes(inputs),
                "filters": self._filters,
                "prepare": prepare,
                "caches": sorted(verify.caches),
                "env": values((*verify.env, *suite.env)),
            }
        )
        missing = tuple(path for path in inputs or () if self._objects.entry(self._tree, path) is None)
        return Run(suite, folder, verify, key, prepare, missing)

    def runs(self, suite: Suite, verify: Verify) -> list[Run]:
        """Return a suite's runs: one, or one for each matching folder."""
        if suite.each is None:
            return [self.run(suite, suite.dir, verify)]
        return [self.run(suite, folder, verify) for folder in self._folders(suite.each)]

    def _folders(self, pattern: str) -> list[str]:
        found = [("", self._tree)]
        for part in pattern.split("/"):
            found = [
                (f"{path}/{name}".lstrip("/"), entry.oid)
                for path, tree in found
                for name, entry in self._objects.entries(tree).items()
                if entry.is_folder and fnmatch.fnmatchcase(name, part) and name.startswith(".") == part.startswith(".")
            ]
        return [path for path, _ in found]


def values(names: Iterable[str]) -> dict[str, str | None]:
    """Return the values of the variables that a suite may see besides the allow-list."""
    return {name: os.environ.get(name) for name in sorted(set(names))}


@dataclass(frozen=True, slots=True)
class Demand:
    """All that a tree needs by its policies, and the one key that stands for the whole of it."""

    tree: str
    whole: str
    runs: tuple[Run, ...]
    #: Whether any suite was configured or detected; without one nothing can be said about the tree.
    verifiable: bool
    #: Whether a result depends on the caller's environment, so that no memo may outlive it.
    uses_environment: bool


def uses_environment(policies: Iterable[Policy]) -> bool:
    """Tell whether a result by these policies depends on the caller's environment."""
    return any(policy.config.verify.env or any(suite.env for suite in policy.suites) for policy in policies)


def whole_key(tree: str, policies: Sequence[Policy], filters: str) -> str:
    """Return the key that stands for a whole tree under its policies: one lookup instead of a thousand."""
    rules = [[asdict(policy.config.verify), [asdict(suite) for suite in policy.suites]] for policy in policies]
    names = {name for p in policies for name in (*p.config.verify.env, *(n for s in p.suites for n in s.env))}
    return digest({"v": VERSION, "tree": tree, "policies": rules, "env": values(names), "filters": filters})


def demand(objects: Objects, tree: str, policies: Sequence[Policy], filters: str) -> Demand:
    """Return what a tree needs by its policies; a run that two policies ask for stands once."""
    keys = Keys(objects, tree, filters)
    runs: dict[str, Run] = {}
    for policy in policies:
        for suite in policy.suites:
            for run in keys.runs(suite, policy.config.verify):
                runs.setdefault(run.key, run)
    whole = whole_key(tree, policies, filters)
    verifiable = all(policy.suites for policy in policies)
    return Demand(tree, whole, tuple(runs.values()), verifiable, uses_environment(policies))
