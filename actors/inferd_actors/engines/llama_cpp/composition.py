"""What one step computes: of each request that has a seat, how many of its tokens.

Covers: reading prompts in chunks beside writing, and voice before all else. Does not cover seats (`schedule`). Pure.
1. a voice prompt is to be read: this step is voice's alone, as many of its tokens as fit
2. else everybody who writes gets a token
3. and prompts get the rest, the most urgent first, as much as keeps the step short
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from inferd_actors.engines.llama_cpp.pace import ALONE_GAP_S, GAP_S, VOICE_GAP_S, Pace
from inferd_actors.engines.llama_cpp.sequences import VOICE, Live


class Part(NamedTuple):
    """The next `n_tokens` of a request."""

    live: Live
    n_tokens: int


def compose(seated: Sequence[Live], pace: Pace, *, batch_tokens: int, free_cells: int, now_s: float) -> list[Part]:
    """Return the parts of the next step, at most `batch_tokens` and `free_cells` together; none when all are halted."""
    active = sorted((live for live in seated if not live.is_halted), key=lambda live: live.urgency(now_s))
    voice = [live for live in active if live.rank == VOICE]
    if any(live.is_reading for live in voice):
        active = voice
    writing = [live for live in active if not live.is_reading]
    parts = [Part(live, 1) for live in writing[: min(batch_tokens, free_cells)]]
    room = min(batch_tokens, free_cells) - len(parts)
    gap_s = ALONE_GAP_S if not writing else VOICE_GAP_S if any(live.rank == VOICE for live in writing) else GAP_S
    room = min(room, pace.chunk_tokens(gap_s, len(writing)))
    for live in active:
        if live.is_reading and room > 0:
            count = min(live.pending, room)
            parts.append(Part(live, count))
            room -= count
    return parts
