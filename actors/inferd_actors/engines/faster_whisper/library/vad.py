"""The Silero model that faster-whisper ships: one session for all streams, a state for each.

Covers: frames one by one, and stretches of files at once. Does not cover what follows from a probability: `endpointing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps, get_vad_model

from inferd_actors.engines.faster_whisper.hearing import Samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME: Final = 512
CONTEXT: Final = 64
"""Samples of the frame before that the model looks at too."""
MAX_SPEECH_S: Final = 29.0
"""Of a file's speech without a pause: longer ones are cut at their last silence of 98 ms, to fit the model's window."""


class Vad:
    """The loaded model; its methods may be called from several threads."""

    def __init__(self) -> None:
        self._session = get_vad_model().session

    def voice(self) -> Voice:
        """Return the state of a new stream."""
        return Voice(self._session)

    def speech(self, sound: Samples) -> list[tuple[int, int]]:
        """Return where somebody speaks, as samples (first, end), as faster-whisper's own filter would for files."""
        found = get_speech_timestamps(sound, VadOptions(max_speech_duration_s=MAX_SPEECH_S))
        return [(int(one["start"]), int(one["end"])) for one in found]


class Voice:
    """One stream's memory of what it sounded like."""

    def __init__(self, session: object) -> None:
        self._session = session
        self._hidden = np.zeros((1, 1, 128), np.float32)
        self._cell = np.zeros((1, 1, 128), np.float32)
        self._before = np.zeros(CONTEXT, np.float32)

    def probabilities(self, sound: Samples) -> NDArray[np.float32]:
        """Return for each frame of 512 samples how likely somebody speaks in it; `sound` is a whole number of frames."""
        frames = sound.reshape(-1, FRAME)
        before = np.concatenate([self._before[None], frames[:-1, -CONTEXT:]])
        rows = np.concatenate([before, frames], axis=1)
        asked = {"input": rows, "h": self._hidden, "c": self._cell}
        found, self._hidden, self._cell = self._session.run(None, asked)  # type: ignore[attr-defined]
        self._before = frames[-1, -CONTEXT:].copy()
        likely: NDArray[np.float32] = found.reshape(-1)
        return likely
