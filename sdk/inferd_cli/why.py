"""`inferd why MODEL`: what was decided about a model's memory lately, and what would help."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from inferd.messages.reports import MemoryDecision
from inferd_cli import amounts
from inferd_cli.cleaning import clean_line
from inferd_cli.documents import document
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.tables import Column, Table, show

COLUMNS = (
    Column("AGO", right=True),
    Column("DECISION"),
    Column("APP"),
    Column("NEED", right=True),
    Column("HELD", right=True),
    Column("LIMIT", right=True),
    Column("WHY"),
)


def why(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL")],
    *,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Show what was decided about a model's memory, oldest first.

    NEED: of its load, or what it held. HELD: by all models, before and after. LIMIT: what all models might hold then.
    """
    with calling(context, socket, as_json=as_json) as client:
        decisions = tuple(client.daemon.why(model))
    if as_json:
        typer.echo(document({"decisions": decisions}))
        return
    show(table(decisions))
    if not decisions and sys.stdout.isatty():
        typer.echo("nothing was decided about it since the daemon began")
    if decisions and decisions[-1].help:
        typer.echo(f"\nwhat helps: {clean_line(decisions[-1].help)}")


def table(decisions: Iterable[MemoryDecision]) -> Table:
    """Return one row per decision."""
    return Table(COLUMNS, tuple(_row(one) for one in decisions))


def _row(one: MemoryDecision) -> tuple[str, ...]:
    return (
        amounts.span(one.age_s),
        one.kind,
        one.app,
        f"{amounts.size(one.need_bytes)}{' GPU' if one.memory == 'gpu' else ''}",
        f"{amounts.size(one.before_bytes)} → {amounts.size(one.after_bytes)}",
        amounts.size(one.limit_bytes),
        one.rule,
    )
