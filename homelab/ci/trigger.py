"""What makes a push run something: files in its tree, and what its tip's message says. No request is made here."""

import re

from homelab.git.objects import Objects

_WOODPECKER_FILES = (".woodpecker", ".woodpecker.yml", ".woodpecker.yaml")
#: Which files make each system run something. Woodpecker stands beside any forge, and writes commit statuses there.
FILES = {
    "woodpecker": _WOODPECKER_FILES,
    "forgejo": (".forgejo/workflows", ".gitea/workflows", ".github/workflows", *_WOODPECKER_FILES),
    "github": (".github/workflows", *_WOODPECKER_FILES),
    "gitlab": (".gitlab-ci.yml", *_WOODPECKER_FILES),
}


def has_files(objects: Objects, tree: str, kind: str | None) -> bool:
    """Return whether a tree has files that make CI run: of a system, or of any where the kind is not known."""
    paths = FILES[kind] if kind else {path for paths in FILES.values() for path in paths}
    return any(objects.entry(tree, path) for path in paths)


#: What makes a push run nothing, in the message of its tip: GitHub, Gitea and Forgejo; GitLab and Woodpecker know two of them.
_SKIP = re.compile(
    r"\[(?:skip[ _-]*ci|ci[ _-]*skip|no ci|skip actions|actions skip)\]|^skip-checks: *true *$", re.IGNORECASE | re.MULTILINE
)


def skip_word(message: str) -> str | None:
    """Return what in a commit's message makes CI skip the push that ends with it, or None."""
    found = _SKIP.search(message)
    return found[0].strip() if found else None


def is_skipped(message: str) -> bool:
    """Return whether a commit's message makes CI skip the push that ends with it."""
    return skip_word(message) is not None


def broken_up(text: str) -> str:
    """Return the text with such words changed so that a person still reads them, and no CI does: ``[ci\u00a0skip]``."""
    return _SKIP.sub(lambda found: re.sub("[ _]", "\u00a0", found[0]).replace("-", "\u2011"), text)
