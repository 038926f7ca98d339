"""What the ledger says of its decisions: the rule that decided, its numbers, and what would help. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger.holding import Waiting
from inferd_daemon.ledger.room import Room
from inferd_daemon.ledger.verdict import Books, Squeezed, TooLarge, Waits
from inferd_daemon.ledger.victims import Candidate, cost_s

WAIT_HELP: Final = "it goes on by itself; `inferd stop MODEL` ends one that is not needed"

SHOWN_S: Final = 0.01
"""Parts of a load that are told take so long."""


def mib(amount_bytes: int) -> str:
    """Return an amount as people read it."""
    return f"{amount_bytes / 2**20:,.0f} MiB"


def names(models: Sequence[ModelId]) -> str:
    """Return the models, `nothing` for none."""
    return ", ".join(map(str, models)) or "nothing"


def fits(load: Waiting, books: Books) -> str:
    """Say why a load begins."""
    return f"fits: needs {mib(load.need_bytes)}, {mib(books.free_bytes)} of {mib(books.limit_bytes)} are free"


def ready(phases: Mapping[str, float]) -> str:
    """Say what a load took, from the wish for the model on; parts that nobody would notice are in the sum alone."""
    parts = [f"{name} {took_s:.2f} s" for name, took_s in phases.items() if took_s >= SHOWN_S]
    return f"ready after {sum(phases.values()):.2f} s" + (f": {', '.join(parts)}" if parts else "")


def waits(load: Waiting, in_use: Sequence[ModelId], verdict: Waits | Squeezed, books: Books) -> str:
    """Say what a load waits for."""
    if isinstance(verdict, Squeezed):
        return f"waiting for memory: needs {mib(load.need_bytes)}, and other programs leave less than that"
    if verdict.behind:
        return f"waiting for memory: needs {mib(load.need_bytes)}, behind another load"
    return (
        f"waiting for memory: needs {mib(load.need_bytes)} of {mib(books.limit_bytes)}, and {names(in_use)} are in use"
    )


def waits_for_end(load: Waiting, leaving: Sequence[ModelId]) -> str:
    """Say whose end a load waits for."""
    return f"waiting for memory: needs {mib(load.need_bytes)}, and {names(leaving)} leaves for it"


def idle(idle_s: float, keep_alive_s: float) -> str:
    """Say that a model was not used for long enough."""
    return f"idle for {idle_s:.0f} s, its keep-alive is {keep_alive_s:g} s"


def pressed(mark: str, held_bytes: int, mark_bytes: int) -> str:
    """Say that the machine runs short of memory."""
    return f"memory runs short: {mib(held_bytes)} are held, the {mark} mark is at {mib(mark_bytes)} now"


def victim(load: Waiting, victims: Sequence[Candidate], books: Books, *, in_use: bool) -> str:
    """Say for whom a model leaves, and why it and not another."""
    missing_bytes = load.need_bytes - books.spare_bytes
    how = "yields after its turn" if in_use else "leaves"
    return (
        f"{how} for {load.model}: {mib(missing_bytes)} are missing, and {names([one.model for one in victims])} "
        f"free them at the least expected cost ({cost_s(victims):.1f} s of loading)"
    )


def refused(load: Waiting, verdict: TooLarge | Squeezed, books: Books, room: Room) -> tuple[str, str]:
    """Say why a load cannot be had, and what would help."""
    need = f"{load.model} needs {mib(load.need_bytes)}"
    if isinstance(verdict, Squeezed):
        rule = f"{need}, and other programs leave {mib(books.limit_bytes)} ({mib(room.available_bytes)} are free)"
        return rule, "end programs that hold memory, or ask again later"
    if verdict.beside_pinned:
        rule = f"{need}, and pinned models leave {mib(books.ceiling_bytes - books.pinned_bytes)}"
        return rule, "unpin one of them"
    rule = f"{need}, and {mib(books.ceiling_bytes)} may be held by all models together"
    return (
        rule,
        "raise memory.budget_bytes if that is what limits it, lower its context or slots, or take a smaller model",
    )
