"""`inferd hold MODEL…`: keep models in memory together for as long as the command runs."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from inferd_cli import amounts
from inferd_cli.cleaning import clean_line
from inferd_cli.documents import document
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.progress import progress_of_stderr
from inferd_cli.warm import show_load


def hold(
    context: typer.Context,
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="1 to 16 models; all or none are held.")],
    *,
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400, metavar="S", help="For how long.")] = 600.0,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Load models and keep them in memory, for S seconds or until Ctrl-C.

    Fails with the numbers, and holds nothing, if they do not fit together.
    """
    with calling(context, socket, as_json=as_json) as client:
        progress = progress_of_stderr()
        try:
            held = client.models.hold(models, seconds, on_progress=lambda event: show_load(progress, event))
        finally:
            progress.clear()
        with held:
            names = ", ".join(held.models)
            shown = document({"models": held.models, "seconds": held.seconds})
            typer.echo(shown if as_json else f"holding {clean_line(names)} for {amounts.span(seconds)}")
            threading.Event().wait(seconds)
