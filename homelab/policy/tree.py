"""The files of one tree, listed once from git's objects; nothing is read from a folder on disk.

Folders of other people's code (`vendor`, `node_modules`) are left out: nobody verifies a commit by them. Links and submodules
are no files here. A file is read when it is asked for, and not when it is too large to be written by hand.
"""

import posixpath
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from homelab.git.objects import FOLDER, GITLINK, LINK, Entry, Objects

_FOREIGN = frozenset(
    "node_modules vendor third_party venv .venv dist .terraform .terragrunt-cache .git .tox .nox site-packages".split()
)
_DEEPEST = 12
_MOST = 200_000
_LARGEST = 1 << 20
_LARGEST_YAML = 1 << 17  # a second for PyYAML


class Reference(tuple[str, ...]):
    """What GitLab's `!reference [job, key]` names."""

    __slots__ = ()


class Tree:
    """One tree as detection reads it."""

    def __init__(self, objects: Objects, oid: str) -> None:
        self.objects = objects
        self.oid = oid
        #: The root's own entries; most questions need no more.
        self.names = objects.entries(oid)

    @cached_property
    def files(self) -> dict[str, Entry]:
        """The plain files of all folders by path, sorted."""
        found: dict[str, Entry] = {}
        for path, entry in self._walk(self.oid, "", 0):
            found[path] = entry
            if len(found) >= _MOST:
                break
        return found

    def _walk(self, oid: str, prefix: str, depth: int) -> Iterator[tuple[str, Entry]]:
        for name, entry in sorted(self.objects.entries(oid).items()):
            if entry.mode == FOLDER:
                if name not in _FOREIGN and depth < _DEEPEST:
                    yield from self._walk(entry.oid, f"{prefix}{name}/", depth + 1)
            elif entry.mode not in (LINK, GITLINK):
                yield prefix + name, entry

    @cached_property
    def folders(self) -> dict[str, frozenset[str]]:
        """The names of the plain files in each folder that has one, by the folder's path; the root is ``"."``."""
        found: dict[str, set[str]] = {}
        for path in self.files:
            folder, name = posixpath.split(path)
            found.setdefault(folder or ".", set()).add(name)
        return {folder: frozenset(names) for folder, names in found.items()}

    @cached_property
    def every_folder(self) -> frozenset[str]:
        """All folders that hold a plain file somewhere below them."""
        found: set[str] = set()
        for folder in self.folders:
            while folder not in found and folder not in (".", ""):
                found.add(folder)
                folder = posixpath.dirname(folder)
        return frozenset(found)

    def has(self, path: str) -> bool:
        """Return whether there is a plain file at a path from the root."""
        entry = self.objects.entry(self.oid, path)
        return entry is not None and entry.mode not in (FOLDER, LINK, GITLINK)

    def exists(self, path: str) -> bool:
        """Return whether there is anything at a path from the root."""
        return self.objects.entry(self.oid, path) is not None

    def text(self, path: str) -> str | None:
        """Return a plain file's text, or None where it is missing, not text, or too large to be written by hand."""
        content = self.objects.content(self.oid, path)
        if content is None or len(content) > _LARGEST or b"\0" in content:
            return None
        return content.decode(errors="replace")

    def toml(self, path: str) -> dict[str, Any]:
        """Return a TOML file's document, empty where it cannot be read."""
        import tomllib

        try:
            return tomllib.loads(self.text(path) or "")
        except (ValueError, RecursionError):
            return {}

    def json(self, path: str) -> dict[str, Any]:
        """Return a JSON file's document, empty where it is no mapping."""
        import json

        try:
            found = json.loads(self.text(path) or "")
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def yaml(self, path: str) -> Any:
        """Return a YAML file's document, None where it cannot be read."""
        return read_yaml(self.text(path) or "")


def _reference(loader: Any, node: Any) -> Reference | None:
    return Reference(strings(loader.construct_sequence(node))) if isinstance(node.value, list) else None


def read_yaml(text: str) -> Any:
    """Return a YAML text's document, None where it cannot be read; so is a value of a tag that is not known here."""
    import yaml

    # libyaml's loader would be fast, and dies of a segmentation fault on deep nesting (PyYAML 6.0.3).
    class Loader(yaml.SafeLoader):
        """CloudFormation's `!Ref` is no reason to read nothing."""

    Loader.add_multi_constructor("!", lambda *_: None)
    Loader.add_constructor("!reference", _reference)
    try:
        return yaml.load(text, Loader) if len(text) <= _LARGEST_YAML else None  # noqa: S506 -- a SafeLoader
    # A date like 2024-99-99 is a ValueError, and a mapping as a key a TypeError in some versions.
    except (yaml.YAMLError, RecursionError, ValueError, TypeError):
        return None


def mapping(value: object) -> dict[Any, Any]:
    """Return a value that should be a mapping, empty where it is none."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Return a value that should be a list, empty where it is none."""
    return value if isinstance(value, list) else []


def strings(value: object) -> list[str]:
    """Return the strings of a value that may be one string or a list of them."""
    return [value] if isinstance(value, str) else [each for each in sequence(value) if isinstance(each, str)]
