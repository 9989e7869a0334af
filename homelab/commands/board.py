"""``homelab board``: the status as a page."""

import os
import shlex
from pathlib import Path

import click

from homelab import output
from homelab.errors import Interrupted, Left, Refused, Usage


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="The port of 127.0.0.1. Default: a free one."
)
@click.option("--open", "opens", is_flag=True, help="Open it in a browser.")
@click.option("--once", type=click.Path(path_type=Path), metavar="FILE", help="Write the page to FILE and end.")
def board(port: int, opens: bool, once: Path | None) -> None:
    """Show the status as a page on 127.0.0.1, until ctrl-c.

    It shows what needs somebody, what is held, who waits to land, what landed, and how long the suites take. It changes
    nothing. The address holds a token: whoever has it sees the page. From another machine: `ssh -L PORT:127.0.0.1:PORT HOST`.
    """
    if once is not None:
        _write(once)
    else:
        _serve(port, opens)


def _write(path: Path) -> None:
    from homelab.board import page
    from homelab.overview.document import document
    from homelab.system import files

    name = output.line(str(path))
    if os.path.lexists(path) and not (path.is_file() and page.MARK.encode() in path.read_bytes()[:4096]):
        raise Refused(
            f"{name} is no page of homelab's, so it is not overwritten",
            hint="name another file: `homelab board --once board.html`",
        )
    if not path.parent.is_dir():
        folder = shlex.quote(output.line(str(path.parent)))
        raise Usage(f"there is no folder for {name}", hint=f"`mkdir -p {folder}` makes it")
    files.replace(path, page.render(document(), alone=True).encode("utf-8", "backslashreplace"))
    output.answer_path(path)


def _serve(port: int, opens: bool) -> None:
    from homelab.board.server import Server
    from homelab.board.state import State
    from homelab.overview.document import document

    try:
        server = Server(port, State(document))
    except OSError as error:
        raise Usage(
            f"port {port} of 127.0.0.1 cannot be had: {(error.strerror or str(error)).lower()}",
            hint="`homelab board` takes a free one",
        ) from None
    with server:
        output.answer(server.address)
        output.say("the page changes by itself; ctrl-c ends it")
        if opens:
            import webbrowser

            webbrowser.open(server.address_once)
        try:
            server.serve_forever(poll_interval=0.2)
        except Interrupted as error:
            raise Left(error.exit_code - 128) from None
