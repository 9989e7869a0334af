"""The labels of resources: ``KIND:NAME``, one spelling for each resource."""

import re

from homelab.errors import Usage

KINDS = ("node", "host", "stack", "service", "db", "pvc", "infra")
_NAME = re.compile(r"[A-Za-z0-9._/@-]{1,200}")


def label(text: str) -> str:
    """Return `text`, which is a label. Raises `Usage`."""
    kind, colon, name = text.partition(":")
    if not colon or kind not in KINDS:
        raise _no_label(text, kind, colon, name)
    # One resource, one spelling: `a//b`, `a/./b` and `a/` would be labels of their own beside `a/b` and `a`.
    if not _NAME.fullmatch(name) or ".." in name or {"", "."} & set(name.split("/")):
        hint = "a name is 1 to 200 of A-Z a-z 0-9 . _ / @ -, without `..`, empty or `.` parts, or a `/` at its end"
        raise Usage(f"{text!r} is not a label: its name is wrong", hint=hint)
    return text


def _no_label(text: str, kind: str, colon: str, name: str) -> Usage:
    import difflib

    kinds = f"the kinds are {', '.join(KINDS)}"
    if not colon:
        return Usage(
            f"{text!r} is not a label: it is written KIND:NAME", hint=f"for instance `stack:{text or 'NAME'}`; {kinds}"
        )
    near = difflib.get_close_matches(kind, KINDS, 1)
    hint = f"did you mean `{near[0]}:{name or 'NAME'}`? {kinds}" if near else kinds
    return Usage(f"{text!r} is not a label: there is no kind {kind!r}", hint=hint)


def around(label: str) -> tuple[str, ...]:
    """Return the labels of all that is around a resource: ``stack:a/b`` lies in ``stack:a``."""
    parts = label.split("/")
    return tuple("/".join(parts[:end]) for end in range(1, len(parts)))
