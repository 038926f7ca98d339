"""`inferd status`: the daemon and its processes. Ends with 3 when no daemon answers, as systemctl does."""

from __future__ import annotations

import os
from typing import Final

import typer

from inferd.messages.reports import DaemonReport
from inferd_cli import amounts
from inferd_cli.cleaning import clean_line
from inferd_cli.documents import document
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.tables import Column, Table, show

COLUMNS: Final = (
    Column("PROCESS"),
    Column("NAME"),
    Column("PID", right=True),
    Column("PSS", right=True),
    Column("CPU", right=True),
)
"""PSS: memory with shared pages counted in parts. CPU: time used since the process began."""


def status(context: typer.Context, *, as_json: AsJson = False, socket: Socket = None) -> None:
    """Show the daemon and what its processes use.

    The exit code is 3 when the daemon is not running.
    """
    with calling(context, socket, as_json=as_json) as client:
        report = client.daemon.status()
    if as_json:
        typer.echo(document(report))
        return
    typer.echo("\n".join(headlines(report, own_pid=os.getpid())))
    typer.echo()
    show(processes_table(report))


def headlines(report: DaemonReport, *, own_pid: int) -> list[str]:
    """Return the lines over the table: a word, and what there is to say about it. The command itself is left out."""
    apps = tuple(app for app in report.apps if app.pid != own_pid)
    loaded = sum(model.state == "ready" for model in report.models)
    stored = sum(model.weights_ready for model in report.models)
    inflight = sum(app.inflight for app in apps)
    pairs = (
        ("daemon", f"{'draining' if report.draining else 'running'}, version {report.version}, pid {report.pid}"),
        ("uptime", amounts.span(report.uptime_s)),
        ("socket", report.socket),
        ("keeper", report.keeper),
        ("models", f"{loaded} ready, {stored} stored, {len(report.models)} known"),
        ("apps", f"{len(apps)} connected, {amounts.plural(inflight, 'request')} unfinished"),
        (
            "since start",
            f"{amounts.plural(report.requests_total, 'request')}, {amounts.plural(report.events_total, 'event')}",
        ),
    )
    width = max(len(word) for word, _ in pairs)
    return [f"{word.ljust(width)}  {clean_line(said)}" for word, said in pairs]


def processes_table(report: DaemonReport) -> Table:
    """Return one row per process of the service and their sum."""
    rows = tuple(
        (row.kind, row.name, str(row.pid), amounts.size(row.pss_bytes), amounts.span(row.cpu_s))
        for row in report.processes
    )
    total = (
        "total",
        "",
        "",
        amounts.size(sum(row.pss_bytes for row in report.processes)),
        amounts.span(sum(row.cpu_s for row in report.processes)),
    )
    return Table(COLUMNS, (*rows, total))
