"""git's configuration: as git lists it, and as a file. There every value is quoted, so none begins a comment or ends a line."""

import os
from collections.abc import Iterable
from typing import NamedTuple


class Setting(NamedTuple):
    """One line of the configuration."""

    #: Where it comes from: system, global, local, worktree or command.
    scope: str
    #: The section, the subsection if any, and the variable; the first and the last in small letters.
    name: str
    #: None where the name has no value, which means true.
    value: str | None


class Settings(NamedTuple):
    """The whole configuration of one moment, later lines winning."""

    rows: tuple[Setting, ...]
    #: The names of the remotes, in git's order.
    remotes: tuple[str, ...]

    def addresses(self) -> dict[str, set[str]]:
        """Return the addresses of each remote, to fetch from and to push to, as they are configured."""
        found: dict[str, set[str]] = {}
        for row in self.rows:
            if row.name.startswith("remote.") and row.name.endswith((".url", ".pushurl")):
                found.setdefault(_subsection(row.name), set()).add(row.value or "")
        return found


def _subsection(name: str) -> str:
    return name.partition(".")[2].rpartition(".")[0]


def listed(output: bytes) -> Settings:
    """Return what ``git config --list --show-scope --null`` lists."""
    fields = os.fsdecode(output).split("\0")[:-1]
    rows = []
    for scope, row in zip(fields[::2], fields[1::2], strict=True):
        name, newline, value = row.partition("\n")
        rows.append(Setting(scope, name, value if newline else None))
    # As `git remote` has them: what begins with a slash is an address to git, and no remote.
    names = {_subsection(row.name) for row in rows if row.name.startswith("remote.")}
    remotes = sorted((name for name in names if name and not name.startswith("/")), key=os.fsencode)
    return Settings(tuple(rows), tuple(remotes))


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
