"""``homelab`` alone and ``homelab status``."""

import click

from homelab.commands.app import json_option
from homelab.overview import words


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Say where I stand, and the next command.

    Branch, gate, whether the target is green, my worktrees, who waits to land, claims, and what is known of CI. Neither a
    remote nor CI is asked.
    """
    words.show(as_json=as_json)
