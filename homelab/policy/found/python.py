"""What shows that a folder is a Python project with tests, and by which runner its people run them."""

import configparser
import posixpath
import re
from collections.abc import Iterator

from homelab.policy.found import sessions
from homelab.policy.found.finding import Finding, Source, join
from homelab.policy.tree import mapping, strings

# Debian has no `python`, some virtual environments no `python3`.
PYTHON = '"$(command -v python || command -v python3)"'
PYTEST = f"{PYTHON} -m pytest"

MANIFESTS = (
    "pyproject.toml", "setup.cfg", "setup.py", "pytest.ini", "conftest.py", "requirements.txt", "Pipfile", "uv.lock", "tox.ini",
    "tox.toml", "noxfile.py", "requirements-dev.txt",
)  # fmt: skip
_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock")
#: pytest does not look there either.
_NOT_TESTS = frozenset(("node_modules", "venv", "build", "dist", "vendor"))
_TESTS = ("tests", "test")


def find(source: Source) -> Iterator[Finding]:
    """Yield how every Python project of the tree runs its tests."""
    projects: dict[str, list[str]] = {}
    for path in source.tree.files:
        if path.endswith(".py") and is_test(path):
            projects.setdefault(_project(source, path), []).append(path)
    set_up = source.folders_with("tox.ini", "tox.toml", "noxfile.py", "pyproject.toml", "setup.cfg")
    for folder in sorted({*projects, *(each for each in set_up if _NOT_TESTS.isdisjoint(each.split("/")))}):
        if folder in projects or not set(_TESTS).intersection(folder.split("/")):  # a project made up for tests
            yield from project(source, folder, projects.get(folder, []))


def is_test(path: str) -> bool:
    """Return whether pytest would take a file for a test by its name, or a person by its folder."""
    folder, name = posixpath.split(path)
    parts = folder.split("/")
    if any(part.startswith(".") or part in _NOT_TESTS for part in parts if part):
        return False
    return name.startswith("test_") or name.endswith("_test.py")


def _project(source: Source, path: str) -> str:
    """Return the folder that a test belongs to: the nearest above that has a manifest, else the one that holds `tests`."""
    folder = posixpath.dirname(path) or "."
    nearest = folder
    while True:
        if not source.tree.folders.get(folder, frozenset()).isdisjoint(MANIFESTS) and posixpath.basename(folder) not in _TESTS:
            return folder
        if folder == ".":
            break
        folder = posixpath.dirname(folder) or "."
    parts = nearest.split("/")
    tests = next((n for n, part in enumerate(parts) if part in _TESTS), None)
    return nearest if tests is None else "/".join(parts[:tests]) or "."


def project(source: Source, folder: str, tests: list[str]) -> Iterator[Finding]:
    """Yield the runner of one project: nox and tox where they are set up, else pytest as its lock file or hatch runs it."""
    files = source.tree.folders.get(folder, frozenset())
    inputs = source.inputs(folder, [*(join(folder, name) for name in MANIFESTS), *tests])
    off = source.wants([*tests, join(folder, "conftest.py"), join(folder, "tests/conftest.py")])
    found = [finding._replace(inputs=inputs, off=finding.off or off) for finding in runners(source, folder)]
    if found or not tests:
        yield from found
        return
    run = runner(source, folder)
    manifest = next((name for name in MANIFESTS if name in files), None)
    where = "" if manifest or folder != "." else " tests" if source.tree.exists("tests") else ""
    shown = join(folder, manifest) if manifest else posixpath.dirname(tests[0]) or tests[0]
    yield Finding("pytest", run + where, f"{shown}, {len(tests)} test files", folder, inputs, off=off)


def runners(source: Source, folder: str) -> Iterator[Finding]:
    """Yield nox and tox where a folder sets them up and they deploy nothing by themselves; they stand for pytest."""
    if (sessions_of := source.tree.text(nox := join(folder, "noxfile.py"))) is not None:
        yield from _judged(source, Finding("nox", "nox", nox, folder), sessions.of_nox(sessions_of))
    if tox := has_tox(source, folder):
        document = source.tree.toml(tox) if tox.endswith(".toml") else {}
        own = mapping(mapping(document.get("tool")).get("tox")) if tox.endswith("pyproject.toml") else document
        ini = "" if document else source.tree.text(tox) or ""
        yield from _judged(source, Finding("tox", "tox", tox, folder), sessions.of_tox(ini, own))


def _judged(source: Source, finding: Finding, script: str) -> Iterator[Finding]:
    if (off := source.off(script, finding.dir)) is not None:
        yield finding._replace(off=off)


def runner(source: Source, folder: str) -> str:
    """Return the command that runs a project's tests."""
    files = {name for name in _LOCKS if source.tree.has(join(folder, name))}
    tools = mapping(source.tree.toml(join(folder, "pyproject.toml")).get("tool"))
    if "uv.lock" in files:
        return "uv run pytest"
    if "poetry.lock" in files:
        return "poetry install && poetry run pytest"
    if "pdm.lock" in files:
        return "pdm sync --dev && pdm run pytest"
    environments = mapping(mapping(tools.get("hatch")).get("envs"))
    if "hatch-test" in environments:
        return "hatch test"
    for name, environment in environments.items():
        prefix = "hatch run " if name == "default" else f"hatch run {name}:"
        if "test" in mapping(mapping(environment).get("scripts")):
            return f"{prefix}test"
        if any(word.startswith("pytest") for word in strings(mapping(environment).get("dependencies"))):
            return f"{prefix}pytest"
    return PYTEST


def has_tox(source: Source, folder: str) -> str | None:
    """Return the file that sets tox up in a folder: tox.ini, tox.toml, pyproject.toml or setup.cfg."""
    # Many a tox.ini configures flake8 or pytest only, and tox answers OK without running anything.
    if re.search(r"^\[(tox|testenv\b.*)\]", source.tree.text(join(folder, "tox.ini")) or "", re.MULTILINE):
        return join(folder, "tox.ini")
    if source.tree.has(join(folder, "tox.toml")):
        return join(folder, "tox.toml")
    if "tox" in mapping(source.tree.toml(join(folder, "pyproject.toml")).get("tool")):
        return join(folder, "pyproject.toml")
    try:
        setup = configparser.ConfigParser(interpolation=None, strict=False)
        setup.read_string(source.tree.text(join(folder, "setup.cfg")) or "")
    except (configparser.Error, ValueError):
        return None
    return join(folder, "setup.cfg") if setup.has_section("tox:tox") else None
