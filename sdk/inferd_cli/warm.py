"""`inferd warm MODEL…`: load models, so that the first request does not wait."""

from __future__ import annotations

from typing import Annotated

import typer

from inferd import Loading, Warmed
from inferd_cli import amounts
from inferd_cli.cleaning import clean_line
from inferd_cli.documents import document
from inferd_cli.exit_codes import ExitCode
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.progress import Progress, progress_of_stderr


def warm(
    context: typer.Context,
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Models to load; `inferd list` shows all.")],
    *,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Load models, each for itself.

    Nothing is fetched. The exit code is 1 when one of them is not ready.
    """
    with calling(context, socket, as_json=as_json) as client:
        progress = progress_of_stderr()
        try:
            results = tuple(client.models.warm_up(models, on_progress=lambda event: show_load(progress, event)))
        finally:
            progress.clear()
    typer.echo(document({"results": results}) if as_json else "\n".join(clean_line(line(one)) for one in results))
    if not all(one.ready for one in results):
        raise typer.Exit(ExitCode.FAILED)


def show_load(progress: Progress, event: Loading) -> None:
    """Show how far a load is, or what it waits for."""
    how_far = amounts.percent(event.progress) if event.progress else event.phase
    progress.state(f"loading {event.model}: {how_far}")


def line(one: Warmed) -> str:
    """Return what became of one name."""
    if not one.ready:
        return f"{one.model or one.name}: {one.message}"
    return f"{one.model} is ready" + (f" after {amounts.span(one.load_s)}" if one.load_s else "")
