"""``homelab work start``, ``list`` and ``clean``."""

from collections.abc import Mapping
from typing import Any

import click

from homelab import output, terminal
from homelab.commands.app import json_option
from homelab.git.repository import discover


@click.command()
@click.argument("topic")
@click.option("--from", "revision", metavar="REV", help="Start from this commit instead of the fetched target.")
@json_option
def start(topic: str, revision: str | None, as_json: bool) -> None:
    """Make a worktree and a branch off the target, and print the worktree's path.

    Started before: its path again. A branch of that name is attached, never forked.
    """
    from homelab.worktrees import start as starting

    repository = discover()
    made = starting.start(repository, topic, revision=revision)
    if as_json:
        output.answer_json({"ok": True, **made.document()})
    else:
        output.answer_path(made.path)


@click.command()
@click.argument("topic")
@json_option
def switch(topic: str, as_json: bool) -> None:
    """Print the path of TOPIC's worktree; a branch or a path names it too.

    `hw switch TOPIC` changes into it, see `homelab shell-init`.
    """
    from homelab.worktrees import registry

    plan, entry, path = registry.found(discover(), topic)
    if as_json:
        output.answer_json({"ok": True, "topic": plan.topic(entry), "path": str(path), "branch": entry.branch})
    else:
        output.answer_path(path)


@click.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the worktrees: how each stands, how old its last commit is, and what that says.

    A mark shows the one that I am in. The branch is named where it is not the topic's.
    """
    from homelab.overview import trees

    rows = trees.rows()
    if as_json:
        output.answer_json(rows)
        return
    mark = terminal.look(output.answers()).sign("●", "*")
    cells, heading = (_cells(row, mark) for row in rows), ("", "TOPIC", "STATE", "AGE", "LAST COMMIT")
    output.answer("\n".join(output.columns(heading, cells, colours={"STATE": output.verdict_colour})))
    if gone := [row["topic"] or row["path"] for row in rows if row["missing"]]:
        output.say(f"gone: {', '.join(gone)}; `git worktree repair PATH` after a move, `homelab work clean TOPIC` otherwise")
    if any(row["landed"] and not row["main"] and not row["missing"] for row in rows):
        output.say("`homelab work clean --landed` takes what has landed")


def _cells(row: Mapping[str, Any], mark: str) -> tuple[str, ...]:
    from homelab.overview import trees

    name = row["topic"] or ("(main)" if row["main"] else row["path"])
    if row["branch"] is None:
        name += f" (detached at {row['head'][:7]})" if row["head"] else ""
    elif not row["topic"] or not row["branch"].endswith(row["topic"]):
        name += f" ({row['branch']})"
    age = output.ago(row["committed_at"]).removesuffix(" ago") if row["committed_at"] else "-"
    return mark if row["here"] else "", name, trees.state(row), age, row["subject"] or "-"


@click.command()
@click.argument("topics", metavar="[TOPIC]...", nargs=-1)
@click.option("--landed", is_flag=True, help="Remove all that has landed; what has not is left, with the reason.")
@click.option("--force", is_flag=True, help="Remove the work although something in it would be lost.")
@json_option
def clean(topics: tuple[str, ...], landed: bool, force: bool, as_json: bool) -> None:
    """Remove worktrees and branches whose work is on the target.

    Whatever would be lost is a reason to refuse, and all reasons are told at once.
    """
    from homelab.worktrees import clean as cleaning
    from homelab.worktrees import remove

    repository = discover()
    try:
        done = cleaning.clean(repository, topics, sweep=landed, force=force)
        for one in done.kept:
            output.say(f"{one.work.name} stays: " + "; ".join(one.reasons))
        if as_json:
            removed = [{**work.document(), "commit": work.tip, "undo": undo} for work, undo in done.removed]
            output.answer_json({"ok": True, "removed": removed, "kept": [one.document() for one in done.kept]})
        else:
            for work, _ in done.removed:
                output.answer(output.line(f"removed {work.path or work.branch}"))
    finally:  # last, since it takes longest
        remove.empty_trash(repository)
