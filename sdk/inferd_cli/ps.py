"""`inferd ps`: the models that are on their way or at work, and the apps that use them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final

import typer

from inferd.messages.reports import App, DaemonReport, Model
from inferd_cli import amounts
from inferd_cli.documents import document
from inferd_cli.failures import calling
from inferd_cli.listing import kept, state
from inferd_cli.options import AsJson, Socket
from inferd_cli.tables import EMPTY, Column, Table, show

_AT_REST: Final = ("absent", "stored")
"""States of a model that holds no process, no memory and no download."""

MODEL_COLUMNS: Final = (
    Column("MODEL"),
    Column("STATE"),
    Column("MEM", right=True),
    Column("SLOTS", right=True),
    Column("QUEUE", right=True),
    Column("PID", right=True),
    Column("LIFE", right=True),
    Column("IDLE", right=True),
    Column("KEPT"),
)
REASON_COLUMNS: Final = (Column("MODEL"), Column("REASON"))
APP_COLUMNS: Final = (
    Column("APP"),
    Column("UID", right=True),
    Column("PID", right=True),
    Column("INFLIGHT", right=True),
)


def ps(context: typer.Context, *, as_json: AsJson = False, socket: Socket = None) -> None:
    """Show the live models and the connected apps.

    SLOTS: busy/all. QUEUE: requests that wait. LIFE: how often its process was started. KEPT: what keeps it in memory.
    """
    with calling(context, socket, as_json=as_json) as client:
        activity = activity_in(client.daemon.status(), own_pid=os.getpid())
    if as_json:
        typer.echo(document(activity))
        return
    show(models_table(activity.models))
    if not activity.models and sys.stdout.isatty():
        typer.echo("no model is loaded; `inferd list` shows what there is")
    reasons = reasons_table(activity.models)
    if reasons.rows:
        typer.echo()
        show(reasons)
    typer.echo()
    show(apps_table(activity.apps))


@dataclass(frozen=True, slots=True)
class Activity:
    """The part of a report that is alive; field names are those of `DaemonReport`."""

    models: tuple[Model, ...]
    apps: tuple[App, ...]


def activity_in(report: DaemonReport, *, own_pid: int) -> Activity:
    """Return what is alive in `report`, without the command itself."""
    return Activity(
        tuple(sorted((row for row in report.models if row.state not in _AT_REST), key=lambda row: row.id)),
        tuple(app for app in report.apps if app.pid != own_pid),
    )


def models_table(models: tuple[Model, ...]) -> Table:
    """Return one row per live model."""
    return Table(MODEL_COLUMNS, tuple(_row(model) for model in models))


def reasons_table(models: tuple[Model, ...]) -> Table:
    """Return one row per model that says why it is in its state: a sentence, too long for a column beside others."""
    return Table(REASON_COLUMNS, tuple((model.id, model.reason) for model in models if model.reason))


def apps_table(apps: tuple[App, ...]) -> Table:
    """Return one row per connected app."""
    return Table(APP_COLUMNS, tuple((app.app, str(app.uid), str(app.pid), str(app.inflight)) for app in apps))


def _row(model: Model) -> tuple[str, ...]:
    return (
        model.id,
        state(model),
        amounts.size(model.memory_bytes) if model.memory_bytes else EMPTY,
        f"{model.busy}/{model.slots}" if model.slots else EMPTY,
        str(model.queued),
        str(model.pid) if model.pid else EMPTY,
        str(model.life) if model.life else EMPTY,
        amounts.span(model.idle_s) if model.state == "ready" and not model.busy else EMPTY,
        kept(model),
    )
