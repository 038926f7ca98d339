"""`inferd health`: what is wrong, what to do about it, and how all parts of the service are."""

from __future__ import annotations

import typer

from inferd import GpuMemory, Health
from inferd_cli import amounts
from inferd_cli.cleaning import clean_line
from inferd_cli.documents import document
from inferd_cli.exit_codes import ExitCode
from inferd_cli.failures import calling
from inferd_cli.options import AsJson, Socket
from inferd_cli.tables import EMPTY, Column, Table, show

COLUMNS = (
    Column("CAPABILITY"),
    Column("KNOWN", right=True),
    Column("AVAILABLE", right=True),
    Column("STORED", right=True),
    Column("BY"),
)
PROCESS_COLUMNS = (Column("PROCESS"), Column("NAME"), Column("PID", right=True), Column("PSS", right=True))


def health(context: typer.Context, *, as_json: AsJson = False, socket: Socket = None) -> None:
    """Show what is wrong with the service, with the next step, and how its parts are.

    The exit code is 1 when something is broken, and 3 when the daemon is not running.
    KNOWN: models on the list that have the capability. BY: those that are stored and can serve it here.
    """
    with calling(context, socket, as_json=as_json) as client:
        found = client.health()
    if as_json:
        typer.echo(document({"health": found}))
    else:
        typer.echo("\n".join(clean_line(line) for line in lines(found)))
        typer.echo()
        show(coverage(found))
        typer.echo()
        show(processes(found))
    if not found.healthy:
        raise typer.Exit(ExitCode.FAILED)


def lines(found: Health) -> list[str]:
    """Return the problems, broken things first, and a line for each part."""
    told = []
    for problem in found.problems:
        told += [f"{'broken' if problem.broken else 'note'}: {problem.what}", f"next: {problem.next}"]
    return [
        *(told or ["nothing is wrong"]),
        f"keeper     {found.keeper}{', the daemon is stopping' if found.draining else ''}",
        f"default    {found.default_model}",
        f"models     {found.models_ready} ready, {found.models_stored} stored, {found.models_known} known",
        f"memory     {_memory(found)}",
        *([] if found.gpu is None else [f"GPUs       {_gpu(found.gpu)}"]),
        f"providers  {len(found.providers) or 'none: this version serves no remote models'}",
    ]


def _memory(found: Health) -> str:
    held, limit = amounts.size(found.memory_held_bytes), amounts.size(found.memory_limit_bytes)
    return f"{held} held of {limit}, {amounts.size(found.memory_available_bytes)} available on the machine"


def _gpu(memory: GpuMemory) -> str:
    held, limit = amounts.size(memory.held_bytes), amounts.size(memory.limit_bytes)
    return f"{held} held of {limit}, {amounts.size(memory.available_bytes)} available"


def coverage(found: Health) -> Table:
    """Return one row per capability."""
    return Table(
        COLUMNS,
        tuple(
            (
                one.capability,
                str(len(one.models)),
                str(len(one.available)),
                str(len(one.weights_ready)),
                ", ".join(one.weights_ready) or EMPTY,
            )
            for one in found.coverage
        ),
    )


def processes(found: Health) -> Table:
    """Return one row per process."""
    return Table(
        PROCESS_COLUMNS,
        tuple((row.kind, row.name, str(row.pid), amounts.size(row.pss_bytes)) for row in found.processes),
    )
