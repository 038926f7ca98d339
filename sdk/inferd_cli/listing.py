"""`inferd list`: every model that can be asked for."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from inferd.messages.reports import Model
from inferd_cli import amounts
from inferd_cli.documents import document
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.tables import EMPTY, Column, Table, show

COLUMNS = (
    Column("ID"),
    Column("STATE"),
    Column("SIZE", right=True),
    Column("CONTEXT", right=True),
    Column("STORED"),
    Column("AVAILABLE"),
    Column("KEPT"),
    Column("CAPABILITIES"),
)


def list_models(context: typer.Context, *, as_json: AsJson = False, socket: Socket = None) -> None:
    """Show all models that can be asked for.

    STORED: its files are on this disk. AVAILABLE: it can be used here, as soon as it is loaded. KEPT: what keeps it in memory.
    """
    with calling(context, socket, as_json=as_json) as client:
        models = tuple(client.models.list())
    if as_json:
        typer.echo(document({"models": models}))
    else:
        show(table(models))


def table(models: Iterable[Model]) -> Table:
    """Return one row per model, by id."""
    return Table(COLUMNS, tuple(_row(model) for model in sorted(models, key=lambda model: model.id)))


def _row(model: Model) -> tuple[str, ...]:
    return (
        model.id,
        state(model),
        amounts.size(model.size_bytes) if model.size_bytes else EMPTY,
        str(model.context_tokens) if model.context_tokens else EMPTY,
        "yes" if model.weights_ready else "no",
        "yes" if model.available else "no",
        kept(model),
        ",".join(model.capabilities),
    )


def kept(model: Model) -> str:
    """Return what keeps a model in memory: `pinned`, `held 43 s`; the same words in every table."""
    words = [*(["pinned"] if model.pinned else []), *([f"held {amounts.span(model.held_s)}"] if model.held_s else [])]
    return ", ".join(words) or EMPTY


def state(model: Model) -> str:
    """Return the state with its number: `loading 43 %`, `backoff 20 s`; the same words in every table."""
    match model.state:
        case "pulling" | "loading":
            return f"{model.state} {amounts.percent(model.progress)}"
        case "backoff" if model.retry_after_s:
            return f"{model.state} {amounts.span(model.retry_after_s)}"
        case word:
            return word
