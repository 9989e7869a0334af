"""Which suites a tree shows by itself, where no configuration names one, and what prepares a checkout for them.

Only the root's own files count, and they are read as objects, never from a folder. An explicit `test` or `check` of a
Makefile, a justfile, a Taskfile or mise is somebody's own answer and stands alone; otherwise every language that is found
runs. What deploys or asks a live system is never detected. A file that cannot be understood is no evidence. Whether such a
suite ran any test is `homelab.verify.no_tests`'s.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from homelab.git.objects import Objects
from homelab.policy.config import Suite, Verify
from homelab.policy.found import languages, python, tasks
from homelab.policy.found.finding import Finding, Source, preparation, suite
from homelab.policy.targets import MAKEFILES, TASKFILES
from homelab.policy.tree import Tree

_PYTHON = ("pyproject.toml", "setup.cfg", "setup.py", "pytest.ini", "conftest.py", "requirements.txt", "Pipfile")
_NOT_TESTS = ("node_modules", "venv", "build", "dist", "vendor")  # pytest does not look there either
_DEEPEST = 5


class Detected(NamedTuple):
    """The suites that a tree shows, none where nothing does, and how a checkout is prepared for them."""

    suites: tuple[Suite, ...]
    verify: Verify


def detect(objects: Objects, tree: str) -> Detected:
    """Return what the files at a tree's root show."""
    return shown(Source(Tree(objects, tree)))


def shown(source: Source) -> Detected:
    """Return what the files at the root of a tree show that others look at as well."""
    found = [finding for finding in _explicit(source) if not finding.off]
    found = (
        found or list({finding.run: finding for finding in reversed(list(_usual(source))) if not finding.off}.values())[::-1]
    )
    found = [finding if finding.prepare else languages.equipped(source, finding) for finding in found]
    return Detected(tuple(suite(finding, detected=True) for finding in found), preparation(found))


def _explicit(source: Source) -> Iterator[Finding]:
    """Yield the first of `test` and `check` that each runner has."""
    names = source.tree.names
    justfiles = [name for name in names if name.lower() in ("justfile", ".justfile")]
    runners = {
        "make": any(name in names for name in MAKEFILES), "just": justfiles, "task": any(name in names for name in TASKFILES),
        "mise": source.targets.known("mise", "."),
    }  # fmt: skip
    for program, is_there in runners.items():
        found = list(tasks.goals(source, program, ".", ("test", "check"))) if is_there else []
        yield from found[:1]


def _usual(source: Source) -> Iterator[Finding]:
    """Yield what the languages of the root are tested by, then hooks that check all files."""
    if source.tree.text("go.mod") is not None:
        yield languages.go(source, ".")
    if source.tree.text("Cargo.toml") is not None:
        yield from list(languages.cargo(source, "."))[:1]
    yield from languages.node(source, ".", ("test",))
    yield from _python(source)
    yield from tasks.scripts(source)
    yield from tasks.pre_commit(source)
    yield from tasks.lefthook(source)
    yield from tasks.worktrunk(source)


def _python(source: Source) -> Iterable[Finding]:
    found = list(python.runners(source, "."))
    if found or not any(name in source.tree.names for name in _PYTHON):
        return found
    return [Finding("pytest", python.runner(source, "."), "tests")] if any(map(_is_test, _python_files(source.tree))) else []


def _is_test(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return name.endswith(".py") and (python.is_test(path) or folder.split("/")[0] in ("tests", "test"))


def _python_files(tree: Tree, oid: str | None = None, prefix: str = "") -> Iterator[str]:
    """Yield the files in which pytest would look, those of `tests` first so that most trees are hardly walked."""
    entries = tree.objects.entries(oid or tree.oid)
    for name in sorted(entries, key=lambda name: (name not in ("tests", "test"), name)):
        if not entries[name].is_folder:
            yield prefix + name
        elif not name.startswith(".") and name not in _NOT_TESTS and prefix.count("/") < _DEEPEST:
            yield from _python_files(tree, entries[name].oid, f"{prefix}{name}/")
