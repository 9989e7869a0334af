"""GitLab's file as GitLab reads it: what the tree's own files bring in by `include`, `extends` and `!reference` put in place.

What another project, a template or an address brings in is not known here, and nothing is asked for it. Each job and each
value is made once, so that no file however knotted takes long.
"""

import fnmatch
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from homelab.policy.tree import Reference, Tree, mapping, strings

_MOST_FILES = 150  # GitLab's own limit
_MOST_LINES = 1000


def included(tree: Tree, path: str) -> list[str]:
    """Return a file and the files of the tree that it includes, each in front of what includes it."""
    found: list[str] = []
    _include(tree, path, found, set())
    return found


def _include(tree: Tree, path: str, found: list[str], seen: set[str]) -> None:
    seen.add(path)
    for other in local(tree, mapping(tree.yaml(path)).get("include")):
        if other not in seen and len(seen) < _MOST_FILES:
            _include(tree, other, found, seen)
    found.append(path)


def local(tree: Tree, include: object) -> Iterator[str]:
    """Yield the tree's files that an `include` names, by their path or by a pattern."""
    for row in include if isinstance(include, list) else [include]:
        names = strings(row) or strings(mapping(row).get("local"))
        for name in (posixpath.normpath(name.lstrip("/")) for name in names if "://" not in name):
            if "*" in name:
                yield from fnmatch.filter(tree.files, name)
            elif tree.has(name):
                yield name


def document(tree: Tree, path: str) -> dict[str, Any]:
    """Return a file with what it includes, every job as it runs; what is only a template keeps its dot."""
    merged: dict[str, Any] = {}
    for each in included(tree, path):
        merged = _merged(merged, mapping(tree.yaml(each)))
    jobs: dict[str, Any] = {}
    for name in merged:
        _extend(merged, name, jobs)
    made: dict[int, Any] = {}
    return {str(name): _resolved(jobs, job, made) for name, job in jobs.items()}


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two mappings as one: what is above wins, mappings are joined, lists are not."""
    found = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = _merged(found[name], value) if both else value
    return found


def _extend(document: Mapping[str, Any], name: str, jobs: dict[str, Any]) -> None:
    """Put a job on what it extends."""
    if name in jobs or name not in document:
        return
    jobs[name] = job = document[name]  # what extends itself is itself
    found: dict[str, Any] = {}
    for parent in strings(mapping(job).get("extends")):
        _extend(document, parent, jobs)
        found = _merged(found, mapping(jobs.get(parent)))
    jobs[name] = _merged(found, job) if found else job


def _resolved(document: Mapping[str, Any], value: object, made: dict[int, Any]) -> Any:
    """Return a value with references looked up; a list in a list is part of it, as a job's script may be written."""
    if not isinstance(value, Reference | dict | list):
        return value
    if id(value) in made:
        return made[id(value)]
    made[id(value)] = None  # what refers to itself is nothing there
    if isinstance(value, Reference):
        found: object = document
        for name in value:
            found = mapping(found).get(name)
        made[id(value)] = _resolved(document, found, made)
    elif isinstance(value, dict):
        made[id(value)] = {name: _resolved(document, inner, made) for name, inner in value.items()}
    else:
        rows = (_resolved(document, inner, made) for inner in value)
        lines = [line for row in rows for line in (row if isinstance(row, list) else [row])]
        made[id(value)] = lines[:_MOST_LINES]
    return made[id(value)]
