"""What a shell asks for while it completes: the words that may follow `homelab`, or the shell function `hw`."""

import contextlib
import os

import click
from click.shell_completion import CompletionItem, shell_complete

from homelab.commands.app import Group, root
from homelab.commands.offers import Words, topics
from homelab.commands.verbs import COMPLETE
from homelab.errors import HomelabError


class Hw(Group):
    """What follows the shell function `hw`: a command of `homelab work`, or a topic."""

    def __init__(self) -> None:
        super().__init__("work")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and topics that begin like what is there."""
        found = Words(topics).shell_complete(ctx, click.Argument(["topic"]), incomplete)
        return [*super().shell_complete(ctx, incomplete), *found]


def complete(instruction: str) -> None:
    """Print what a shell asks for: its script, or the words that may follow."""
    with contextlib.suppress(HomelabError):  # a line that is wrong so far has no next word, and a prompt to keep clean
        shell_complete(_completed(), {}, "homelab", COMPLETE, instruction)


def _completed() -> click.Command:
    """Return the command whose words a shell completes: the program, or the shell function `hw`."""
    if os.environ.get("COMP_WORDS", "").split()[:1] != ["hw"]:
        return root()
    return Hw()
