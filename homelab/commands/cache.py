"""``homelab cache``."""

from typing import Any

import click

from homelab import output
from homelab.commands.app import json_option
from homelab.errors import Usage
from homelab.git.repository import Repository, discover
from homelab.verify import cache as stored


@click.command()
@click.option("--prune", is_flag=True, help="Take back idle scratch checkouts and old logs.")
@json_option
def cache(prune: bool, as_json: bool) -> None:
    """Show what scratch checkouts, logs and receipts take.

    Receipts, grants and the journal are evidence: they are never pruned. What is pruned is made again when it is needed.
    Once a day a verification removes scratch of clones that are gone, and the least recently used beyond 10 GB.
    """
    repository = _here()
    freed = stored.prune(repository) if prune else None
    checkouts = stored.checkouts()
    kept = {name: stored.kept(repository, name) for name in ("logs", "receipts")} if repository else {}
    total = sum(one.bytes for one in checkouts) + sum(one.bytes for one in kept.values())
    if as_json:
        output.answer_json(
            {
                "ok": True,
                "scratch": [_document(one) for one in checkouts],
                **{name: _document(one) for name, one in kept.items()},
                "bytes": total,
                "pruned": freed,
            }
        )
        return
    rows = []
    for one in checkouts:
        state = " (its clone is gone)" if one.gone else f" ({one.in_use} in use)" if one.in_use else ""
        rows.append(("scratch", output.size(one.bytes), str(one.slots), (one.clone or str(one.path)) + state))
    rows += [(name, output.size(one.bytes), str(one.count), str(one.path)) for name, one in kept.items()]
    output.answer("\n".join(output.columns(("WHAT", "SIZE", "COUNT", "WHERE"), rows)))
    if freed is not None:
        output.say(f"freed {output.size(freed)}")
    elif total:
        output.say("`homelab cache --prune` takes back idle scratch checkouts and old logs")


def _here() -> Repository | None:
    try:
        return discover()
    except Usage:
        return None


def _document(one: stored.Checkouts | stored.Kept) -> dict[str, Any]:
    return {name: str(value) if name == "path" else value for name, value in ((n, getattr(one, n)) for n in one.__slots__)}
