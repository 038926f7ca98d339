"""When an utterance begins, may have ended, and has ended: probabilities of speech in, turns of events out.

Covers: the machine of one stream. Pure; it counts in frames of 32 ms. Does not cover what makes a text look finished (`texts`),
nor what is done about it (`listening`).

| state    | frame                                                        | signal   | then     |
|----------|--------------------------------------------------------------|----------|----------|
| idle     | speech, together `speech_start_ms` of it                     | STARTED  | speaking |
| speaking | silence for `PAUSE_MS`                                       | PAUSED   | speaking |
| speaking | speech after PAUSED                                          | RESUMED  | speaking |
| speaking | silence for `endpoint_silence_ms`, the text looks finished   | STOPPED  | idle     |
| speaking | silence for `endpoint_unfinished_ms`                         | STOPPED  | idle     |

Between the two thresholds a frame goes on being what the one before it was: Silero's own hysteresis.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

FRAME_MS: Final = 32
"""512 samples at 16 kHz: what the Silero model looks at."""
PAUSE_MS: Final = 200
"""Silence after which the clean pass is begun on suspicion: most pauses within a sentence are shorter."""
GAP_MS: Final = 128
"""Silence inside a beginning: stop consonants are quiet for 50 to 120 ms."""
HYSTERESIS: Final = 0.15
"""Silero's own distance between the threshold of speech and that of silence."""
LOWEST: Final = 0.01


class Signal(Enum):
    """What a frame has changed."""

    NONE = auto()
    STARTED = auto()
    PAUSED = auto()
    RESUMED = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class Patience:
    """How much of speech and silence means something, as the request says."""

    threshold: float = 0.5
    speech_start_ms: int = 200
    endpoint_silence_ms: int = 500
    endpoint_unfinished_ms: int = 2_500


class Endpointing:
    """One stream's machine."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._silent = max(patience.threshold - HYSTERESIS, LOWEST)
        self._frame = 0
        """Frames seen."""
        self._voiced = 0
        """Frames of speech in a beginning that is not yet an utterance."""
        self._is_voiced = False
        self.is_speaking = False
        self.is_paused = False
        self.first = 0
        """Frame in which the utterance, or what may become one, began."""
        self.end = 0
        """Frame behind the last one with speech."""

    @property
    def silence_ms(self) -> int:
        """For how long nobody has spoken."""
        return (self._frame - self.end) * FRAME_MS

    @property
    def beginning(self) -> int:
        """Frame in which the next utterance may have begun."""
        return self.first if self._voiced and not self.is_speaking else self._frame

    @property
    def is_undecided(self) -> bool:
        """Whether the silence is long enough for the end of a text that looks finished, and not for any."""
        longest = max(self._patience.endpoint_silence_ms, self._patience.endpoint_unfinished_ms)
        return self.is_speaking and self._patience.endpoint_silence_ms <= self.silence_ms < longest

    def step(self, probability: float, *, looks_finished: bool) -> Signal:
        """Take the next frame. `looks_finished`: the utterance's text, as far as it is known."""
        voiced = probability >= self._patience.threshold or (self._is_voiced and probability >= self._silent)
        self._is_voiced = voiced
        self._frame += 1
        if not self.is_speaking:
            return self._begin() if voiced else self._doubt()
        if voiced:
            self.end = self._frame
            resumed, self.is_paused = self.is_paused, False
            return Signal.RESUMED if resumed else Signal.NONE
        return self.judge(looks_finished=looks_finished)

    def judge(self, *, looks_finished: bool) -> Signal:
        """Return what the silence so far means, without a new frame: the text has become known."""
        patience = self._patience
        enough_ms = patience.endpoint_silence_ms if looks_finished else patience.endpoint_unfinished_ms
        if not self.is_speaking or self._is_voiced:
            return Signal.NONE
        if self.silence_ms >= PAUSE_MS and not self.is_paused:
            self.is_paused = True
            return Signal.PAUSED
        return self.stop() if self.silence_ms >= enough_ms else Signal.NONE

    def stop(self) -> Signal:
        """End the utterance whatever the silence: nothing more will be fed. NONE if there is none."""
        if not self.is_speaking:
            return Signal.NONE
        self.is_speaking = self.is_paused = self._is_voiced = False
        self._voiced = 0
        return Signal.STOPPED

    def _begin(self) -> Signal:
        if not self._voiced:
            self.first = self._frame - 1
        self._voiced += 1
        self.end = self._frame
        if self._voiced * FRAME_MS < self._patience.speech_start_ms:
            return Signal.NONE
        self.is_speaking = True
        return Signal.STARTED

    def _doubt(self) -> Signal:
        if self._voiced and self.silence_ms > GAP_MS:
            self._voiced = 0
        return Signal.NONE
