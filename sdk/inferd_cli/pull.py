"""`inferd pull`: fetch a model's files and show how far they are."""

from __future__ import annotations

from typing import Annotated

import typer

from inferd_cli import amounts, asking
from inferd_cli.cleaning import clean_line
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.screen import screen_of_stdout


def pull(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="MODEL", help="The model to fetch: `inferd list` shows all.")],
    *,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Fetch a model's files.

    The daemon does it, and goes on when you leave with Ctrl-C.
    """
    with calling(context, socket, as_json=as_json) as client:
        screen = screen_of_stdout(as_json=as_json)
        with asking.leaving_told(name, screen):
            pulled = asking.pull(client, name, screen)
    if not as_json:
        typer.echo(f"{clean_line(pulled.model)} is stored ({amounts.size(pulled.size_bytes)})")
