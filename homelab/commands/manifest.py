"""``homelab manifest`` and ``homelab version``."""

from typing import Any

import click

from homelab import __version__, errors, output
from homelab.commands.app import VERBS, json_option, load

#: The codes that a verb may end with besides 0, 2 and 70.
_CODES: dict[str, tuple[int, ...]] = {
    "agent-hook": (1, 3, 7),
    "claim": (1, 3, 4, 7),
    "claims": (7,),
    "claims history": (7,),
    "claims init-store": (1, 7),
    "claims renew": (3, 7),
    "claims steal": (3, 4, 7),
    "doctor": (1,),
    "doctor --attack": (1,),
    "hooks install": (1, 3),
    "hooks status": (1,),
    "hooks uninstall": (1, 3),
    "init": (1, 3),
    "init --agents": (1, 3),
    "manifest": (),
    "release": (3, 7),
    "shell-init": (),
    "tf apply": (1, 3, 4, 7),
    "tf fmt": (1,),
    "tf force-unlock": (1,),
    "tf plan": (1, 3),
    "tf validate": (1,),
    "verify": (1, 3, 7),
    "version": (),
    "work clean": (1, 3, 7),
    "work land": (1, 3, 4, 5, 6, 7),
    "work list": (1,),
    "work log": (1,),
    "work queue": (1,),
    "work start": (1, 3, 7),
}
_KINDS = {0: "ok", **{kind.exit_code: kind.kind for kind in errors.KINDS}}
#: They hand on the code of what they run.
_CHILDREN = frozenset(("claim", "tf apply", "tf fmt", "tf force-unlock", "tf plan", "tf validate"))


@click.command()
@json_option
def manifest(as_json: bool) -> None:
    """List every verb with its tier (read or write) and what it does; as JSON with its options and exit codes too."""
    if as_json:
        output.answer_json([_document(verb) for verb in VERBS])
        return
    width = max(map(len, VERBS))
    for verb, (_, tier, text) in VERBS.items():
        output.answer(f"{verb:{width}}  {tier:5}  {text}")


def _document(verb: str) -> dict[str, Any]:
    _, tier, summary = VERBS[verb]
    parameters = load(verb).params
    return {
        "command": verb,
        "tier": tier,
        "summary": summary,
        "arguments": [_argument(one) for one in parameters if isinstance(one, click.Argument)],
        "options": [_option(one) for one in parameters if isinstance(one, click.Option)],
        "exit_codes": [{"code": code, "kind": _KINDS[code]} for code in sorted({0, 2, 70, *_CODES[verb]})],
        "exits_like_child": verb in _CHILDREN,
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
