"""`inferd preflight MODEL`: whether a model would fit into memory now, and from which numbers."""

from __future__ import annotations

from typing import Annotated

import typer

from inferd import Preflight
from inferd_cli import amounts
from inferd_cli.documents import document
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.tables import Column, Table, show

SENTENCES = {
    "resident": "is loaded already",
    "fits": "fits",
    "fits_after_eviction": "fits once these have left: {evicted}",
    "waits": "would wait until models in use have had their turn",
    "squeezed": "would fit, but other programs have the memory now",
    "too_large": "does not fit on this machine, or not into the configured budget",
}


def preflight(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL")],
    context_tokens: Annotated[int | None, typer.Option(help="Tokens of one request's prompt and answer.")] = None,
    *,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Tell whether a model would fit into memory now. Nothing is loaded."""
    with calling(context, socket, as_json=as_json) as client:
        found = client.models.preflight(model, context_tokens)
    if as_json:
        typer.echo(document({"preflight": found}))
        return
    typer.echo(f"{found.model} {SENTENCES[found.verdict].format(evicted=', '.join(found.evicted))}")
    if not found.weights_ready:
        typer.echo(f"its file is not here: inferd pull {found.model}")
    show(table(found))


def table(found: Preflight) -> Table:
    """Return one row per number."""
    on_gpu = [(f"estimate on GPUs ({found.basis})", found.gpu_estimate_bytes)] if found.gpu_estimate_bytes else []
    where = "GPUs" if found.memory == "gpu" else "the machine"
    rows = (
        (f"estimate ({found.basis})", found.estimate_bytes),
        *on_gpu,
        (f"held by all models{'' if where == 'the machine' else ' on GPUs'}", found.resident_bytes),
        ("free for more", found.free_bytes),
        ("limit", found.limit_bytes),
        (f"available on {where}", found.available_bytes),
        ("kept for other programs", found.reserve_bytes),
    )
    return Table(
        (Column("MEMORY"), Column("SIZE", right=True)), tuple((name, amounts.size(size)) for name, size in rows)
    )
