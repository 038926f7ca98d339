"""`inferd pull`: fetch a model's files and show how far they are."""

from __future__ import annotations

from typing import Annotated

import typer

from inferd.messages.events import Pulled
from inferd_cli import amounts
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
        try:
            for event in client.models.pull(name):
                screen.show(event)
                if isinstance(event, Pulled) and not as_json:
                    typer.echo(f"{clean_line(event.model)} is stored ({amounts.size(event.size_bytes)})")
        except KeyboardInterrupt:
            screen.close()
            typer.echo(f"\nthe daemon goes on fetching; to watch again: inferd pull {clean_line(name)}", err=True)
            raise
        finally:
            screen.close()
