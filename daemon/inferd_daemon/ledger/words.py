"""What the ledger says of its decisions: the rule that decided, its numbers, and what would help. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger.holding import Waiting
from inferd_daemon.ledger.room import GPU, RAM, Device, Room
from inferd_daemon.ledger.verdict import Judgement, Squeezed, TooLarge, Waits
from inferd_daemon.ledger.victims import Candidate, cost_s

WAIT_HELP: Final = "it goes on by itself; `inferd stop MODEL` ends one that is not needed"

TOO_LARGE_HELP: Final[Mapping[Device, str]] = {
    RAM: "raise memory.budget_bytes if that is what limits it, lower its context or slots, or take a smaller model",
    GPU: "raise memory.gpu_budget_bytes if that is what limits it, give it fewer gpu_layers, or take a smaller model",
}

SHOWN_S: Final = 0.01
"""Parts of a load that are told take so long."""


def mib(amount_bytes: int) -> str:
    """Return an amount as people read it."""
    return f"{amount_bytes / 2**20:,.0f} MiB"


def names(models: Sequence[ModelId]) -> str:
    """Return the models, `nothing` for none."""
    return ", ".join(map(str, models)) or "nothing"


def of(device: Device) -> str:
    """Return which memory is meant, behind an amount; nothing for the machine's own."""
    return " of GPU memory" if device == GPU else ""


def fits(load: Waiting, judged: Judgement) -> str:
    """Say why a load begins."""
    need, books = f"{mib(load.need_on(judged.device))}{of(judged.device)}", judged.books
    return f"fits: needs {need}, {mib(books.free_bytes)} of {mib(books.limit_bytes)} are free"


def ready(phases: Mapping[str, float]) -> str:
    """Say what a load took, from the wish for the model on; parts that nobody would notice are in the sum alone."""
    parts = [f"{name} {took_s:.2f} s" for name, took_s in phases.items() if took_s >= SHOWN_S]
    return f"ready after {sum(phases.values()):.2f} s" + (f": {', '.join(parts)}" if parts else "")


def waits(load: Waiting, in_use: Sequence[ModelId], judged: Judgement, verdict: Waits | Squeezed) -> str:
    """Say what a load waits for."""
    need = f"{mib(load.need_on(judged.device))}{of(judged.device)}"
    if isinstance(verdict, Squeezed):
        return f"waiting for memory: needs {need}, and other programs leave less than that"
    if verdict.behind:
        return f"waiting for memory: needs {need}, behind another load"
    amounts = f"{mib(load.need_on(judged.device))} of {mib(judged.books.limit_bytes)}{of(judged.device)}"
    return f"waiting for memory: needs {amounts}, and {names(in_use)} are in use or held"


def waits_for_end(load: Waiting, device: Device, leaving: Sequence[ModelId]) -> str:
    """Say whose end a load waits for."""
    return f"waiting for memory: needs {mib(load.need_on(device))}{of(device)}, and {names(leaving)} leaves for it"


def idle(idle_s: float, keep_alive_s: float) -> str:
    """Say that a model was not used for long enough. `keep_alive_s`: as configured, or as its requests wished."""
    return f"idle for {idle_s:.0f} s, its keep-alive is {max(0.0, round(keep_alive_s, 1)):g} s"


def pressed(mark: str, device: Device, held_bytes: int, mark_bytes: int) -> str:
    """Say that the machine runs short of memory."""
    return f"memory runs short: {mib(held_bytes)}{of(device)} are held, the {mark} mark is at {mib(mark_bytes)} now"


def title(load: Waiting) -> str:
    """Return whose load it is."""
    return names(sorted(load.needs))


def _needs(load: Waiting, judged: Judgement) -> str:
    device = judged.device
    if len(load.needs) == 1:
        return f"{title(load)} needs {mib(load.need_on(device))}{of(device)}"
    parts = ", ".join(f"{model} {mib(need.on(device))}" for model, need in sorted(load.needs.items()))
    return f"{title(load)} need {mib(load.need_on(device) + judged.books.own_bytes)}{of(device)} together ({parts})"


def victim(load: Waiting, victims: Sequence[Candidate], judged: Judgement, *, in_use: bool) -> str:
    """Say for whom a model leaves, and why it and not another."""
    missing = f"{mib(load.need_on(judged.device) - judged.books.spare_bytes)}{of(judged.device)}"
    how = "yields after its turn" if in_use else "leaves"
    return (
        f"{how} for {title(load)}: {missing} are missing, and {names([one.model for one in victims])} "
        f"free them at the least expected cost ({cost_s(victims):.1f} s of loading)"
    )


def refused(load: Waiting, judged: Judgement, verdict: TooLarge | Squeezed, room: Room) -> tuple[str, str]:
    """Say why a load cannot be had, and what would help."""
    need, books = _needs(load, judged), judged.books
    if isinstance(verdict, Squeezed):
        limit_bytes = books.limit_bytes + books.own_bytes
        rule = f"{need}, and other programs leave {mib(limit_bytes)} ({mib(room.available_bytes)} are free)"
        return rule, "end programs that hold memory, or ask again later"
    if verdict.beside_pinned:
        ceiling_bytes = books.ceiling_bytes + books.own_bytes - books.pinned_bytes - books.leased_bytes
        if books.leased_bytes:
            return (
                f"{need}, and pinned models and other holds leave {mib(ceiling_bytes)}",
                "ask again when a hold has ended",
            )
        return f"{need}, and pinned models leave {mib(ceiling_bytes)}", "unpin one of them"
    rule = f"{need}, and {mib(books.ceiling_bytes + books.own_bytes)} may be held by all models together"
    return rule, TOO_LARGE_HELP[judged.device]
