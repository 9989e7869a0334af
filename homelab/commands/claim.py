"""``homelab claim``, ``homelab release`` and the board of ``homelab claims``."""

import contextlib
from collections.abc import Sequence
from typing import Any

import click

from homelab import output
from homelab.claims import command as bound
from homelab.claims import labels, locate, operations, render
from homelab.claims.model import Binding, Claim, Mode
from homelab.claims.stores.base import Store
from homelab.commands.app import Group, json_option
from homelab.errors import ChildExit, Usage
from homelab.policy import config_file
from homelab.system.identity import plain


class _WithCommand(click.Command):
    """What follows ``--`` is the command to run, untouched."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta["homelab.command"] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the words of the usage line, the command among them."""
        return [*super().collect_usage_pieces(ctx), "[-- CMD...]"]


def seconds(_: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Return the seconds of a duration on the command line. Raises `Usage`."""
    return None if value is None else config_file.duration(value, parameter.opts[0])


def text(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return a text for others to read. Raises `Usage` when it is blank."""
    if value is not None and not value.strip():
        raise Usage(f"{parameter.opts[0]} is blank", hint="say in a few words what for: others read it")
    return plain(value).strip() if value else None


def _labels(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_of_folder(labels.label(text)) for text in value))


def _of_folder(label: str) -> str:
    """Return the one label of the stack that is meant, where a folder here has that name: `tf apply` claims no other."""
    kind, _, name = label.partition(":")
    if kind == "stack":
        from homelab.terraform import stack

        with contextlib.suppress(Usage, OSError):  # labels are the store's, and other repositories have stacks too
            return stack.find(name).label
    return label


@click.command(cls=_WithCommand)
@click.argument("labels", nargs=-1, required=True, metavar="LABEL...", callback=_labels)
@click.option("--purpose", required=True, metavar="TEXT", callback=text, help="What for, in a few words.")
@click.option("--for", "duration", metavar="DURATION", callback=seconds, help="Until when: 90s, 15m, 2h, 7d.")
@click.option("--shared", is_flag=True, help="Together with others who share it.")
@click.option("--advisory", is_flag=True, help="Keep nobody out: be shown, and see who else is there.")
@click.option("--wait", metavar="DURATION", callback=seconds, help="Wait in the queue, this long at the most.")
@json_option
@click.pass_context
def claim(
    ctx: click.Context,
    labels: tuple[str, ...],
    purpose: str,
    duration: int | None,
    shared: bool,
    advisory: bool,
    wait: int | None,
    as_json: bool,
) -> None:
    """Claim resources: as a lease, or after -- for as long as CMD runs.

    A LABEL is KIND:NAME, for instance stack:vault or node:n1.
    """
    command = ctx.meta.get("homelab.command")
    if command == ():
        raise Usage("there is no command after --", hint="name one, or leave the -- away for a lease")
    if command and duration:
        output.say("--for is for leases: a claim with a command lasts as long as the command")
    if shared and advisory:
        raise Usage("--shared and --advisory exclude one another", hint="--shared keeps exclusive claims out, --advisory none")
    mode = Mode.SHARED if shared else Mode.ADVISORY if advisory else Mode.EXCLUSIVE
    if not command:
        store = operations.store()
        request = operations.request(store, labels, mode, Binding.LEASE, purpose, duration)
        taken = operations.take(store, request, wait)
        others = [each.document() for each in operations.beside(store, request)] if advisory and as_json else []
        _tell(store, taken.claims, as_json, **({"others": others} if advisory else {}))
        return
    # With --json stdout is our one document, so the command's goes where ours speaks.
    run = bound.Command(command, stdout=2 if as_json else None)
    bound.findable(run)
    store = operations.store()
    request = operations.request(store, labels, mode, Binding.PROCESS, purpose)
    claims, code = bound.run_claimed(run, store, request, wait)
    if as_json:
        output.answer_json({**_document(store, claims), "ok": code == 0, "exit_code": code})
    if code:
        raise ChildExit(code)


def _tell(store: Store, claims: Sequence[Claim], as_json: bool, **more: Any) -> None:
    if as_json:
        output.answer_json({**_document(store, claims), **more})
        return
    for each in claims:
        output.answer(f"{each.label} is yours, fence {each.fence}, {render.until(each)}")


def _document(store: Store, claims: Sequence[Claim]) -> dict[str, Any]:
    documents = [each.document() for each in claims]
    return {"ok": True, **(documents[0] if len(documents) == 1 else {}), "claims": documents, "store": store.name}


@click.command()
@click.argument("labels", nargs=-1, metavar="[LABEL]...", callback=_labels)
@click.option("--all-mine", is_flag=True, help="All leases of this session.")
@json_option
def release(labels: tuple[str, ...], all_mine: bool, as_json: bool) -> None:
    """Release leases."""
    if bool(labels) == all_mine:
        raise Usage("name the labels to release, or say --all-mine", hint="`homelab claims` lists what is held")
    gone = operations.give_back(operations.store(), None if all_mine else labels)
    if as_json:
        output.answer_json({"ok": True, "released": [each.document() for each in gone]})
        return
    for label in sorted(set(labels) - {each.label for each in gone}):
        output.say(f"{label} was not held")
    for each in gone:
        output.say(f"{each.label} is free, it was held for {output.ago(each.claimed_at).removesuffix(' ago')}")
    if all_mine and not gone:
        output.say("this session holds no lease")


class _Board(Group):
    """The board, of all labels or of those that stand before any command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = next((at for at, word in enumerate(args) if word in self.list_commands(ctx)), len(args))
        labels = [word for word in args[:end] if ":" in word]
        ctx.meta["homelab.labels"] = _labels(ctx, self.params[0], tuple(labels))
        return super().parse_args(ctx, [word for word in args[:end] if word not in labels] + args[end:])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the words of the usage line, the labels among them."""
        return ["[LABEL]...", *super().collect_usage_pieces(ctx)]


@click.group(cls=_Board, invoke_without_command=True)
@json_option
@click.option("--watch", is_flag=True, help="Stay, and show every change.")
@click.pass_context
def claims(ctx: click.Context, as_json: bool, watch: bool) -> None:
    """Show who holds what, since when, until when and why."""
    if ctx.invoked_subcommand is not None:
        return
    store = operations.store()

    def look() -> tuple[list[dict[str, Any]], str]:
        board = store.look().of(ctx.meta["homelab.labels"])
        return board.documents(), render.table(board, store.name)

    if watch:
        output.watch(look, as_json=as_json)
        return
    documents, words = look()
    if as_json:
        output.answer_json(documents)
    else:
        output.answer(words)


@claims.command()
@click.argument("labels", nargs=-1, metavar="[LABEL]", callback=_labels)
@click.option("--since", metavar="DURATION", callback=seconds, help="Only what happened since then.")
@json_option
def history(labels: tuple[str, ...], since: int | None, as_json: bool) -> None:
    """Show what became of claims: taken, renewed, released, expired, abandoned, stolen."""
    if len(labels) > 1:
        raise Usage("name one label, or none for all", hint="`homelab claims history stack:vault`")
    events = render.since(operations.store().events(labels[0] if labels else None), since)
    if as_json:
        output.answer_json(events)
    else:
        output.answer(render.history(events))


@claims.command()
@click.argument("labels", nargs=-1, metavar="[LABEL]...", callback=_labels)
@json_option
def renew(labels: tuple[str, ...], as_json: bool) -> None:
    """Renew the leases of this session, all of them where none is named."""
    store = operations.store()
    renewed = operations.prolong(store, labels)
    _tell(store, renewed, as_json)
    if not renewed and not as_json:
        output.say("this session holds no lease")


@claims.command()
@click.argument("labels", nargs=1, metavar="LABEL", callback=lambda ctx, p, value: _labels(ctx, p, (value,)))
@click.option("--reason", required=True, metavar="TEXT", callback=text, help="Why; the history keeps it.")
@click.option("--force", is_flag=True, help="Even from a command that still runs.")
@json_option
def steal(labels: tuple[str, ...], reason: str, force: bool, as_json: bool) -> None:
    """Take a claim from its holder. It is yours then, as a lease."""
    store = operations.store()
    request = operations.request(store, labels, Mode.EXCLUSIVE, Binding.LEASE, reason)
    claim, gone = operations.seize(store, request, reason, force=force)
    for each in gone:
        output.say(f"taken from {render.person(each)}: {output.line(each.purpose)}{render.pids(each)}")
    if not gone:
        output.say(f"nobody held {claim.label}")
    if as_json:
        output.answer_json({**_document(store, [claim]), "taken": [each.document() for each in gone]})
    else:
        _tell(store, [claim], as_json=False)


@claims.command("init-store")
@click.option("--grant", metavar="ROLE", help="A role of the database that may use the store, and no more.")
@json_option
def init_store(grant: str | None, as_json: bool) -> None:
    """Prepare the claim store: the folder, or the schema of the database."""
    words = locate.prepare(locate.url(), grant)
    if as_json:
        output.answer_json({"ok": True, "store": words})
    else:
        output.say(f"the claim store {words} is ready")
