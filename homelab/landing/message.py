"""The message of a merge that lands: what it brings, in words that do not keep CI from running by accident."""

from collections.abc import Sequence

from homelab.ci import trigger
from homelab.git.repository import LOG, Repository

#: Subjects that are listed, as many as git's `merge.log` lists by default.
_MOST = 20
_WIDEST = 200


def of_merge(repository: Repository, branch: str, base: str, head: str, trailers: Sequence[str], *, start: str) -> str:
    """Return the message of the merge of `head` into `base`, in a push that began at `start`.

    A word by which CI skips a tip skips its whole push, so it is broken up unless every commit of the push has one.
    """
    brought = _messages(repository, head, base)
    subjects = [text.partition("\n")[0][:_WIDEST] for text in brought]
    pushed = _messages(repository, head, start) + (_messages(repository, base, start) if base != start else [])
    if not all(map(trigger.is_skipped, pushed)):
        subjects = [trigger.broken_up(subject) for subject in subjects]
    rows = [f"Merge branch '{branch}'", "", f"* {branch}:", *(f"  {subject}" for subject in subjects[:_MOST])]
    if len(subjects) > _MOST:
        rows.append("  ...")
    return "\n".join([*rows, *(["", *trailers] if trailers else [])]) + "\n"


def _messages(repository: Repository, tip: str, start: str) -> list[str]:
    """Return the messages of the commits between, newest first, merges left out: theirs speak for the others."""
    text = repository.out(*LOG, "-z", "--no-merges", "--format=%B", tip, f"^{start}", "--")
    return [message for message in text.split("\0") if message]
