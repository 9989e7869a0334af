"""``homelab manifest`` and ``homelab version``."""

from typing import Any

import click

from homelab import __version__, errors, output
from homelab.commands.app import json_option, load
from homelab.commands.verbs import VERBS

_KINDS = {0: "ok", **{kind.exit_code: kind.kind for kind in errors.KINDS}}


@click.command()
@json_option
def manifest(as_json: bool) -> None:
    """List every verb with its tier (read or write) and what it does; as JSON with its options and exit codes too."""
    if as_json:
        output.answer_json([_document(verb) for verb in VERBS])
        return
    rows = output.columns(
        ("COMMAND", "TIER", "WHAT IT DOES"), ((name, verb.tier, verb.summary) for name, verb in VERBS.items())
    )
    output.answer("\n".join(rows if output.answers().isatty() else rows[1:]))


def _document(name: str) -> dict[str, Any]:
    verb, parameters = VERBS[name], load(name).params
    return {
        "command": name,
        "tier": verb.tier,
        "summary": verb.summary,
        "runs": verb.runs,
        "arguments": [_argument(one) for one in parameters if isinstance(one, click.Argument)],
        "options": [_option(one) for one in parameters if isinstance(one, click.Option)],
        "exit_codes": [{"code": code, "kind": _KINDS[code]} for code in sorted({0, 2, 70, *verb.exits})],
        "exits_like_child": verb.ends_like_child,
        "examples": list(verb.examples),
    }


def _argument(argument: click.Argument) -> dict[str, Any]:
    return {"name": argument.name, "required": argument.required, "many": argument.nargs != 1}


def _option(option: click.Option) -> dict[str, Any]:
    return {
        "names": [*option.opts, *option.secondary_opts],
        "takes": None if option.is_flag else (option.metavar or (option.name or "").upper()),
        "required": option.required,
        "help": option.help or "",
    }


@click.command()
def version() -> None:
    """Print the version."""
    output.answer(f"homelab {__version__}")
