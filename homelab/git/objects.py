"""Questions to objects: commits, trees, blobs. Never writes.

A process of git's answers, in every format (SHA-256, alternates, packs), blind to ``refs/replace``: it fetches what a
partial clone lacks, and it sees the quarantine of a receiving hook. The walk through trees is ours, so no question costs more
than the objects on its path. See docs/adr/0014.
"""

import contextlib
import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from homelab.errors import Failed
from homelab.system import process

#: Questions that are put before the first answer is read: a pipe holds them all, so that neither side waits for the other.
_AT_ONCE = 200
FOLDER, LINK, GITLINK = 0o040000, 0o120000, 0o160000


class Entry(NamedTuple):
    """One entry of a tree: its mode as git writes it, and its object id."""

    mode: int
    oid: str

    @property
    def is_folder(self) -> bool:
        """Return whether it is a folder."""
        return self.mode == FOLDER


class Commit(NamedTuple):
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


def _ask(child: process.Child, oids: Iterable[str]) -> None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write("".join(f"{oid}\n" for oid in oids).encode())
        child.stdin.flush()


def _answer(child: process.Child) -> tuple[tuple[str, bytes] | None, bool]:
    """Return an object's type and content, None where git does not have it, and whether the process can go on."""
    assert child.stdout is not None
    header = child.stdout.readline()
    words = header.decode(errors="replace").split()
    if len(words) != 3:
        return None, header.endswith(b"\n")  # git ends over a broken object
    content = child.stdout.read(int(words[2]) + 1)
    whole = len(content) == int(words[2]) + 1
    return ((words[1], content[:-1]) if whole else None), whole


def _end(child: process.Child) -> None:
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    child.wait()


class Objects:
    """The objects of one clone, each read by the same ``git cat-file --batch``, which starts at the first question.

    A process of git's is faster than dulwich for one object (3 ms against 30) and for five thousand (170 ms against 280),
    see bench/objects.py. Threads share it, one question at a time.
    """

    def __init__(self, common_dir: Path, env: Mapping[str, str] | None = None) -> None:
        """Read the objects below `common_dir`; `env` shows git where a receiving hook's new objects are."""
        self.common_dir = common_dir
        self.env = env or {}
        self._child: process.Child | None = None
        self._lock = threading.Lock()
        self._trees: dict[str, dict[str, Entry]] = {}
        self._found: dict[tuple[str, str], Entry | None] = {}

    def _raw(self, oid: str) -> tuple[str, bytes]:
        """Return an object's type and content. Raises `Failed` when the clone does not have it."""
        with self._lock:
            child = self._child or self._launch()
            self._child = None  # a question that is cut off (a signal, a broken object) leaves no half answer to the next
            _ask(child, (oid,))
            found, whole = _answer(child)
            if whole:
                self._child = child
        if found is None:
            raise Failed(f"the object {oid[:12]} is not in this clone", hint="`git fetch`, then run it again")
        return found

    def read_trees(self, trees: Iterable[str]) -> None:
        """Read trees and all that are below them, a level at a time: a question each would wait for git as often.

        What git does not have is left out; whoever asks for it later is told.
        """
        wanted = [tree for tree in dict.fromkeys(trees) if tree not in self._trees]
        while wanted:
            found: list[str] = []
            for start in range(0, len(wanted), _AT_ONCE):
                for tree, content in self._contents(wanted[start : start + _AT_ONCE], "tree"):
                    entries = self._trees[tree] = _parse_tree(content, len(tree) // 2)
                    found += [entry.oid for entry in entries.values() if entry.is_folder]
            wanted = [tree for tree in dict.fromkeys(found) if tree not in self._trees]

    def commits(self, oids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield commits as git keeps them, many to a question; what is no commit or not here is left out."""
        for start in range(0, len(oids), _AT_ONCE):
            yield from self._contents(oids[start : start + _AT_ONCE], "commit")

    def _contents(self, oids: Sequence[str], kind: str) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        with self._lock:
            child = self._child or self._launch()
            self._child = None
            _ask(child, oids)
            for oid in oids:
                answer, whole = _answer(child)
                if not whole:
                    return found
                if answer and answer[0] == kind:
                    found.append((oid, answer[1]))
            self._child = child
        return found

    def _launch(self) -> process.Child:
        argv = ["git", f"--git-dir={self.common_dir}", "--no-replace-objects", "cat-file", "--batch"]
        # Not in the caller's folder: `work clean` would find a process of ours in the worktree that it takes away.
        child = process.start(
            argv, cwd=self.common_dir, extra=self.env,
            stdin=process.PIPE, stdout=process.PIPE, stderr=process.DEVNULL,
        )  # fmt: skip
        weakref.finalize(self, _end, child)
        return child

    def has(self, oid: str) -> bool:
        """Return whether the clone has this object."""
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
        if (tree, path) not in self._found:
            self._found[tree, path] = self._entry(tree, path)
        return self._found[tree, path]

    def _entry(self, tree: str, path: str) -> Entry | None:
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

    def file(self, commit: str, path: str) -> tuple[str | None, bytes | None]:
        """Return the object id of what a commit has at a path, and the content where that is a plain file."""
        tree = self.commit(commit).tree
        entry = self.entry(tree, path)
        return (entry.oid if entry else None), self.content(tree, path)

    def blob(self, oid: str) -> bytes:
        """Return a blob's content."""
        return self._raw(oid)[1]

    def walk(self, tree: str, prefix: str = "") -> Iterator[tuple[str, Entry]]:
        """Yield every path below a tree with its entry, folders before what is in them."""
        for name, entry in self.entries(tree).items():
            yield prefix + name, entry
            if entry.is_folder:
                yield from self.walk(entry.oid, f"{prefix}{name}/")
