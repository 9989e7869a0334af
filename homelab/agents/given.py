"""What coding agents find in a repository: a section of AGENTS.md, and for Claude Code a part of its project settings.

Both are merged into what is there and taken out again without a trace; what somebody else wrote is never changed. The hooks
that the settings name are answered by `homelab.agents.events`.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from homelab.errors import Usage
from homelab.system import files

_BEGIN, _END = "<!-- homelab: begin -->", "<!-- homelab: end -->"
_COMMAND = "homelab agent-hook"
#: The events that the hook answers, each with its matcher.
_EVENTS = {
    "WorktreeCreate": None,
    "WorktreeRemove": None,
    "SessionStart": None,
    "SessionEnd": None,
    "UserPromptSubmit": None,
    "PostToolUse": "Bash|Edit|Write",
    "PermissionRequest": "EnterWorktree",
}

SECTION = f"""\
{_BEGIN}
## Working in this repository with homelab

Work in a worktree of your own, and land it yourself; nobody pushes to the target by hand.

```sh
cd "$(homelab work start TOPIC)"   # a worktree and a branch off the freshly fetched target
git commit                         # as you like
homelab verify                     # what the gate will demand of HEAD; remembered
homelab work land                  # merges the target in, verifies the result, pushes exactly that
homelab work clean TOPIC           # once it has landed, from outside of the worktree
```

- `homelab manifest --json` lists every command with its tier (`read` or `write`), options and exit codes. Add `--json` for
  one JSON document on stdout, on failure too; `error.next` is the command to run now.
- Claim what you change outside of git: `homelab claim stack:NAME --purpose TEXT -- COMMAND`; `homelab claims` shows who has
  what. `homelab tf apply NAME` claims by itself. Identity is `HOMELAB_SESSION`.
- CI applies what lands. `work land` follows it where the repository lets it; else `homelab ci watch` gives its verdict.
- Secrets of git-crypt are ciphertext in a worktree. Leave them; they are changed in the main worktree. Give git no
  `-c filter.…` options here: they switch off what keeps plaintext out of a commit.
- Never use `--no-verify`, `--force` or `claims steal` unless a person told you to.

| exit code | means | do |
|---|---|---|
| 1 | a suite is red, or what was run failed | read the log that is named, mend it, commit, run it again |
| 2 | wrong usage | `--help`; nothing was touched |
| 3 | a rule said no, nothing was changed | do what the hint says; do not look for a way around it |
| 4 | somebody else holds it | wait with `--wait 10m`, or do something else; tell the person who holds it |
| 5 | a merge conflict in your worktree | resolve the files named, `git add`, `git commit`, then the same command again |
| 6 | pushed for review instead of landed | done for you: give the URL that was printed to the person |
| 7 | the remote, the claim store or CI cannot be reached | try again later; nothing is half done |
| 8 | it landed, but CI is red or waits for a person | look at the URL, mend it with a new commit, or tell the person |
| 9 | it landed, but CI says nothing | `homelab ci watch` later; tell the person when it stays silent |
| 70, 128+n | a fault of homelab, a signal | the same command again; it goes on where it was |
{_END}
"""


class Change(NamedTuple):
    """A file as it is and as it is to be; None where there is none."""

    path: Path
    before: bytes | None
    after: bytes | None

    @property
    def is_needed(self) -> bool:
        """Return whether anything changes."""
        return self.before != self.after


def changes(root: Path, allowed: Iterable[str], *, remove: bool = False) -> tuple[Change, ...]:
    """Return the files to write below `root`, or to take our parts out of. Raises `Usage` where that cannot be done.

    `allowed` are the command lines that an agent may run unasked; one that ends in ``*`` stands for all that begin so.
    """
    rules = tuple(f"Bash({line})" for line in allowed)
    return (
        _change(root, "AGENTS.md", lambda text: _without_section(text) if remove else _with_section(text)),
        _change(root, ".claude/settings.json", lambda text: _settings(text, rules, remove=remove)),
    )


def write(change: Change) -> None:
    """Write or delete the file as the change says. A file keeps its permissions."""
    if change.after is None:
        change.path.unlink(missing_ok=True)
        if change.path.parent.name == ".claude" and not any(change.path.parent.iterdir()):
            change.path.parent.rmdir()
        return
    mode = change.path.stat().st_mode & 0o777 if change.before is not None else 0o644
    files.replace(change.path, change.after, mode=mode)


def _change(root: Path, name: str, merge: Callable[[str], str]) -> Change:
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise Usage(f"{name} is a link that leads out of the repository", hint=f"replace it by a file: `ls -l {name}`")
    if os.path.lexists(path) and not path.is_file():
        raise Usage(f"{name} is not a plain file", hint=f"move it away: `ls -ld {name}`")
    before = path.read_bytes() if path.exists() else None
    try:
        made = merge((before or b"").decode()).encode()
    except ValueError as error:
        raise Usage(f"{name} cannot be merged into: {error}", hint=f"mend {name}, then run it again") from None
    return Change(path, before, before if made == (before or b"") else made or None)


def _with_section(text: str) -> str:
    begin, end = text.find(_BEGIN), text.find(_END)
    if begin >= 0 and end > begin:
        return text[:begin] + SECTION.rstrip("\n") + text[end + len(_END) :]
    if begin >= 0 or end >= 0:
        raise ValueError("only one of the two lines that mark homelab's section is there")
    return f"{text.rstrip()}\n\n{SECTION}" if text.strip() else SECTION


def _without_section(text: str) -> str:
    begin, end = text.find(_BEGIN), text.find(_END)
    if begin < 0 or end < begin:
        return text
    rest = text[end + len(_END) :].removeprefix("\n")
    before = text[:begin]
    return before.removesuffix("\n") + rest if before.endswith("\n\n") and not rest.strip() else before + rest


def _settings(text: str, rules: tuple[str, ...], *, remove: bool) -> str:
    settings = json.loads(text) if text.strip() else {}
    if not isinstance(settings, dict):
        raise ValueError("it is no JSON object")
    made = _without_own(settings, rules)
    if not remove:
        made = _with_own(made, rules)
    if made == settings:
        return text
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n" if made else ""


def _with_own(settings: dict[str, Any], rules: tuple[str, ...]) -> dict[str, Any]:
    hooks = dict(_table(settings, "hooks"))
    for event, matcher in _EVENTS.items():
        entry: dict[str, Any] = {"hooks": [{"type": "command", "command": _COMMAND}]}
        hooks[event] = [*_list(hooks, event), {"matcher": matcher, **entry} if matcher else entry]
    permissions = dict(_table(settings, "permissions"))
    permissions["allow"] = [*_list(permissions, "allow"), *rules]
    return {**settings, "hooks": hooks, "permissions": permissions}


def _without_own(settings: dict[str, Any], rules: tuple[str, ...]) -> dict[str, Any]:
    hooks, permissions = dict(_table(settings, "hooks")), dict(_table(settings, "permissions"))
    for event in list(hooks):
        kept = [entry for entry in map(_without_command, _list(hooks, event)) if entry is not None]
        _put(hooks, event, kept)
    if "allow" in permissions:
        _put(permissions, "allow", [rule for rule in _list(permissions, "allow") if rule not in rules])
    made = dict(settings)
    for name, table in (("hooks", hooks), ("permissions", permissions)):
        if name in made:
            _put(made, name, table)
    return made


def _without_command(entry: Any) -> Any:
    """Return a hook's entry without our command, or None where nothing else is in it."""
    if not isinstance(entry, dict) or not isinstance(entry.get("hooks"), list):
        return entry
    kept = [hook for hook in entry["hooks"] if not (isinstance(hook, dict) and hook.get("command") == _COMMAND)]
    if len(kept) == len(entry["hooks"]):
        return entry
    return {**entry, "hooks": kept} if kept else None


def _put(table: dict[str, Any], name: str, value: Any) -> None:
    """Put the value into the table, or delete the key when only our entries had been in it."""
    if value or table[name] == value:
        table[name] = value
    else:
        del table[name]


def _table(settings: dict[str, Any], name: str) -> dict[str, Any]:
    found = settings.get(name, {})
    if not isinstance(found, dict):
        raise ValueError(f"{name} is no object")
    return found


def _list(table: dict[str, Any], name: str) -> list[Any]:
    found = table.get(name, [])
    if not isinstance(found, list):
        raise ValueError(f"{name} is no list")
    return found
