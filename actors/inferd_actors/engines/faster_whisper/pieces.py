"""A file's speech, cut into pieces that the model hears in one pass each, and where a piece's moments are in the file.

Covers: packing stretches of speech, and the way back. Pure. Does not cover who finds speech (`library.Vad`) and who reads
(`reading`). Silence between stretches is left out, as by faster-whisper's own filter, so the words are those of a direct call.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import Final

from inferd_actors.engines.faster_whisper.hearing import RATE_HZ, Samples

PIECE_S: Final = 30.0
"""The model's window."""
LEEWAY_S: Final = 0.2
"""So exact are the model's times: a phrase that runs over a cut by less belongs to one side of it."""

Span = tuple[int, int]
"""Samples of the file, (first, end)."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Speech that is heard in one pass."""

    sound: Samples
    spans: tuple[Span, ...]
    """Where its sound was in the file, in order."""

    def place_s(self, start_s: float, end_s: float, leeway_s: float = inf) -> tuple[float, float]:
        """Return where in the file something of the piece is, in seconds; a word is where its middle is.

        Each end is where the moment is that is `leeway_s` inside of it.
        """
        inside_s = min(leeway_s, (end_s - start_s) / 2)
        return start_s + self._moved_s(start_s + inside_s), end_s + self._moved_s(end_s - inside_s)

    def _moved_s(self, moment_s: float) -> float:
        """Return by how much this moment is later in the file."""
        lengths = list(accumulate(end - first for first, end in self.spans))
        at = min(bisect(lengths, int(moment_s * RATE_HZ)), len(lengths) - 1)
        first, end = self.spans[at]
        before = lengths[at] - (end - first)
        return (first - before) / RATE_HZ

    @property
    def start_s(self) -> float:
        """Where it begins in the file."""
        return self.spans[0][0] / RATE_HZ

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return self.spans[-1][1] / RATE_HZ


def packed(spans: Iterable[Span]) -> list[tuple[Span, ...]]:
    """Return the spans in groups that fit a window, as many in each as go; a span that fits none stands alone."""
    groups: list[list[Span]] = []
    room = 0
    for first, end in spans:
        if not groups or end - first > room:
            groups.append([])
            room = int(PIECE_S * RATE_HZ)
        groups[-1].append((first, end))
        room -= end - first
    return [tuple(group) for group in groups]


def divided(spans: list[Span], length: int, *, is_last: bool) -> tuple[list[Span], int]:
    """Return the spans of a stretch that are complete, and the sample from which it has to be looked at again.

    A span that reaches the end of the stretch may go on in the next one, unless it is so long that it fills a window.
    """
    if is_last or not spans or spans[-1][1] < length:
        return spans, length
    first, end = spans[-1]
    if len(spans) == 1 and first == 0 and end == length:
        return spans, length
    return spans[:-1], first
