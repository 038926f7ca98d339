"""The sound of a stream that may still be needed, frame by frame.

Covers: keeping, cutting out, forgetting. Pure. A frame is 512 samples: positions are frames since the stream's first sample.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from inferd_actors.engines.faster_whisper.hearing import RATE_HZ, Samples

FRAME: Final = 512
"""Samples: what the Silero model looks at, 32 ms."""
FRAME_S: Final = FRAME / RATE_HZ


@dataclass(frozen=True, slots=True)
class Frame:
    """512 samples, how likely somebody speaks in them, and when the last of them came."""

    samples: Samples
    probability: float
    arrived_s: float


class Sound:
    """The frames from `first` to `end`, the latter not included."""

    def __init__(self) -> None:
        self.first = 0
        self._frames: deque[Frame] = deque()

    @property
    def end(self) -> int:
        """The frame that comes next."""
        return self.first + len(self._frames)

    def add(self, frame: Frame) -> None:
        """Keep the next frame."""
        self._frames.append(frame)

    def cut(self, first: int, end: int) -> Samples:
        """Return a copy of the samples between two frames that are kept."""
        pieces = [frame.samples for frame in self._between(first, end)]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)

    def quietest(self, first: int, end: int) -> int:
        """Return the frame with the least speech between two, the last one if there are several."""
        likely = [frame.probability for frame in self._between(first, end)]
        return first + len(likely) - 1 - int(np.argmin(likely[::-1]))

    def arrived_s(self, frame: int) -> float:
        """Return when this frame, which is kept, had come."""
        return self._frames[frame - self.first].arrived_s

    def forget(self, before: int) -> None:
        """Let go of all frames before this one."""
        while self._frames and self.first < before:
            self._frames.popleft()
            self.first += 1

    def _between(self, first: int, end: int) -> list[Frame]:
        return list(islice(self._frames, max(0, first - self.first), max(0, end - self.first)))
