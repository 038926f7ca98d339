"""How a load would be judged now, in the words that apps read. Nothing is reserved by asking.

Covers: the verdict and its numbers as a report. Does not cover judging (`ledger`) nor what a load needs (`steward`). Runs in
the loop.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from inferd.messages.reports import Preflight
from inferd_daemon.ledger.verdict import Fits, FitsAfter, Squeezed, TooLarge, Verdict, Waits, decisive, victims_of

if TYPE_CHECKING:
    from inferd_daemon.catalogue import Schema
    from inferd_daemon.steward import Steward

Word = Literal["fits", "fits_after_eviction", "waits", "squeezed", "too_large"]
WORDS: Final[dict[type[Verdict], Word]] = {
    Fits: "fits",
    FitsAfter: "fits_after_eviction",
    Waits: "waits",
    Squeezed: "squeezed",
    TooLarge: "too_large",
}


async def preflight(steward: Steward, schema: Schema, context_tokens: int | None, *, weights_ready: bool) -> Preflight:
    """Return the report; waits for the file's header.

    Raises LoadFailed: the file is corrupt, or a setting is wrong.
    """
    options = {**schema.engine_options, **({"context_tokens": context_tokens} if context_tokens else {})}
    need, basis = await steward.foresee(replace(schema, engine_options=options))
    now_s = time.monotonic()
    steward.ticked(now_s, look=True)
    books = steward.ledger
    judgements = books.preview(schema.id, need, now_s)
    judged = decisive(judgements)
    device, accounts = judged.device, books.accounts
    room = accounts.rooms[device]
    return Preflight(
        model=str(schema.id),
        verdict="resident" if books.holds(schema.id) else WORDS[type(judged.verdict)],
        estimate_bytes=need.peak_bytes,
        basis=basis,
        resident_bytes=accounts.held_bytes(device),
        free_bytes=max(0, judged.books.free_bytes),
        limit_bytes=judged.books.limit_bytes,
        reserve_bytes=accounts.terms[device].reserve_of(room),
        available_bytes=room.available_bytes,
        evicted=tuple(str(one.model) for one in victims_of(judgements)),
        weights_ready=weights_ready,
        memory=device,
        gpu_estimate_bytes=need.gpu_bytes,
    )
