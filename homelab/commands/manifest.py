"""``homelab manifest`` and ``homelab version``."""

import click

from homelab import __version__, output
from homelab.commands import VERBS, json_option


@click.command()
@json_option
def manifest(as_json: bool) -> None:
    """List every verb with its tier (read or write) and what it does."""
    if as_json:
        output.answer_json([{"command": v, "tier": tier, "summary": text} for v, (_, tier, text) in VERBS.items()])
        return
    width = max(map(len, VERBS))
    for verb, (_, tier, text) in VERBS.items():
        output.answer(f"{verb:{width}}  {tier:5}  {text}")


@click.command()
def version() -> None:
    """Print the version."""
    output.answer(f"homelab {__version__}")
