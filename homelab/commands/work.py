"""``homelab work start``, ``list`` and ``clean``."""

import click

from homelab import git, output
from homelab.commands import json_option
from homelab.repo import Objects


@click.command()
@click.argument("topic")
@click.option("--from", "revision", metavar="REV", help="Start from this commit instead of the fetched target.")
@json_option
def start(topic: str, revision: str | None, as_json: bool) -> None:
    """Make a worktree and a branch off the target, and print the worktree's path.

    Started before: its path again. A branch of that name is attached, never forked.
    """
    from homelab import starting

    repository = git.discover()
    made = starting.start(repository, Objects(repository.common_dir), topic, revision=revision)
    if as_json:
        output.answer_json(
            {
                "ok": True,
                "topic": made.topic,
                "path": str(made.path),
                "branch": made.branch,
                "base": made.base,
                "created": made.created,
            }
        )
    else:
        output.answer(str(made.path))
