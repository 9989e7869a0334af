"""What a commit has to pass, and the key under which each result is remembered.

A `Run` is one suite in one folder of one tree. Its key is a digest of everything that decides the result: the command, its
folder, the mode and object id of each input and of what links in it lead to, the attributes and filters that decide how
those look on disk, what prepares the checkout, what `[verify] tools` print, and the values of the variables it may see.
"""

import fnmatch
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from homelab.errors import Failed
from homelab.git import attributes
from homelab.git.configuration import Setting, Settings
from homelab.git.objects import Objects
from homelab.policy.config import NAME, Suite, Verify
from homelab.policy.policy import Policy
from homelab.system import process
from homelab.verify.links import Links

#: Part of every key: raised when what a receipt promises changes.
VERSION = 2


class Run(NamedTuple):
    """One suite in one folder of one tree."""

    suite: Suite
    dir: str
    verify: Verify
    key: str
    #: Names what prepares the checkout and from what; None where nothing does.
    prepare: str | None
    #: Inputs that the tree does not have, so that all of it is the input.
    missing: tuple[str, ...]
    #: Detected on the target, though the change brings the first file with rules of its own: it binds where it is green there.
    is_guess: bool = False

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"{self.suite.name} ({self.dir})" if self.suite.each else self.suite.name


def digest(document: Any) -> str:
    """Return the SHA-256 of a document's canonical JSON."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def filters(settings: Settings) -> str:
    """Return what filters a scratch checkout's content: by the user and the machine, and by the clone for LFS."""
    shown = (
        f"{row.scope}\t{row.name}" + (f" {row.value}" if row.value is not None else "")
        for row in settings.rows
        if _is_shown(row)
    )
    return "\n".join(sorted(shown))


def _is_shown(setting: Setting) -> bool:
    """Return whether a scratch checkout has a setting, as `homelab.verify.borrowed_git` shows it."""
    if setting.scope in ("local", "worktree"):
        return setting.name.startswith(("filter.lfs.", "lfs.fetch"))
    return setting.scope != "command" and setting.name.startswith(("filter.", "lfs.fetch"))


@functools.cache
def printed(command: str) -> str:
    """Return what a command of ``[verify] tools`` prints and how it ends, asked once by a process; it may be missing."""
    try:
        done = process.complete(["/bin/sh", "-c", command], cwd=Path("/"), env=process.suite_environment(()), timeout=30)
    except Failed as error:
        return error.message
    return f"{done.returncode}\n{os.fsdecode(done.stdout + done.stderr)}"


def tools(commands: Iterable[str]) -> dict[str, str]:
    """Return what each command of ``[verify] tools`` prints: another version of a tool is another result."""
    return {command: printed(command) for command in sorted(set(commands))}


class Keys:
    """Makes the keys of one tree; what several suites share is read once."""

    def __init__(self, objects: Objects, tree: str, filters: str) -> None:
        self._objects = objects
        self._tree = tree
        self._filters = filters
        self._links = Links(objects, tree)

    def _content(self, path: str) -> list[Any]:
        entry = self._objects.entry(self._tree, path)
        return [path, "missing"] if entry is None else [path, f"{entry.mode:o}", entry.oid]

    def _with_links(self, paths: Sequence[str]) -> list[str]:
        return sorted({*paths, *self._links.beyond(paths)})

    def _looks(self, paths: Sequence[str]) -> list[list[Any]]:
        """Return what decides how paths look on disk and is no part of them: the attribute files above, and LFS's own."""
        if "." in paths:
            return []
        folders = {""}
        for path in paths:
            parts = path.split("/")[:-1]
            folders.update("/".join(parts[:n]) for n in range(1, len(parts) + 1))
        names = [f"{folder}/{attributes.NAME}".lstrip("/") for folder in sorted(folders)]
        return [row for row in map(self._content, (*names, attributes.LFS)) if row[1] != "missing"]

    def _contents(self, paths: Sequence[str]) -> list[list[Any]]:
        every = self._with_links(paths)
        return [*map(self._content, every), *self._looks(every)]

    def missing(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Return the paths that the tree does not have; misspelt, they make a key blind to what they were to name (ADR 4)."""
        return tuple(path for path in paths if self._objects.entry(self._tree, path) is None)

    def prepare(self, verify: Verify) -> str | None:
        """Return the digest of what prepares a checkout, or None; without ``prepare_inputs`` it depends on the whole tree."""
        if verify.prepare is None:
            return None
        inputs = verify.prepare_inputs
        contents = self._contents(inputs if inputs and not self.missing(inputs) else (".",))
        return digest([VERSION, verify.prepare, contents, values(verify.env), tools(verify.tools)])

    def run(self, suite: Suite, folder: str, verify: Verify) -> Run:
        """Return the run of a suite in a folder."""
        if suite.ci is not None:
            return self._at_ci(suite, verify)
        inputs = self._inputs(suite, folder)
        missing = self.missing(suite.inputs or ())
        paths = self._with_links(inputs) if inputs and not missing else ["."]
        prepare = self.prepare(verify)
        key = digest(
            {
                "v": VERSION,
                "run": suite.run,
                "dir": folder,
                "inputs": [self._content(path) for path in paths],
                "attributes": self._looks(paths),
                "filters": self._filters,
                "prepare": prepare,
                "caches": sorted(verify.caches),
                "tools": tools(verify.tools),
                "env": values((*verify.env, *suite.env)),
                "detected": suite.detected,
                "secrets": suite.secrets,
            }
        )
        return Run(suite, folder, verify, key, prepare, missing)

    def _at_ci(self, suite: Suite, verify: Verify) -> Run:
        """Return the run of a suite that CI decides, by its inputs and CI's own files: nothing of this machine decides it."""
        from homelab.policy import ci_files
        from homelab.policy.tree import Tree

        missing = self.missing(suite.inputs or ())
        inputs = suite.inputs if suite.inputs and not missing else (".",)
        contents = self._contents([*inputs, *ci_files.ci_files(Tree(self._objects, self._tree))])
        return Run(suite, suite.dir, verify, digest({"v": VERSION, "ci": suite.ci, "inputs": contents}), None, missing)

    def _inputs(self, suite: Suite, folder: str) -> list[str]:
        """Return the paths that decide a suite's result in a folder, its own among them; none for the whole tree."""
        if suite.inputs is None and suite.each is None:
            return []
        return [*(suite.inputs or ()), *([folder] if folder != "." else [])]

    def runs(self, suite: Suite, verify: Verify) -> list[Run]:
        """Return a suite's runs: one, or one for each matching folder."""
        if suite.each is None:
            return [self.run(suite, suite.dir, verify)]
        found = self._folders(suite.each)
        self._objects.read_trees(tree for _, tree in found)  # each is walked for its links
        return [self.run(suite, folder, verify) for folder, _ in found]

    def _folders(self, pattern: str) -> list[tuple[str, str]]:
        """Return the folders that match a pattern, each with its tree."""
        found = [("", self._tree)]
        for part in pattern.split("/"):
            found = [
                (f"{path}/{name}".lstrip("/"), entry.oid)
                for path, tree in found
                for name, entry in self._objects.entries(tree).items()
                if entry.is_folder and fnmatch.fnmatchcase(name, part) and name.startswith(".") == part.startswith(".")
            ]
        return found


def values(names: Iterable[str]) -> dict[str, str | None]:
    """Return the values of the variables that a suite may see besides the allow-list."""
    return {name: os.environ.get(name) for name in sorted(set(names))}


class Demand(NamedTuple):
    """All that a tree needs by its policies, and the one key that stands for the whole of it."""

    tree: str
    whole: str
    runs: tuple[Run, ...]
    #: Whether any suite was configured or detected; without one nothing can be said about the tree.
    verifiable: bool
    #: Whether a result depends on the caller's environment, so that no memo may outlive it.
    uses_environment: bool
    #: What the rules say and the tree does not have, each a sentence to be told every time.
    notes: tuple[str, ...] = ()
    #: Whether the rules have a file, in which a suite can be named; without one `homelab init` writes it.
    has_file: bool = False
    #: The commit that has the file, where the tree has none: the change takes it away, or never had it.
    file_of: str | None = None

    @property
    def way_on(self) -> tuple[str, str | None]:
        """What brings a suite where there is none, in words and as a command.

        Only where there is no file is it `homelab init`: it changes none that exists, and would send people back and forth.
        """
        if self.has_file:
            return "name one in homelab.toml as [[suite]] with `name` and `run`, and commit it", None
        if self.file_of:
            command = f"git checkout {self.file_of} -- :/{NAME}"  # from any folder
            return f"`{command}` brings the target's {NAME}, which this has not; commit it", command
        return "write one with `homelab init`", "homelab init"

    @property
    def is_lasting(self) -> bool:
        """Return whether a green holds for this tree whatever else changes, with nothing to be told of it."""
        return not self.uses_environment and not self.notes

    def part(self, runs: Iterable[Run]) -> "Demand":
        """Return the demand of these runs alone: its key stands for them and never for the whole."""
        kept = tuple(runs)
        return self._replace(runs=kept, whole=digest({"of": self.whole, "runs": [run.key for run in kept]}))


def uses_environment(policies: Iterable[Policy]) -> bool:
    """Return whether a result by these policies depends on the caller's environment, or on tools that are to be asked."""
    return any(
        policy.config.verify.env or policy.config.verify.tools or any(suite.env for suite in policy.suites)
        for policy in policies
    )


def whole_key(tree: str, policies: Sequence[Policy], filters: str) -> str:
    """Return the key that stands for a whole tree under its policies: one lookup instead of a thousand."""
    rules = [[policy.config.verify._asdict(), [suite._asdict() for suite in policy.suites]] for policy in policies]
    names = {name for p in policies for name in (*p.config.verify.env, *(n for s in p.suites for n in s.env))}
    asked = tools(command for policy in policies for command in policy.config.verify.tools)
    return digest({"v": VERSION, "tree": tree, "policies": rules, "env": values(names), "filters": filters, "tools": asked})


def _question(suite: Suite, verify: Verify) -> tuple[object, ...]:
    """Return what a suite asks of a commit, whatever it is called and wherever it was found."""
    return suite.run, suite.dir, suite.each, suite.inputs, suite.env, verify.prepare, verify.prepare_inputs, verify.env


def demand(objects: Objects, tree: str, policies: Sequence[Policy], filters: str) -> Demand:
    """Return what a tree needs by its policies; a suite that two policies ask for stands once."""
    keys = Keys(objects, tree, filters)
    # Where the change brings the first file, what was detected before is only a guess of ours.
    guessed = len(policies) > 1 and policies[0].blob is None
    # What the first file says itself is no guess, and would run twice.
    said = {_question(suite, policies[-1].config.verify) for suite in policies[-1].suites} if guessed else set()
    runs: dict[tuple[str, str], Run] = {}
    notes: dict[str, None] = {}
    for n, policy in enumerate(policies):
        for path in keys.missing(policy.config.verify.prepare_inputs):
            notes[f"prepare_inputs names {path}, which is not there: all of the tree is its input"] = None
        for suite in policy.suites:
            if n == 0 and _question(suite, policy.config.verify) in said:
                continue
            found = keys.runs(suite, policy.config.verify)
            if not found:
                notes[f"each = {suite.each!r} of {suite.name} matches no folder"] = None
            for run in found:
                runs.setdefault((run.key, suite.name), run._replace(is_guess=True) if guessed and n == 0 else run)
                for path in run.missing:
                    notes[f"{suite.name} names the input {path}, which is not there: all of the tree is its input"] = None
    whole = whole_key(tree, policies, filters)
    verifiable = all(policy.suites for policy in policies)
    has_file = policies[-1].blob is not None
    file_of = policies[0].label if policies[0].blob and not has_file else None
    return Demand(tree, whole, tuple(runs.values()), verifiable, uses_environment(policies), tuple(notes), has_file, file_of)
