"""What the attribute files of a tree give to git-crypt, as git itself resolves them.

Only the tree's own ``.gitattributes`` count: a line in ``info/attributes`` or in a user's configuration neither makes a
secret nor unmakes one. Whether a secret is sealed is `homelab.gitcrypt.plaintext`'s.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from homelab.errors import Failed
from homelab.git.attributes import NAME, Files
from homelab.git.contents import read_contents
from homelab.git.repository import Repository

_FILTER = re.compile(rb"(?:^|\s)filter=(git-crypt(?:-\S+)?)(?=\s|$)")
# `git -c attr.tree=TREE push`, since git 2.43, would have the attributes read from another tree.
_ISOLATED = {
    "GIT_ATTR_NOSYSTEM": "1", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_COUNT": "0",
    "GIT_CONFIG_PARAMETERS": "",
}  # fmt: skip


def filters(repository: Repository, oids: Iterable[str]) -> frozenset[str]:
    """Return the filters of git-crypt that attribute files name: ``git-crypt``, ``git-crypt-KEY``."""
    found: set[str] = set()
    for _, content in read_contents(repository, dict.fromkeys(oids)):
        found.update(os.fsdecode(name) for name in _FILTER.findall(content))
    return frozenset(found)


def key_file(git_dir: Path, name: str) -> Path:
    """Return where git-crypt has its key for a filter in a git directory that is unlocked."""
    return git_dir / "git-crypt" / "keys" / (name.removeprefix("git-crypt").removeprefix("-") or "default")


class Rules:
    """Answers which paths attribute files give to git-crypt; `folder` is an empty one to work in."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self._repository = repository
        self._folder = folder
        self._known: dict[Files, Path | None] = {}
        self._answers: dict[Files, dict[str, bool]] = {}
        # The least that git takes for a repository: none of the clone's own settings and attributes are seen from it.
        for name in ("git/objects", "git/refs"):
            (folder / name).mkdir(parents=True)
        (folder / "git/HEAD").write_text("ref: refs/heads/none\n")

    def name_any(self, files: Files) -> bool:
        """Return whether attribute files name git-crypt at all."""
        return self._laid_out(files) is not None

    def given(self, files: Files, paths: Iterable[str]) -> frozenset[str]:
        """Return those of the paths that belong to git-crypt; what was asked before is remembered."""
        root = self._laid_out(files)
        if root is None:
            return frozenset()
        answers = self._answers.setdefault(files, {})
        if unknown := [path for path in paths if path not in answers]:
            answers.update(self._ask(root, unknown))
        return frozenset(path for path in paths if answers[path])

    def _ask(self, root: Path, paths: Sequence[str]) -> Iterator[tuple[str, bool]]:
        done = self._repository.run(
            f"--git-dir={self._folder / 'git'}", f"--work-tree={root}", "-c", "core.bare=false", "-c", "core.ignoreCase=false",
            "-c", "core.attributesFile=/dev/null", "check-attr", "-z", "--stdin", "filter",
            input=b"".join(os.fsencode(path) + b"\0" for path in paths), env=_ISOLATED, cwd=root,
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"git cannot tell which paths are git-crypt's: {done.words}", hint="`git check-attr filter PATH`")
        fields = os.fsdecode(done.stdout).split("\0")
        for path, value in zip(fields[::3], fields[2::3], strict=False):
            # git reads attribute files themselves, so they cannot be secret whatever a pattern says.
            yield path, _is_git_crypt(value) and path.rpartition("/")[2] != NAME

    def _laid_out(self, files: Files) -> Path | None:
        """Return a folder that holds the attribute files alone, or None where none names git-crypt."""
        if files not in self._known:
            self._known[files] = self._lay_out(files, self._folder / str(len(self._known)))
        return self._known[files]

    def _lay_out(self, files: Files, root: Path) -> Path | None:
        contents = dict(read_contents(self._repository, dict.fromkeys(oid for _, oid in files)))
        if not any(_FILTER.search(content) for content in contents.values()):
            return None
        for path, oid in files:
            if not {"..", ".git"}.isdisjoint(path.split("/")):
                continue
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(contents[oid])
        return root


def _is_git_crypt(value: str) -> bool:
    return value == "git-crypt" or value.startswith("git-crypt-")
