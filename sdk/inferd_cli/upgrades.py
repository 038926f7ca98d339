"""`inferd upgrades`: newer models for those that are stored."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from inferd import Upgrade
from inferd_cli import amounts
from inferd_cli.documents import document
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.tables import EMPTY, Column, Table, show

COLUMNS = (Column("FROM"), Column("TO"), Column("SIZE", right=True), Column("FITS"), Column("REASON"))


def upgrades(context: typer.Context, *, as_json: AsJson = False, socket: Socket = None) -> None:
    """Show stored models for which there is a newer one.

    FITS: the memory that models may have here is large enough. `inferd pull` fetches it, `inferd remove` deletes the old one.
    """
    with calling(context, socket, as_json=as_json) as client:
        found = tuple(client.models.upgrades())
    if as_json:
        typer.echo(document({"upgrades": found}))
    else:
        show(table(found))


def table(found: Iterable[Upgrade]) -> Table:
    """Return one row per upgrade, in the daemon's order."""
    return Table(COLUMNS, tuple(_row(one) for one in found))


def _row(one: Upgrade) -> tuple[str, ...]:
    fits = EMPTY if one.fits is None else "yes" if one.fits else "no"
    return (
        one.from_model,
        one.to_model,
        amounts.size(one.size_bytes) if one.size_bytes else EMPTY,
        fits,
        one.reason,
    )
