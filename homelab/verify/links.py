"""Where the symbolic links of a tree lead, within the tree: an input that is a link counts as what it points at."""

from collections.abc import Iterable

from homelab.git.objects import LINK, Objects

#: Links in a row after which a path leads nowhere, as Linux has it.
_MOST = 40


class Links:
    """The links of one tree; each of its folders is walked once."""

    def __init__(self, objects: Objects, tree: str) -> None:
        self._objects = objects
        self._tree = tree
        self._inside: dict[str, list[str]] = {}

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
        if entry is None or not entry.is_folder:
            return self._resolved(path)
        base = "" if path == "." else f"{path}/"
        return [target for below in self._links(entry.oid) for target in self._resolved(base + below)]

    def _resolved(self, path: str) -> list[str]:
        """Return the links that a path leads through and where it ends, as the kernel walks it; no end outside of the tree.

        By its text alone `link/../x` would be `x`, and is what lies beside the folder that the link points at.
        """
        found: list[str] = []
        at: list[str] = []
        rest, left = path.split("/")[::-1], _MOST
        while rest:
            part = rest.pop()
            if part == ".." and not at:
                return found
            if part == "..":
                at.pop()
            elif part not in ("", "."):
                at.append(part)
                name = "/".join(at)
                entry = self._objects.entry(self._tree, name)
                if entry is None:
                    break
                if entry.mode == LINK:
                    found += [name] if name != path else []
                    text, left = self._objects.blob(entry.oid).decode("utf-8", "surrogateescape"), left - 1
                    if text.startswith("/") or not left:
                        return found
                    at.pop()
                    rest += text.split("/")[::-1]
        return [*found, "/".join(at) or "."]

    def _links(self, tree: str) -> list[str]:
        """Return the links below a folder's tree, as paths from there."""
        found = self._inside.get(tree)
        if found is None:
            found = []
            for name, entry in self._objects.entries(tree).items():
                if entry.mode == LINK:
                    found.append(name)
                elif entry.is_folder:
                    found += [f"{name}/{below}" for below in self._links(entry.oid)]
            self._inside[tree] = found
        return found
