"""`inferd stop`: end the daemon, or one model."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from inferd_cli import amounts
from inferd_cli.cleaning import clean_line
from inferd_cli.client import Client
from inferd_cli.documents import document
from inferd_cli.ending import watching
from inferd_cli.exit_codes import ExitCode
from inferd_cli.failures import calling, refuse
from inferd_cli.options import AsJson, Socket
from inferd_cli.progress import progress_of_stderr

GRACE_S: Final = 30.0
"""The daemon's own default for what is running to finish."""
ENDING_S: Final = 30.0
"""Beyond the grace: models' processes and Ray take up to ten seconds to end, several times that on a loaded machine."""


def stop(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Unload this model only.")] = None,
    *,
    grace: Annotated[
        float | None,
        typer.Option(min=0, max=600, metavar="S", help=f"How long running requests may go on.  [default: {GRACE_S:g}]"),
    ] = None,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """End the daemon, or unload one model.

    Without MODEL: returns when the daemon is gone. With MODEL: returns when its process is; the daemon stays.
    """
    if model is not None and grace is not None:
        raise typer.BadParameter("--grace is for the daemon: a model finishes what it is doing before it is unloaded")
    with calling(context, socket, as_json=as_json) as client:
        if model is not None:
            _unload(client, model, as_json=as_json)
        else:
            _stop_daemon(client, GRACE_S if grace is None else grace, as_json=as_json)


def _unload(client: Client, model: str, *, as_json: bool) -> None:
    progress = progress_of_stderr()
    progress.state(f"unloading {model}")
    try:
        client.models.unload(model)
    finally:
        progress.clear()
    typer.echo(document({"unloaded": model}) if as_json else f"unloaded {clean_line(model)}")


def _stop_daemon(client: Client, grace_s: float, *, as_json: bool) -> None:
    pid = client.daemon.status().pid
    progress = progress_of_stderr()
    with watching([pid]) as wait:
        client.daemon.stop(grace_s)
        progress.state(f"stopping inferd (pid {pid}); what is running may take {amounts.span(grace_s)}")
        try:
            left = wait(grace_s + ENDING_S)
        finally:
            progress.clear()
    if left:
        refuse(f"process {pid} has not ended {amounts.span(grace_s + ENDING_S)} after it was asked to", "see its log")
        raise typer.Exit(ExitCode.FAILED)
    typer.echo(document({"stopped": pid}) if as_json else f"inferd is stopped (pid {pid})")
