"""`inferd pin` and `inferd unpin`: models that, once loaded, never leave by themselves."""

from __future__ import annotations

from typing import Annotated

import typer

from inferd_cli.cleaning import clean_line
from inferd_cli.documents import document
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model's id, or a shorter name that fits one only.")]


def pin(context: typer.Context, model: Model, *, as_json: AsJson = False, socket: Socket = None) -> None:
    """Keep a model in memory once it is loaded, until `inferd unpin`, also over restarts.

    It is not loaded by it: `inferd warm` does that.
    """
    with calling(context, socket, as_json=as_json) as client:
        pinned = client.models.pin(model)
    typer.echo(document(pinned) if as_json else f"pinned {clean_line(pinned.model)}")


def unpin(context: typer.Context, model: Model, *, as_json: AsJson = False, socket: Socket = None) -> None:
    """Take back `inferd pin`. A model that the config pins stays pinned."""
    with calling(context, socket, as_json=as_json) as client:
        pinned = client.models.unpin(model)
    typer.echo(document(pinned) if as_json else f"unpinned {clean_line(pinned.model)}")
