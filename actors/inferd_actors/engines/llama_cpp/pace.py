"""How many prompt tokens fit into a step without stalling those who are being answered.

Covers: the measured rate of reading, and the chunk that follows from it. Pure: durations come in.
"""

from __future__ import annotations

from typing import Final

GAP_S: Final = 0.3
"""Longest step while answers are being written: a reader notices pauses above a third of a second."""
ALONE_GAP_S: Final = 0.5
"""Longest step while nothing but prompts is read: orders are obeyed between steps, and a voice turn may come."""
VOICE_GAP_S: Final = 0.1
"""The same while a voice turn is being written: speech synthesis waits for these words."""
LEAST_TOKENS: Final = 64
"""From so many on llama.cpp's attention on CPUs works in tiles: chunks of 64 read 250 tokens/s, chunks of 60 read 94 (the
starter model on two cores, 1,024 tokens)."""
MEASURED_TOKENS: Final = 24
"""Steps with fewer prompt tokens say little about reading."""
WEIGHT: Final = 0.3
"""Of a new measurement: three steps of a neighbour's work are followed, one outlier is not."""
FIRST_TOKEN_S: Final = 1 / 250
"""Before anything was measured: the starter model on two cores (240 to 290 tokens/s)."""


class Pace:
    """What a prompt token and a written token cost, in seconds, as lately measured."""

    def __init__(self) -> None:
        self._read_s = FIRST_TOKEN_S
        self._write_s = 0.0

    def measured(self, *, read_tokens: int, written_tokens: int, step_s: float) -> None:
        """Learn from a step."""
        if read_tokens >= MEASURED_TOKENS:
            each_s = max(0.0, step_s - written_tokens * self._write_s) / read_tokens
            self._read_s += WEIGHT * (each_s - self._read_s)
        elif written_tokens and not read_tokens:
            self._write_s += WEIGHT * (step_s / written_tokens - self._write_s)

    def chunk_tokens(self, gap_s: float, written_tokens: int) -> int:
        """Return how many prompt tokens a step may read that also writes `written_tokens` and should take `gap_s`."""
        left_s = gap_s - written_tokens * self._write_s
        return max(LEAST_TOKENS, int(left_s / max(self._read_s, 1e-9)))
