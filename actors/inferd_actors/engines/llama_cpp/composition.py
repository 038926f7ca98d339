"""What one step computes: of each request that has a seat, how many of its tokens.

Covers: reading prompts in chunks beside writing, and voice before all else. Does not cover seats (`schedule`). Pure.
1. nobody reads, all may write and fit, as in nearly every step: each gets its token
2. a voice prompt is to be read: this step is voice's alone, as many of its tokens as fit
3. else everybody who writes gets a token, but for those who have just begun while prompts that came with theirs are still
   being read, for a moment: together they are written in fuller and so in fewer steps
4. and prompts get the rest, the most urgent first, as much as keeps the step short

llama.cpp's attention on CPUs computes `LEAST_TOKENS` rows at a time once a step has so many, and one by one else, so chunks are
such that the step's rows fill these tiles. What does not is read first, where it is cheap: behind 4,000 tokens the odd rest of
a prompt would take longer than a whole tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from inferd_actors.engines.aside import VOICE
from inferd_actors.engines.llama_cpp.pace import ALONE_GAP_S, GAP_S, LEAST_TOKENS, VOICE_GAP_S, Pace
from inferd_actors.engines.llama_cpp.sequences import Live

TOGETHER_S: Final = 3.0
"""Longest reading of prompts for which answers that began meanwhile wait after their first token. Sixteen prompts of 40 tokens
that come at once take nearly so long on two cores; whoever reads them all first shows the first token only then."""


class Part(NamedTuple):
    """The next `n_tokens` of a request."""

    live: Live
    n_tokens: int


def compose(
    seated: Sequence[Live], pace: Pace, *, batch_tokens: int, free_cells: int, is_hurried: bool = False, now_s: float
) -> list[Part]:
    """Return the parts of the next step, at most `batch_tokens` and `free_cells` together; none when all are halted.

    `is_hurried`: voice is computed for somewhere, so the step is to be short.
    """
    if len(seated) <= min(batch_tokens, free_cells) and all(live.is_writing for live in seated):  # 1
        return [Part(live, 1) for live in seated]
    active = sorted((live for live in seated if not live.is_halted), key=lambda live: live.urgency(now_s))
    voice = [live for live in active if live.rank == VOICE]
    if any(live.is_reading for live in voice):  # 2
        active = voice
    reading = [live for live in active if live.is_reading]
    writing = [live for live in active if not live.is_reading]
    if sum(live.pending for live in reading) <= pace.chunk_tokens(TOGETHER_S, 0):
        writing = [live for live in writing if not any(_came_with(live, other) for other in reading)]
    parts = [Part(live, 1) for live in writing[: min(batch_tokens, free_cells)]]
    room = min(batch_tokens, free_cells) - len(parts)
    gap_s = ALONE_GAP_S if not writing else VOICE_GAP_S if any(live.rank == VOICE for live in writing) else GAP_S
    if is_hurried and active is not voice:
        gap_s = VOICE_GAP_S
    if reading:
        pending, most = sum(live.pending for live in reading), pace.chunk_tokens(gap_s, len(writing))
        room = min(room, _chunk(pending, min(room, most), len(writing)))
    for live in reading:
        if room > 0:
            count = min(live.pending, room)
            parts.append(Part(live, count))
            room -= count
    return parts


def _chunk(pending: int, most: int, writing: int) -> int:
    """Return how many of the prompts' tokens a step reads that may read `most`: all, or what fills tiles."""
    if pending <= most:
        return pending
    tile = max(1, LEAST_TOKENS - writing)
    chunk = max(1, most // tile) * tile
    odd = pending % tile
    return chunk - tile + odd if odd else chunk


def _came_with(writing: Live, reading: Live) -> bool:
    """Tell whether this prompt was there, and of no lower class, when the other's answer began."""
    return reading.rank <= writing.rank and writing.rank != VOICE and reading.added_s <= writing.begun_s
