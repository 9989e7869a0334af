"""Where the symbolic links of a tree lead, within the tree: an input that is a link counts as what it points at."""

import posixpath
from collections.abc import Iterable

from homelab.git.objects import LINK, Objects

#: Links in a row after which a path leads nowhere, as Linux has it.
_MOST = 40


class Links:
    """The links of one tree; each of its folders is walked once."""

    def __init__(self, objects: Objects, tree: str) -> None:
        self._objects = objects
        self._tree = tree
        self._inside: dict[str, list[tuple[str, str]]] = {}

    def beyond(self, paths: Iterable[str]) -> set[str]:
        """Return every path that links at or below `paths` lead to, directly or by other links; some may not exist."""
        found: set[str] = set()
        waiting = list(paths)
        while waiting:
            for target in self._targets(waiting.pop()):
                if target not in found:
                    found.add(target)
                    waiting.append(target)
        return found

    def _targets(self, path: str) -> Iterable[str]:
        entry = self._objects.entry(self._tree, path)
        if entry is None:
            return self._through(path)
        if entry.mode == LINK:
            return self._followed(path, entry.oid)
        if not entry.is_folder:
            return ()
        base = "" if path == "." else f"{path}/"
        return [target for below, oid in self._links(entry.oid) for target in self._followed(base + below, oid)]

    def _through(self, path: str) -> Iterable[str]:
        """Return where a path leads that goes through a link, or nothing."""
        parts = path.split("/")
        for n in range(1, len(parts)):
            entry = self._objects.entry(self._tree, "/".join(parts[:n]))
            if entry is not None and entry.mode == LINK:
                rest = "/".join(parts[n:])
                followed = self._followed("/".join(parts[:n]), entry.oid)
                return [posixpath.normpath(f"{target}/{rest}") for target in followed if target.count("/") < _MOST]
        return ()

    def _followed(self, path: str, oid: str) -> list[str]:
        """Return where a link leads, as a path from the root; nothing where it leaves the tree."""
        text = self._objects.blob(oid).decode("utf-8", "surrogateescape")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), text))
        return [] if text.startswith("/") or target.startswith("../") or target == ".." else [target]

    def _links(self, tree: str) -> list[tuple[str, str]]:
        """Return the links below a folder's tree, each with its path from there and its object id."""
        found = self._inside.get(tree)
        if found is None:
            found = []
            for name, entry in self._objects.entries(tree).items():
                if entry.mode == LINK:
                    found.append((name, entry.oid))
                elif entry.is_folder:
                    found += [(f"{name}/{below}", oid) for below, oid in self._links(entry.oid)]
            self._inside[tree] = found
        return found
