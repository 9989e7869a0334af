"""Attribute files: which there are in a tree or in the index. What they give to whom is asked by whoever wants to know."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from homelab.errors import Failed
from homelab.git.repository import Repository

NAME = ".gitattributes"
#: Where git-lfs reads, at the root, which files it leaves out of a checkout.
LFS = ".lfsconfig"
#: Every attribute file of a tree, wherever git is run and whatever the caller's GIT_*_PATHSPECS say.
PATHSPEC = f":(top,glob)**/{NAME}"

#: The attribute files of a tree: path and object id, in git's order.
Files = tuple[tuple[str, str], ...]


class Listing(NamedTuple):
    """The plain files of a tree or of the index, by path, and which of them are attribute files."""

    blobs: Mapping[str, str]
    files: Files


def listing(rows: bytes) -> Listing:
    """Return what rows of ``MODE … OID …TAB PATH`` list, as ls-tree and ls-files write them with -z."""
    blobs = {}
    for row in rows.split(b"\0"):
        fields, tab, name = row.partition(b"\t")
        if tab and fields.startswith(b"100"):
            words = fields.split(b" ")
            blobs[os.fsdecode(name)] = words[2 if words[1] == b"blob" else 1].decode()
    return Listing(blobs, tuple((path, oid) for path, oid in blobs.items() if path.rpartition("/")[2] == NAME))


def filters_some(text: str, ending: str) -> bool:
    """Tell whether a row of an attribute file names a filter for paths that end so."""
    rows = (row.split() for row in text.splitlines())
    return any(row and row[0].endswith(ending) and any(word.startswith("filter=") for word in row[1:]) for row in rows)


def of_tree(repository: Repository, tree: str) -> Listing:
    """Return the plain files of a commit or tree. Raises `Failed` when the clone does not have it."""
    done = repository.run("ls-tree", "-r", "-z", "--full-tree", tree)
    if done.returncode:
        raise Failed(f"the tree of {tree[:12]} cannot be listed: {done.words}", hint="`git fsck` tells what is missing")
    return listing(done.stdout)
