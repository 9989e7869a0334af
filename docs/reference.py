"""Writes docs/reference.md from what the program itself says: help, exit codes, and the fields of homelab.toml.

With --check nothing is written and a stale file is an error.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from homelab import errors
from homelab.commands.app import load
from homelab.commands.verbs import VERBS
from homelab.policy import config
from homelab.system import process

PLACE = Path(__file__).with_name("reference.md")

_HEAD = """\
# Reference

Written by `make docs` from the program itself; `make check` fails when it is stale.
"""

_SHAPES = {
    "path": "path", "paths": "list of paths", "variables": "list of names", "commands": "list of commands",
    "duration": "duration", "positive": "number",
    "percent": "percent", "count": "number", "branch": "branch", "branches": "list of patterns", "url": "address",
}  # fmt: skip


_VARIABLES = {
    "HOMELAB_SESSION": "Who is asking, for claims. Default: the linked worktree, else user@host.",
    "HOMELAB_CI_TOKEN": "The token for CI's API, before the system's own variables.",
    "HOMELAB_CI_PACE": "A factor on every wait for CI, 0.01 to 1, for tests; heeded where CI is on this machine alone.",
    "HOMELAB_CLAIMS": "The claim store's URL, before `[claims] store`: `file:///PATH` or `postgresql://HOST/DATABASE`.",
    "HOMELAB_CONFIG": "Another file than homelab.toml, for `homelab verify` by hand; the gate and landings never read it.",
    "HOMELAB_HOST": "What this machine is called in claims and the journal. Default: the system's own name for it.",
    "HOMELAB_CLAIM_ID": "Given to a claimed command: which claim it runs under.",
    "HOMELAB_CLAIM_FENCE": "Given to a claimed command: a number that only grows with each claim of a label.",
    "USER": "Whose work it is: in branches, claims and the journal.",
    "NO_COLOR": "No colours.",
    "XDG_CACHE_HOME": "Where scratch checkouts are. Default: `~/.cache`.",
    "XDG_STATE_HOME": "Where claims are when no store is named. Default: `~/.local/state`.",
}


def main() -> None:
    """Write the file from what the program says; with ``--check`` tell by the exit code whether it is current."""
    made = text()
    if "--check" not in sys.argv[1:]:
        PLACE.write_text(made, encoding="utf-8")
    elif not PLACE.exists() or PLACE.read_text(encoding="utf-8") != made:
        sys.exit("docs/reference.md is stale: run `make docs`")


def text() -> str:
    """Return the whole reference."""
    return "\n".join((_HEAD, *_commands(), *_exit_codes(), *_environment(), *_configuration()))


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield "| command | tier | |\n|---|---|---|"
    for name, verb in VERBS.items():
        yield f"| `{name}` | {verb.tier} | {verb.summary} |"
    for name in VERBS:
        # `init --agents` is in the help of `init`.
        if "--" not in name:
            yield f"\n### homelab {name}\n\n```text\n{_help(name, load(name))}\n```"


def _help(verb: str, command: click.Command) -> str:
    context = click.Context(
        command, info_name=f"homelab {verb}", terminal_width=100, color=False, help_option_names=["-h", "--help"]
    )
    return command.get_help(context).rstrip()


def _exit_codes() -> Iterator[str]:
    yield "\n## Exit codes\n"
    yield "| code | kind | meaning |\n|---|---|---|"
    yield "| 0 | `ok` | Done, as the command's name says. |"
    for kind in errors.KINDS:
        yield f"| {kind.exit_code} | `{kind.kind}` | {' '.join((kind.__doc__ or '').split())} |"
    yield "| 128+n | | Ended by signal n. |"
    yield "\n`tf` and `claim … -- CMD` end with the code of what they ran."


def _environment() -> Iterator[str]:
    yield "\n## Environment\n"
    yield "| variable | |\n|---|---|"
    for name, words in _VARIABLES.items():
        yield f"| `{name}` | {words} |"
    names = [*sorted(process.SUITE_VARIABLES), *(f"{prefix}*" for prefix in process.SUITE_PREFIXES)]
    yield "\n### What a suite sees\n"
    yield f"{', '.join(f'`{name}`' for name in names)}, and what its `env` and that of `[verify]` name; nothing else."


def _configuration() -> Iterator[str]:
    yield f"\n## {config.NAME}"
    sections = [(f"[{name}]", kind) for name, kind in config.SECTIONS.items()]
    sections.insert(2, ("[[suite]]", config.Suite))
    for title, kind in sections:
        yield f"\n### {title}\n\n{' '.join((kind.__doc__ or '').split())}\n"
        yield "| key | is | default | |\n|---|---|---|---|"
        for setting in config.settings(kind):
            words = setting.words.replace("|", "\\|")
            yield f"| `{setting.name}` | {_shape(setting)} | {_default(setting)} | {words} |"
    yield ""


def _shape(setting: config.Setting) -> str:
    kind, written = setting.kind, setting.type
    if kind.startswith("choice:"):
        return " or ".join(f"`{word}`" for word in kind.removeprefix("choice:").split(","))
    if kind:
        return _SHAPES[kind]
    if "tuple" in written:
        return "list of strings"
    return "true or false" if "bool" in written else "string"


def _default(setting: config.Setting) -> str:
    value = setting.default
    if setting.is_required:
        return "has to be given"
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    if setting.kind == "duration" and isinstance(value, int):
        return f"`{_duration(value)}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _duration(seconds: int) -> str:
    size, unit = next((size, unit) for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")) if seconds % size == 0)
    return f"{seconds // size}{unit}"


if __name__ == "__main__":
    main()
