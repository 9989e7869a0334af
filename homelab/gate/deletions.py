"""How much of a branch a change deletes: an emptied index or a lost folder shows as files that are gone.

A file whose very content turns up under a new path was moved, not deleted; each new path accounts for one. Equal folders are
not looked into, so the count costs what the change costs. Pure, by trees; the hook and `work land` judge by the same numbers.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from homelab.git.objects import FOLDER, Entry, Objects

#: In a smaller tree a half is a few files, which a day's work may delete.
LEAST_FILES = 20


class Loss(NamedTuple):
    """How many files a change deletes, of how many that its base has."""

    deleted: int
    files: int

    def __str__(self) -> str:
        return f"{self.deleted} of {self.files} files"


def excess(objects: Objects, base: str, tree: str, percent: int) -> Loss | None:
    """Return what the tree has lost of the tree `base`, or None where that is no more than `percent` of its files."""
    gone: list[Entry] = []
    new: Counter[str] = Counter()
    _compare(objects, base, tree, gone, new)
    deleted = 0
    for entry in gone:
        moved = new[entry.oid] > 0
        new[entry.oid] -= moved
        deleted += not moved
    if deleted * 100 <= LEAST_FILES * percent:  # whatever there is besides, and the whole base need not be read
        return None
    found = Loss(deleted, sum(1 for _ in _files(objects, base)))
    return found if found.files >= LEAST_FILES and deleted * 100 > found.files * percent else None


def _compare(objects: Objects, base: str, tree: str, gone: list[Entry], new: Counter[str]) -> None:
    """Collect the files of `base` whose path the tree does not have, and count the contents of its new paths."""
    before, after = objects.entries(base), objects.entries(tree)
    for name in before.keys() | after.keys():
        old, now = before.get(name), after.get(name)
        if old == now:
            continue
        if old is not None and now is not None and old.is_folder and now.is_folder:
            _compare(objects, old.oid, now.oid, gone, new)
        elif old is None or now is None or old.is_folder or now.is_folder:
            gone.extend(_below(objects, old))
            new.update(entry.oid for entry in _below(objects, now))


def _below(objects: Objects, entry: Entry | None) -> Iterator[Entry]:
    """Yield the files at an entry: itself, or all below it."""
    if entry is not None and entry.mode == FOLDER:
        yield from _files(objects, entry.oid)
    elif entry is not None:
        yield entry


def _files(objects: Objects, tree: str) -> Iterator[Entry]:
    return (entry for _, entry in objects.walk(tree) if not entry.is_folder)
