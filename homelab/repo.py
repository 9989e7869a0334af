"""Questions to objects: commits, trees, blobs. The only importer of dulwich; never writes.

dulwich reads every format (SHA-256, alternates, packs), is blind to ``refs/replace`` and grafts, and starts no process.
What it does not find may yet come: a partial clone fetches it, and a receiving hook's quarantine shows it to git alone.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from homelab import process
from homelab.errors import Failed

FOLDER, LINK, GITLINK = 0o040000, 0o120000, 0o160000
_TYPES = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree: its mode as git writes it, and its object id."""

    mode: int
    oid: str

    @property
    def is_folder(self) -> bool:
        """Tell whether it is a folder."""
        return self.mode == FOLDER


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit's tree and parents."""

    oid: str
    tree: str
    parents: tuple[str, ...]


def is_zero(oid: str) -> bool:
    """Tell whether an object id is git's word for none, in either hash."""
    return not oid.strip("0")


class Objects:
    """The objects of one clone. `quarantined` looks through git, which alone sees what a push has just brought."""

    def __init__(self, common_dir: Path, *, quarantined: bool = False) -> None:
        self._common_dir = common_dir
        self._quarantined = quarantined
        self._store: object = None
        self._trees: dict[str, dict[str, Entry]] = {}

    def close(self) -> None:
        """No pack is open; the next question opens what it needs."""
        if self._store is not None:
            self._store.close()  # type: ignore[attr-defined]
            self._store = None

    def _raw(self, oid: str) -> tuple[str, bytes]:
        """Return an object's type and content. Raises `Failed` when the clone does not have it."""
        if not self._quarantined:
            from dulwich.errors import ObjectFormatException
            from dulwich.object_format import SHA1, SHA256
            from dulwich.object_store import DiskObjectStore
            from dulwich.objects import ObjectID

            if self._store is None:
                wide = len(oid) == 64
                path = self._common_dir / "objects"
                self._store = DiskObjectStore(os.fspath(path), object_format=SHA256 if wide else SHA1)
            assert isinstance(self._store, DiskObjectStore)
            try:
                number, content = self._store.get_raw(ObjectID(oid.encode()))
                return _TYPES[number], content
            except (KeyError, OSError, AssertionError, ValueError, ObjectFormatException):
                pass  # git is asked below, it fetches what a partial clone lacks and says what is broken
        env = {**os.environ, "GIT_NO_REPLACE_OBJECTS": "1"} if self._quarantined else process.environment()
        done = process.run(
            ["git", f"--git-dir={self._common_dir}", "--no-replace-objects", "cat-file", "--batch"],
            env=env,
            input=f"{oid}\n".encode(),
        )
        header, _, rest = done.stdout.partition(b"\n")
        words = header.decode(errors="replace").split()
        if len(words) != 3:
            raise Failed(f"the object {oid[:12]} is not in this clone", hint="`git fetch`, then run it again")
        return words[1], rest[: int(words[2])]

    def has(self, oid: str) -> bool:
        """Tell whether the clone has this object."""
        try:
            self._raw(oid)
        except Failed:
            return False
        return True

    def peel(self, oid: str) -> str | None:
        """Return the commit that an object is or, as a tag, points at; None when it is no commit."""
        for _ in range(64):
            kind, content = self._raw(oid)
            if kind == "commit":
                return oid
            if kind != "tag":
                return None
            oid = content.split(b"\n", 1)[0].removeprefix(b"object ").decode()
        return None

    def commit(self, oid: str) -> Commit:
        """Return the commit. Raises `Failed` when the object is another kind, or missing."""
        kind, content = self._raw(oid)
        if kind != "commit":
            raise Failed(f"{oid[:12]} is a {kind}, not a commit", hint="name a commit")
        tree, parents = "", []
        for row in content.split(b"\n\n", 1)[0].split(b"\n"):
            word, _, value = row.partition(b" ")
            if word == b"tree":
                tree = value.decode()
            elif word == b"parent":
                parents.append(value.decode())
        return Commit(oid, tree, tuple(parents))

    def message(self, oid: str) -> str:
        """Return a commit's message."""
        return self._raw(oid)[1].partition(b"\n\n")[2].decode(errors="replace")

    def entries(self, tree: str) -> dict[str, Entry]:
        """Return a tree's entries by name, in git's order."""
        found = self._trees.get(tree)
        if found is None:
            from dulwich.objects import parse_tree

            kind, content = self._raw(tree)
            if kind != "tree":
                raise Failed(f"{tree[:12]} is a {kind}, not a tree", hint="name a commit")
            width = len(tree) // 2
            rows = parse_tree(content, sha_len=width)
            found = {os.fsdecode(name): Entry(mode, sha.decode()) for name, mode, sha in rows}
            self._trees[tree] = found
        return found

    def entry(self, tree: str, path: str) -> Entry | None:
        """Return what a path from the root is in a tree, or None. Links are not followed; ``.`` is the tree itself."""
        found = Entry(FOLDER, tree)
        for name in path.split("/"):
            if name in ("", "."):
                continue
            if not found.is_folder or (inner := self.entries(found.oid).get(name)) is None:
                return None
            found = inner
        return found

    def content(self, tree: str, path: str) -> bytes | None:
        """Return the content of a plain file, or None where there is none."""
        entry = self.entry(tree, path)
        if entry is None or entry.mode in (FOLDER, LINK, GITLINK):
            return None
        return self._raw(entry.oid)[1]

    def blob(self, oid: str) -> bytes:
        """Return a blob's content."""
        return self._raw(oid)[1]

    def walk(self, tree: str, prefix: str = "") -> Iterator[tuple[str, Entry]]:
        """Yield every path below a tree with its entry, folders before what is in them."""
        for name, entry in self.entries(tree).items():
            yield prefix + name, entry
            if entry.is_folder:
                yield from self.walk(entry.oid, f"{prefix}{name}/")
