"""``homelab hooks``: install, uninstall, status."""

from pathlib import Path
from typing import Any

import click

from homelab import output
from homelab.commands.app import json_option
from homelab.git.repository import discover
from homelab.git.version import require_version
from homelab.install import install as installation
from homelab.install import present
from homelab.install import server as receiving
from homelab.install.present import Status

_SERVER = click.option(
    "--server",
    type=click.Path(path_type=Path),
    metavar="BARE_REPO",
    help="The receiving side: a bare repository's pre-receive.",
)
#: What each gate that a clone may have comes to, in words.
GATES = {
    "whole": "the whole gate: every ref of every push is judged",
    "framework": "the framework's hook only: the first ref of a push is judged, deletions are not",
    "none": "no gate: pushes are not judged",
}


def _document(status: Status) -> dict[str, Any]:
    return {
        "ok": True,
        "gate": status.gate,
        "hook": str(status.hook),
        "ours": str(status.ours) if status.ours else None,
        "chained": list(status.chained),
    }


@click.command()
@_SERVER
@json_option
def install(server: Path | None, as_json: bool) -> None:
    """Put the gate in front of every push of this clone, and keep what runs now."""
    require_version()
    if server is not None:
        _tell_server(receiving.install_server(server), "is judged on arrival", as_json)
        return
    status = installation.install(discover())
    if as_json:
        output.answer_json(_document(status))
        return
    output.say(f"installed {output.line(GATES[status.gate])}")
    for name in status.chained:
        output.say(f"it runs together with {output.line(name)}")


@click.command()
@_SERVER
@json_option
def uninstall(server: Path | None, as_json: bool) -> None:
    """Take the gate out and restore what was there."""
    if server is not None:
        _tell_server(receiving.uninstall_server(server), "is no longer judged on arrival", as_json)
        return
    status = installation.uninstall(discover())
    if as_json:
        output.answer_json(_document(status))
        return
    output.say("the gate is taken out of this clone")


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Say which gate this clone has."""
    found = present.status(discover())
    if as_json:
        output.answer_json(_document(found))
        return
    output.tell("gate", GATES[found.gate])
    output.tell("hook", str(found.ours or found.hook))
    for name in found.chained:
        output.tell("chained", name)
    if found.gate != "whole":
        output.say("hint: `homelab hooks install` puts the whole gate in, `homelab doctor` says what is in the way")


def _tell_server(hook: Path, words: str, as_json: bool) -> None:
    if as_json:
        output.answer_json({"ok": True, "hook": str(hook)})
    else:
        output.say(f"what {output.line(str(hook.parent.parent))} receives {words}")
