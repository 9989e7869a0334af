"""Which suites a tree shows by itself, where no configuration names one.

Only the root's own files count, and they are read as objects, never from a folder. An explicit `test` or `check` of a
Makefile or justfile is somebody's own answer and stands alone; otherwise every language that is found runs. A file that
cannot be understood is no evidence. Whether such a suite ran any test is `homelab.verify.no_tests`'s.
"""

import json
import re
from collections.abc import Callable, Iterator

from homelab.git.objects import Objects
from homelab.policy.config import Suite
from homelab.policy.targets import MAKEFILES, just_recipes, make_rules

#: Hook ids of our own: a pre-commit configuration with nothing else would have the gate verify by the gate.
OWN_HOOKS = frozenset(("verified-push", "claimed-stacks", "git-crypt-sealed"))

# Debian has no `python`, some virtual environments no `python3`.
PYTEST = '"$(command -v python || command -v python3)" -m pytest'

_GOALS = ("test", "check")
_PYTHON = (
    "pyproject.toml", "setup.cfg", "setup.py", "pytest.ini", "conftest.py", "requirements.txt", "Pipfile",
)  # fmt: skip
_NOT_TESTS = ("node_modules", "venv", "build", "dist", "vendor")  # pytest does not look there either
_DEEPEST = 5
_LARGEST = 1 << 20
_LARGEST_YAML = 1 << 17  # a second for PyYAML


def detect(objects: Objects, tree: str) -> tuple[Suite, ...]:
    """Return the suites that the tree's own files show, none where nothing does."""
    found = _Tree(objects, tree)
    explicit = [suite for suite in (_make(found), _just(found)) if suite]
    if explicit:
        return tuple(explicit)
    languages: tuple[Callable[[_Tree], Suite | None], ...] = (_go, _cargo, _npm, _nox, _tox, _pytest, _pre_commit)
    return tuple(suite for look in languages if (suite := look(found)))


class _Tree:
    """The root of a tree, as far as detection wants to know it."""

    def __init__(self, objects: Objects, tree: str) -> None:
        self.objects = objects
        self.oid = tree
        self.names = objects.entries(tree)

    def text(self, name: str) -> str | None:
        """Return a plain file's text, or None where it is missing, not text, or too large to be written by hand."""
        content = self.objects.content(self.oid, name) if name in self.names else None
        if content is None or len(content) > _LARGEST or b"\0" in content:
            return None
        return content.decode(errors="replace")


def _suite(name: str, run: str) -> Suite:
    return Suite(name, run, detected=True)


def _go(tree: _Tree) -> Suite | None:
    return _suite("go", "go test ./...") if tree.text("go.mod") is not None else None


def _cargo(tree: _Tree) -> Suite | None:
    return _suite("cargo", "cargo test") if tree.text("Cargo.toml") is not None else None


def _npm(tree: _Tree) -> Suite | None:
    try:
        script = json.loads(tree.text("package.json") or "")["scripts"]["test"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    # `npm init` writes a script that says so and fails.
    real = isinstance(script, str) and script.strip() and "no test specified" not in script
    return _suite("npm", "npm test") if real else None


def _nox(tree: _Tree) -> Suite | None:
    return _suite("nox", "nox") if tree.text("noxfile.py") is not None else None


def _tox(tree: _Tree) -> Suite | None:
    # Many a tox.ini configures flake8 or pytest only, and tox answers OK without running anything.
    text = tree.text("tox.ini") or ""
    return _suite("tox", "tox") if re.search(r"^\[(tox|testenv\b.*)\]", text, re.MULTILINE) else None


def _pytest(tree: _Tree) -> Suite | None:
    if _nox(tree) or _tox(tree) or not any(name in tree.names for name in _PYTHON):
        return None
    return _suite("pytest", PYTEST) if any(map(_is_python_test, _python_files(tree))) else None


def _is_python_test(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    if not name.endswith(".py"):
        return False
    return name.startswith("test_") or name.endswith("_test.py") or folder.split("/")[0] in ("tests", "test")


def _python_files(tree: _Tree, oid: str | None = None, prefix: str = "") -> Iterator[str]:
    """Yield the files in which pytest would look, those of `tests` first so that most trees are hardly walked."""
    entries = tree.objects.entries(oid or tree.oid)
    for name in sorted(entries, key=lambda name: (name not in ("tests", "test"), name)):
        if not entries[name].is_folder:
            yield prefix + name
        elif not name.startswith(".") and name not in _NOT_TESTS and prefix.count("/") < _DEEPEST:
            yield from _python_files(tree, entries[name].oid, f"{prefix}{name}/")


def _pre_commit(tree: _Tree) -> Suite | None:
    text = tree.text(".pre-commit-config.yaml")
    if text is None or not any(_is_foreign(hook) for hook in _hooks(text)):
        return None
    return _suite("pre-commit", "pre-commit run --all-files")


def _hooks(text: str) -> Iterator[dict[str, object]]:
    """Yield the hooks of a pre-commit configuration, each with the stages that it falls back to."""
    import yaml

    try:
        # libyaml's loader would be fast, and dies of a segmentation fault on deep nesting (PyYAML 6.0.3).
        document = yaml.safe_load(text) if len(text) <= _LARGEST_YAML else None
    # A date like 2024-99-99 is a ValueError, and a mapping as a key a TypeError in some versions.
    except (yaml.YAMLError, RecursionError, ValueError, TypeError):
        return
    if not isinstance(document, dict):
        return
    for repo in _list(document.get("repos")):
        for hook in _list(repo.get("hooks")) if isinstance(repo, dict) else []:
            if isinstance(hook, dict):
                yield {"stages": document.get("default_stages"), **hook}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _is_foreign(hook: dict[str, object]) -> bool:
    """Tell whether `pre-commit run` would start this hook, and it is none of ours."""
    stages = _list(hook.get("stages"))
    runs = not stages or "pre-commit" in stages or "commit" in stages
    return runs and isinstance(hook.get("id"), str) and hook["id"] not in OWN_HOOKS


def _make(tree: _Tree) -> Suite | None:
    name = next((name for name in MAKEFILES if name in tree.names), None)
    return _goal("make", make_rules(tree.text(name) or "")) if name else None


def _just(tree: _Tree) -> Suite | None:
    names = sorted(name for name in tree.names if name.lower() in ("justfile", ".justfile"))
    return _goal("just", just_recipes(tree.text(names[-1]) or "")) if names else None


def _goal(tool: str, known: frozenset[str]) -> Suite | None:
    goal = next((goal for goal in _GOALS if goal in known), None)
    return _suite(tool, f"{tool} {goal}") if goal else None
