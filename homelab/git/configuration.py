"""Files in the form of git's configuration. Every value is quoted, so nothing in it begins a comment or ends a line."""

import os
from collections.abc import Iterable


def rendered(rows: Iterable[tuple[str, str | None]]) -> bytes:
    """Return a file with these values; a name without a value is true, as git has it.

    Each section stands once, so that `git config` can change a value in it.
    """
    sections: dict[str, list[str]] = {}
    for name, value in rows:
        section, _, rest = name.partition(".")
        middle, _, key = rest.rpartition(".")
        head = f"[{section} {_quoted(middle)}]" if middle else f"[{section}]"
        sections.setdefault(head, []).append(f"\t{key}" if value is None else f"\t{key} = {_quoted(value)}")
    return os.fsencode("".join("\n".join([head, *lines]) + "\n" for head, lines in sections.items()))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
