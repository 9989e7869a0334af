"""Questions to objects: commits, trees, blobs. The only importer of dulwich; never writes.

dulwich reads every format (SHA-256, alternates, packs), is blind to ``refs/replace`` and grafts, and starts no process.
What it does not find may yet come: a partial clone fetches it, and a receiving hook's quarantine shows it to git alone.
Either way one answers: the walk through trees is ours, so no question costs more than the objects on its path.
"""

import contextlib
import os
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from homelab.errors import Failed
from homelab.system import process

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


def _parse_tree(content: bytes, width: int) -> dict[str, Entry]:
    """Return a tree's entries; each is ``MODE NAME``, a zero byte, and `width` bytes of object id."""
    found, at = {}, 0
    while at < len(content):
        space = content.index(b" ", at)
        zero = content.index(b"\0", space)
        following = zero + 1 + width
        found[os.fsdecode(content[space + 1 : zero])] = Entry(int(content[at:space], 8), content[zero + 1 : following].hex())
        at = following
    return found


class _Pipe:
    """One ``git cat-file --batch``, started at the first question; it ends with us."""

    def __init__(self, git_dir: Path, env: Mapping[str, str]) -> None:
        self._argv = ["git", f"--git-dir={git_dir}", "--no-replace-objects", "cat-file", "--batch"]
        self._env = process.environment(env)
        self._child: process.Child | None = None

    def ask(self, oid: str) -> tuple[str, bytes] | None:
        """Return an object's type and content, or None where git does not have it."""
        child = self._child = self._child or self._start()
        assert child.stdin is not None and child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(f"{oid}\n".encode())
            child.stdin.flush()
        header = child.stdout.readline()
        words = header.decode(errors="replace").split()
        if not header.endswith(b"\n"):  # it died over a broken object; the next question gets another
            self._child = None
        if len(words) != 3:
            return None
        content = child.stdout.read(int(words[2]) + 1)
        return (words[1], content[:-1]) if len(content) == int(words[2]) + 1 else None

    def _start(self) -> process.Child:
        child = process.start(self._argv, env=self._env, stdin=process.PIPE, stdout=process.PIPE, stderr=process.DEVNULL)
        weakref.finalize(self, _end, child)
        return child


def _end(child: process.Child) -> None:
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    child.wait()


class Objects:
    """The objects of one clone, read with dulwich; with `piped` through one git process, which gets those variables.

    Importing dulwich takes ten times as long as starting git, so what reads a handful and ends goes through the pipe. A
    receiving hook has to: git alone sees what a push has just brought.
    """

    def __init__(self, common_dir: Path, *, piped: Mapping[str, str] | None = None) -> None:
        self._common_dir = common_dir
        self._is_piped = piped is not None
        self._pipe = _Pipe(common_dir, piped or {})
        self._store: object = None
        self._trees: dict[str, dict[str, Entry]] = {}

    def close(self) -> None:
        """No pack is open; the next question opens what it needs."""
        if self._store is not None:
            self._store.close()  # type: ignore[attr-defined]
            self._store = None

    def _raw(self, oid: str) -> tuple[str, bytes]:
        """Return an object's type and content. Raises `Failed` when the clone does not have it."""
        found = None if self._is_piped else self._read(oid)
        found = found or self._pipe.ask(oid)
        if found is None:
            raise Failed(f"the object {oid[:12]} is not in this clone", hint="`git fetch`, then run it again")
        return found

    def _read(self, oid: str) -> tuple[str, bytes] | None:
        """Return what dulwich finds; for the rest git is asked, it fetches what a partial clone lacks."""
        from dulwich.errors import ObjectFormatException
        from dulwich.object_format import SHA1, SHA256
        from dulwich.object_store import DiskObjectStore
        from dulwich.objects import ObjectID

        if self._store is None:
            wide = len(oid) == 64
            path = self._common_dir / "objects"
            store = self._store = DiskObjectStore(os.fspath(path), object_format=SHA256 if wide else SHA1)
            weakref.finalize(self, store.close)
        assert isinstance(self._store, DiskObjectStore)
        try:
            number, content = self._store.get_raw(ObjectID(oid.encode()))
            return _TYPES[number], content
        except (KeyError, OSError, AssertionError, ValueError, ObjectFormatException):
            return None

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
            kind, content = self._raw(tree)
            if kind != "tree":
                raise Failed(f"{tree[:12]} is a {kind}, not a tree", hint="name a commit")
            found = _parse_tree(content, len(tree) // 2)
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
