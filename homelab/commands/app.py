"""The command line: options in, one call, an answer out. click lives here and nowhere else.

Commands return None and raise: a status that a click command returns is ignored, and the program would end with 0.
"""

import os
import shutil
from collections.abc import Callable
from typing import Any

import click

from homelab import output
from homelab.commands.verbs import COMPLETE, GROUPS, VERBS, following
from homelab.errors import Interrupted, Usage


def load(verb: str) -> click.Command:
    """Return the click command of a verb, importing its module alone."""
    import importlib

    module, _, name = VERBS[verb].place.partition(":")
    command = getattr(importlib.import_module(f"homelab.commands.{module}"), name)
    assert isinstance(command, click.Command)
    if examples := VERBS[verb].examples:
        # Without \b click would fill the lines into one paragraph.
        command.epilog = "\b\n" + "\n".join(("Examples:", *(f"  {line}" for line in examples)))
    if COMPLETE in os.environ:
        from homelab.commands import offers

        offers.offer(command)
    return command


class Group(click.Group):
    """A group whose commands are imported when they are called, and whose help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the words that may follow."""
        return following(self.name or "")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb's command or a group, or None."""
        verb = f"{self.name} {cmd_name}".strip()
        if verb in VERBS and not (self.name == "" and following(verb)):
            return load(verb)
        if following(verb):
            if verb in VERBS:  # `claims` is a verb and a group
                return load(verb)
            return Group(verb, help=GROUPS.get(verb))
        return None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; an unknown word is an error with the nearest known one."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), 1)
            verb = f"homelab {self.name} ".replace("  ", " ")
            hint = f"did you mean `{verb}{near[0]}`?" if near else f"`{verb}--help` lists what there is"
            if self.name == "tf" and not near:
                hint = _other_verb(args[0])
            raise Usage(f"there is no command {verb}{args[0]}".replace("  ", " "), hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands from the table of verbs, importing none."""
        rows = []
        for word in self.list_commands(ctx):
            verb = f"{self.name} {word}".strip()
            rows.append((word, VERBS[verb].summary if verb in VERBS else GROUPS.get(verb, "")))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _other_verb(word: str) -> str:
    """Return how a stack gets one of terraform's verbs that is none of ours."""
    if word == "destroy":
        return "`homelab tf apply STACK -destroy` does it under the stack's claim"
    return f"`homelab claim stack:NAME --purpose TEXT -- terraform -chdir=stacks/NAME {word}` runs it under the stack's claim"


def root() -> click.Group:
    """Return the program's root group."""
    group = Group(
        "",
        help="Verified pushes, exact landings and honest claims for a shared infrastructure repository.",
        params=[
            click.Option(
                ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_print_version,
                help="Print the version.",
            ),
            click.Option(["-q", "--quiet"], is_flag=True, help="Narrate nothing; answers and errors only."),
        ],
        callback=lambda quiet: None,  # taken out of the command line by `run`, wherever it stands
    )  # fmt: skip
    group.context_settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
    if (width := shutil.get_terminal_size().columns) < 52:  # click fills 50 columns at the least
        group.context_settings["terminal_width"] = max(width - 1, 20)
    return group


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from homelab import __version__

        output.answer(f"homelab {__version__}")
        ctx.exit()


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json``: the answer, a failure included, is one JSON document on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")(command)


def invoke(argv: list[str]) -> None:
    """Run the command that the words name. Raises `Usage` for words that make no command."""
    # Not click's own `main`: it would turn a broken pipe into 1 and swallow what we have words for.
    try:
        with root().make_context("homelab", argv) as context:
            context.command.invoke(context)
    except click.exceptions.Exit:
        return
    except click.exceptions.NoArgsIsHelpError as error:
        output.row(error.format_message())
        path = error.ctx.command_path
        words = following(path.removeprefix("homelab").strip())
        raise Usage(f"{path} wants one of these commands: {', '.join(words)}", hint=f"`{path} COMMAND --help`") from None
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "homelab"
        raise Usage(error.format_message().rstrip(".").replace("\n", " "), hint=f"`{where} --help` shows how") from None
    except click.Abort as error:  # at a prompt: any signal, or the end of stdin
        raise error.__context__ if isinstance(error.__context__, Interrupted) else Interrupted(2) from None
