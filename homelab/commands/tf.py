"""``homelab tf``: what follows the stack's name is the runner's, untouched."""

import click

from homelab.commands.claim import seconds, text
from homelab.errors import ChildExit
from homelab.terraform import run, stack

# Parsing ends at the stack's name: `--help` and `--json` behind it are the runner's too.
_VERBATIM = {"allow_interspersed_args": False}


def _stack_command(verb: str, words: str) -> click.Command:
    @click.command(verb, help=words, context_settings=_VERBATIM)
    @click.argument("name", metavar="STACK")
    @click.argument("args", nargs=-1, type=click.UNPROCESSED)
    def command(name: str, args: tuple[str, ...]) -> None:
        run.run(verb, stack.find(name), args)

    return command


validate = _stack_command("validate", "Check the configuration of STACK.")
fmt = _stack_command("fmt", "Format the files of STACK, and all below.")


@click.command(context_settings=_VERBATIM)
@click.argument("name", metavar="STACK")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def plan(name: str, args: tuple[str, ...]) -> None:
    """Show what an apply of STACK would change."""
    if code := run.plan(stack.find(name), args):
        raise ChildExit(code)


@click.command("force-unlock", context_settings=_VERBATIM)
@click.argument("name", metavar="STACK")
@click.argument("lock_id")
def force_unlock(name: str, lock_id: str) -> None:
    """Free the state lock LOCK_ID of STACK, which a dead run has left behind."""
    run.unlock(stack.find(name), lock_id)


@click.command(context_settings=_VERBATIM)
@click.option("--wait", metavar="DURATION", callback=seconds, help="Wait in the stack's queue, this long at the most.")
@click.option("--no-claim", metavar="REASON", callback=text, help="Without the claim; the reason goes into the history.")
@click.argument("name", metavar="STACK")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def apply(name: str, args: tuple[str, ...], wait: int | None, no_claim: str | None) -> None:
    """Apply STACK under its claim, which lasts as long as the runner."""
    if code := run.run_apply(stack.find(name), args, wait=wait, no_claim=no_claim):
        raise ChildExit(code)
