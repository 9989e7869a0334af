"""Folders of one kind as patterns: `stacks/*` for the fifty below it, so that one suite runs in each."""

import fnmatch
import posixpath
from collections.abc import Iterable, Iterator, Sequence


def patterns(folders: Sequence[str], every: Iterable[str]) -> list[tuple[str | None, list[str]]]:
    """Return the folders in groups, each with the pattern that fits it, None for one that is alone.

    A pattern fits all that are in its group, and of `every` folder of the tree that it matches half at least are meant, so
    that a suite runs in few where it has nothing to do. Folders below another of them are left out: they are its part.
    """
    meant = set(folders) - {"."}
    tops = [folder for folder in folders if not meant.intersection(_above(folder))]
    depths: dict[str, list[str]] = {}
    for folder in tops:
        depths.setdefault(posixpath.dirname(folder), []).append(folder)
    groups = _joined(depths)
    known = list(every)
    found: list[tuple[str | None, list[str]]] = []
    for pattern, members in groups:
        fitting = matched(known, pattern) if pattern else []
        if pattern is None or len(members) < 2 or len(members) * 2 < len(fitting):
            found += [(None, [member]) for member in members]
        else:
            found.append((pattern, members))
    return found


def matched(every: Iterable[str], pattern: str) -> list[str]:
    """Return the folders that a pattern stands for."""
    return [folder for folder in every if _matches(folder, pattern)]


def _joined(depths: dict[str, list[str]]) -> list[tuple[str | None, list[str]]]:
    """Return a pattern for each parent, and one for many parents that are themselves beside each other."""
    above: dict[str, list[str]] = {}
    for parent in depths:
        if parent:
            above.setdefault(posixpath.dirname(parent), []).append(parent)
    groups: list[tuple[str | None, list[str]]] = []
    for grand, parents in above.items():
        members = [folder for parent in parents for folder in depths[parent]]
        if len(parents) > 2 and grand:
            groups.append((f"{grand}/*/*", members))
        else:
            groups += [(f"{parent}/*", depths[parent]) for parent in parents]
    return groups + [(None, [folder]) for folder in depths.get("", [])]


def _above(folder: str) -> Iterator[str]:
    while folder := posixpath.dirname(folder):
        yield folder


def _matches(folder: str, pattern: str) -> bool:
    parts, wanted = folder.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(
        fnmatch.fnmatchcase(part, want) and not part.startswith(".") for part, want in zip(parts, wanted, strict=True)
    )
