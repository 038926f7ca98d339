"""`inferd discover`: models of other programs on this machine."""

from __future__ import annotations

import typer

from inferd import Discovered, ModelSchema
from inferd_cli import amounts
from inferd_cli.cleaning import clean_line
from inferd_cli.documents import document
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.tables import EMPTY, Column, Table, show

COLUMNS = (Column("ID"), Column("SIZE", right=True), Column("WHERE"))


def discover(context: typer.Context, *, as_json: AsJson = False, socket: Socket = None) -> None:
    """Show models of other programs: of servers that run here, and files that Ollama and LM Studio have fetched.

    `inferd discover --json | inferd register -` adds them all.
    """
    with calling(context, socket, as_json=as_json) as client:
        found = client.models.discover()
    if as_json:
        typer.echo(document(found))
        return
    for line in remarks(found):
        typer.echo(clean_line(line), err=True)
    show(table(found))


def remarks(found: Discovered) -> list[str]:
    """Return a line for each server that answers, with what is wrong with its answer."""
    return [
        f"{one.kind} at {one.base_url}: {one.problem or amounts.plural(one.models, 'model')}" for one in found.servers
    ]


def table(found: Discovered) -> Table:
    """Return one row per model, by id."""
    return Table(COLUMNS, tuple(_row(schema) for schema in sorted(found.schemas, key=lambda one: one.id)))


def _row(schema: ModelSchema) -> tuple[str, ...]:
    where = schema.remote.base_url if schema.remote else schema.file or EMPTY
    return (schema.id, amounts.size(schema.size_bytes) if schema.size_bytes else EMPTY, where)
