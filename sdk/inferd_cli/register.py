"""`inferd register` and `inferd unregister`: models of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from inferd_cli import rows
from inferd_cli.cleaning import clean_line
from inferd_cli.documents import document, json_line
from inferd_cli.failures import calling, telling
from inferd_cli.options import AsJson, Socket


def register(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="TOML or JSON with one model or several; - reads stdin.")],
    *,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Add models of your own to the list, at once and for good.

    The keys are those of [models."provider/model:variant"] in the config. What `inferd discover --json` prints can be
    registered as it is. With --json one line is printed for each model.
    """
    with telling(as_json=as_json):
        models = rows.read(file)
    with calling(context, socket, as_json=as_json) as client:
        for model in models:
            registered = client.models.register(model)
            words = f"{registered.model}: {registered.outcome}" + (f"; {registered.note}" if registered.note else "")
            typer.echo(json_line(registered) if as_json else clean_line(words))


def unregister(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="MODEL", help="A model that was registered.")],
    *,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Take a registered model off the list. Its file stays."""
    with calling(context, socket, as_json=as_json) as client:
        gone = client.models.unregister(name)
    if as_json:
        typer.echo(document(gone))
    else:
        again = "; the curated or configured model of that id stands again" if gone.restored else ""
        typer.echo(clean_line(f"unregistered {gone.model}{again}"))
