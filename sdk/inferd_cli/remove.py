"""`inferd remove`: delete a model's file."""

from __future__ import annotations

from typing import Annotated

import typer

from inferd import Removed
from inferd_cli import amounts
from inferd_cli.cleaning import clean_line
from inferd_cli.documents import document
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.progress import progress_of_stderr


def remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="MODEL", help="The model whose file is to go.")],
    *,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Delete a model's file.

    Running requests end first. Only files that inferd fetched itself are deleted; the model can be pulled again.
    """
    with calling(context, socket, as_json=as_json) as client:
        progress = progress_of_stderr()
        progress.state(f"removing {name}")
        try:
            removed = client.models.remove(name)
        finally:
            progress.clear()
    typer.echo(document(removed) if as_json else "\n".join(clean_line(line) for line in lines(removed)))


def lines(removed: Removed) -> list[str]:
    """Return what was done, and what it means for other models."""
    if not removed.freed_bytes:
        return [f"{removed.model}: nothing was deleted: {removed.note}"]
    others = [f"{other} had the same file and is not stored any more" for other in removed.also]
    return [f"removed {removed.model}, {amounts.size(removed.freed_bytes)} freed", *others]
