"""Sound on its way to the loudspeaker: handed out by the clock, a little ahead of it, so that a pause is a pause.

Covers: when a frame is due, how much has been played, what is left. Pure: the time comes in.
"""

from __future__ import annotations

from typing import Final

from inferd.effects import NEVER_S
from inferd.messages.bounds import Blob
from inferd.messages.events import AudioChunk
from inferd.uplink import SAMPLE_BYTES

FRAME_MS: Final = 40
"""Of the frames that are handed out: 25 a second, and a pause is never more than this late."""


class Playback:
    """One epoch's sound. What has been handed out counts as played once its time has passed."""

    def __init__(self, epoch: int, lead_ms: int) -> None:
        self.epoch = epoch
        self.complete = False
        """All of the sound has come."""
        self.held = False
        """Nothing is handed out for now."""
        self.told_ms: int | None = None
        """What the app says that the loudspeaker has played: it knows better."""
        self._lead_s = lead_ms / 1000
        self._rate_hz = 0
        self._waiting = bytearray()
        self._handed = 0
        self._began_s: float | None = None
        """When the first sample would have been played, had there been no gaps."""

    @property
    def waits(self) -> bool:
        """Whether there is sound that has not been handed out."""
        return bool(self._waiting)

    def push(self, chunk: AudioChunk) -> None:
        """Add the next sound. A voice keeps its rate for an epoch."""
        self._rate_hz = chunk.rate_hz
        self._waiting += chunk.pcm

    def due(self, now_s: float) -> list[AudioChunk]:
        """Return the frames whose time has come."""
        frames: list[AudioChunk] = []
        while self._waiting and not self.held and now_s >= self._due_s(now_s):
            frames.append(self._frame())
        return frames

    def next_s(self, now_s: float) -> float:
        """Return when the next frame is due, or the last one has been played."""
        if self._waiting:
            return NEVER_S if self.held else self._due_s(now_s)
        return self._end_s() if self.complete else NEVER_S

    def played_ms(self, now_s: float) -> int:
        """Return how much has been played."""
        if self.told_ms is not None:
            return min(self.told_ms, self.handed_ms)
        if self._began_s is None:
            return 0
        return min(self.handed_ms, max(0, round((now_s - self._began_s) * 1000)))

    def is_over(self, now_s: float) -> bool:
        """Return whether all has come and been played."""
        return self.complete and not self._waiting and now_s >= self._end_s()

    @property
    def handed_ms(self) -> int:
        """How much has been handed out."""
        return self._handed * 1000 // self._rate_hz if self._rate_hz else 0

    def _frame(self) -> AudioChunk:
        size_bytes = self._rate_hz * FRAME_MS // 1000 * SAMPLE_BYTES
        frame = AudioChunk(Blob(bytes(self._waiting[:size_bytes])), self._rate_hz, self.epoch, self._handed)
        del self._waiting[:size_bytes]
        self._handed += len(frame.pcm) // SAMPLE_BYTES
        return frame

    def _due_s(self, now_s: float) -> float:
        """Return when the next frame is due. A gap (the first sound, a pause, a late voice) moves everything behind it."""
        if self._began_s is None or now_s > self._end_s():
            self._began_s = now_s - self._handed_s
        return self._began_s + self._handed_s - self._lead_s

    def _end_s(self) -> float:
        """Return when what has been handed out will have been played."""
        return NEVER_S if self._began_s is None and self._handed else (self._began_s or 0.0) + self._handed_s

    @property
    def _handed_s(self) -> float:
        return self._handed / self._rate_hz if self._rate_hz else 0.0
