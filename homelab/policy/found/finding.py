"""One command that a repository shows, where it was found, and what a fresh checkout needs for it."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from homelab.policy import effects
from homelab.policy.config import Suite, Verify
from homelab.policy.effects import Effect
from homelab.policy.targets import Targets
from homelab.policy.tree import Tree

#: Folders whose content is made up for tests or to be copied: what is in them is nobody's project.
_MADE_UP = frozenset(
    "testdata fixtures fixture __fixtures__ test-fixtures _template templates template cookiecutter skel".split()
)
_UPWARDS = re.compile(r"(?:\$\{path\.module\}/)?((?:\.\./)+[\w.-][\w./-]*)")
#: Words by which a script or a test finds files that its own folder does not name.
_FROM_THE_ROOT = re.compile(r"show-toplevel|parents\[|\.parent\.parent\.parent|GITHUB_WORKSPACE|repo_root|REPO_ROOT|ROOT_DIR")
#: What a test asks that cannot do without, by the name of a variable or by a library's call.
_WANTED = re.compile(
    r"os\.environ\[['\"](\w+)['\"]\](?!\s*=[^=])|os\.Getenv\(\"(\w+)\"\)"
    r"|\bload_(?:kube|incluster)_config\(|\bclientcmd\.\w*Config"
)
#: What skips it, brings what it wants itself, or leaves it out of a usual run.
_GUARDED = re.compile(r"skip|setenv|^//go:build|patch\.dict", re.IGNORECASE | re.MULTILINE)
#: Programs of which the verb or the target says what they are about.
WITH_GOALS = frozenset(
    "go cargo make just task mise npm pnpm yarn bun rake terraform tofu helm docker nix uv ruff tox nox".split()
)
_LARGEST_SEARCHED = 1 << 16
_MOST_SEARCHED = 200


class Finding(NamedTuple):
    """A command that checks, as it would be written into `homelab.toml`."""

    #: What it is called after: a tool, and its goal where that is not its usual one.
    tool: str
    run: str
    #: Where it was found, for people.
    source: str
    dir: str = "."
    inputs: tuple[str, ...] | None = None
    each: str | None = None
    #: Why it is written switched off and never tried, or empty.
    off: str = ""
    #: What makes the root of a fresh checkout fit for it, the files that decide how, and the folders that are kept as it left
    #: them: a folder that nothing prepares is emptied before every run.
    prepare: str = ""
    prepare_inputs: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    #: Whether somebody named the command, rather than a language's custom.
    is_explicit: bool = False
    #: What is left of the command where it cannot run for want of a network, or empty.
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A tree, and what its targets run."""

    tree: Tree
    targets: Targets = field(init=False)

    def __post_init__(self) -> None:
        """Look up targets in the same tree."""
        object.__setattr__(self, "targets", Targets(self.tree))

    def folders_with(self, *names: str) -> list[str]:
        """Return the folders that have one of the files, none of those that are made up for tests."""
        return [
            folder
            for folder, files in self.tree.folders.items()
            if not files.isdisjoint(names) and not _MADE_UP.intersection(folder.split("/"))
        ]

    def off(self, run: str, dir: str = ".") -> str | None:
        """Return why a command is proposed switched off, empty where it is not, None where it must not be written."""
        does = effects.effect(run, self.targets, dir)
        if does is Effect.DEPLOYS:
            return None
        if "gruntwork-io/terratest" in (self.tree.text(join(dir, "go.mod")) or ""):
            return "its tests start real infrastructure (terratest)"
        return "it asks a system that is up, or needs a secret" if does is Effect.LIVE else ""

    def wants(self, tests: Iterable[str]) -> str:
        """Return why tests are proposed switched off, or nothing: one wants a cluster or credentials, and skips nothing."""
        texts = (self.tree.text(path) or "" for path in list(tests)[:_MOST_SEARCHED])
        named = (found for text in texts if not _GUARDED.search(text) for found in _WANTED.finditer(text))
        wanted = any(effects.is_secret(found[1] or found[2]) if found[1] or found[2] else True for found in named)
        return "its tests want a cluster or credentials" if wanted else ""

    def inputs(self, dir: str, names: Iterable[str] = (), extra: Iterable[str] = ()) -> tuple[str, ...] | None:
        """Return what decides a command in a folder below the root: the folder and what it names above itself.

        `names` are the files that are searched for such names. None stands for the whole tree.
        """
        if dir == ".":
            return None
        found = {dir, *(path for path in extra if self.tree.exists(path))}
        for path in list(names)[:_MOST_SEARCHED]:
            text = self.tree.text(path) or ""
            if len(text) > _LARGEST_SEARCHED or _FROM_THE_ROOT.search(text):
                return None
            found.update(self._upwards(path, dir, text))
        inner = {path for path in found if any(path.startswith(f"{other}/") for other in found)}
        return (dir, *sorted(found - inner - {dir}))

    def _upwards(self, path: str, dir: str, text: str) -> Iterator[str]:
        for name in set(_UPWARDS.findall(text)):
            for base in {posixpath.dirname(path), dir}:
                place = posixpath.normpath(posixpath.join(base, name))
                is_around = f"{dir}/".startswith(f"{place}/") or f"{place}/".startswith(f"{dir}/")
                if not place.startswith("..") and place != "." and not is_around and self.tree.exists(place):
                    yield place


def join(folder: str, name: str) -> str:
    """Return a path below a folder, the root being ``"."``."""
    return posixpath.normpath(posixpath.join(folder, name))


def suite(finding: Finding, *, detected: bool = False) -> Suite:
    """Return a finding as a suite."""
    return Suite(finding.tool, finding.run, finding.dir, finding.inputs, finding.each, detected=detected)


def preparation(findings: Iterable[Finding]) -> Verify:
    """Return what makes a fresh checkout fit for all of the findings."""
    used = [finding for finding in findings if not finding.off]
    steps = tuple(dict.fromkeys(finding.prepare for finding in used if finding.prepare))
    inputs = tuple(dict.fromkeys(path for finding in used if finding.prepare for path in finding.prepare_inputs))
    caches = tuple(dict.fromkeys(path for finding in used for path in finding.caches))
    return Verify(" && ".join(steps), inputs, caches=caches) if steps else Verify()
