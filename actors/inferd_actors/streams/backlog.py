"""What a stream has produced and may not send yet: text grows together, everything else waits in its place.

Covers: order, merging, sizes. Does not cover the window: `stream` says when something may go. Pure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from inferd.messages.events import (
    AudioChunk,
    Content,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDelta,
)

MERGED_BYTES: Final = 64 * 1024
"""Longest delta that waiting text grows to, and how much may wait before the engine halts: some ten pages, minutes of a
model's work, and a message that holds up nobody behind it."""
LOGPROB_BYTES: Final = 48
"""About what one token's probability takes on the wire."""


@dataclass(slots=True)
class Run:
    """Deltas of one kind in a row; `index`: of the tool call that they belong to."""

    kind: type[TextDelta | ThinkingDelta | ToolCallDelta]
    index: int
    pieces: list[str]
    size_bytes: int
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def merged(self) -> Content:
        """Return them as one."""
        text = "".join(self.pieces)
        if self.kind is ToolCallDelta:
            return ToolCallDelta(self.index, text)
        return ThinkingDelta(text) if self.kind is ThinkingDelta else TextDelta(text, tuple(self.logprobs))

    def takes(self, other: Run) -> bool:
        """Tell whether the other one can become a part of this one."""
        fits = self.size_bytes + other.size_bytes <= MERGED_BYTES
        return fits and (self.kind, self.index) == (other.kind, other.index)


class Backlog:
    """The waiting content of one stream, oldest first."""

    def __init__(self) -> None:
        self._waiting: deque[Run | Content] = deque()
        self._size_bytes = 0
        self._bulky = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def is_text(self) -> bool:
        """Whether nothing but text, and the counts that follow it, waits."""
        return not self._bulky

    @property
    def is_full(self) -> bool:
        """Whether the engine should halt: text can grow on, sound cannot."""
        return self._size_bytes >= MERGED_BYTES or bool(self._bulky)

    def add(self, event: Content) -> None:
        """Keep an event behind the others."""
        run = _run_of(event)
        if run is None:
            self._waiting.append(event)
            self._bulky += _is_bulky(event)
            return
        self._size_bytes += run.size_bytes
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, Run) and last.takes(run):
            last.pieces += run.pieces
            last.logprobs += run.logprobs
            last.size_bytes += run.size_bytes
        else:
            self._waiting.append(run)

    def take(self) -> Content:
        """Return the oldest event, or all that it has grown to. Only while there is one."""
        first = self._waiting.popleft()
        if isinstance(first, Run):
            self._size_bytes -= first.size_bytes
            return first.merged()
        self._bulky -= _is_bulky(first)
        return first

    def clear(self) -> None:
        """Throw everything away."""
        self._waiting.clear()
        self._size_bytes = self._bulky = 0


def _run_of(event: Content) -> Run | None:
    """Return what can grow; None for everything else."""
    match event:
        case TextDelta(text, logprobs):
            size_bytes = len(text.encode()) + LOGPROB_BYTES * sum(1 + len(one.top) for one in logprobs)
            return Run(TextDelta, 0, [text], size_bytes, list(logprobs))
        case ThinkingDelta(text):
            return Run(ThinkingDelta, 0, [text], len(text.encode()))
        case ToolCallDelta(index, text):
            return Run(ToolCallDelta, index, [text], len(text.encode()))
        case _:
            return None


def _is_bulky(event: Content) -> bool:
    return isinstance(event, AudioChunk)
