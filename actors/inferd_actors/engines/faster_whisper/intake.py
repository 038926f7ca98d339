"""What an app feeds to a stream, at the stream's edge: pieces of any size and rate → frames with their probability of speech.

Covers: checking, resampling, framing, the uplink's window. Does not cover what frames mean: `listening`.

The window is 30 s beyond what `listening` has taken, so it is the app that waits while the model is behind.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from inferd.errors import InvalidRequest
from inferd.messages.control import Feed
from inferd_actors.engines.faster_whisper.sound import FRAME, Frame

if TYPE_CHECKING:
    from inferd_actors.engines.faster_whisper.library import Resampler, Voice

AHEAD_S: Final = 30
AHEAD_PIECES: Final = 3_000
"""As many pieces of 10 ms as make 30 s."""
MAX_S: Final = 7 * 24 * 3_600
"""Of one stream: a moment on the wire is a week at most."""
SAMPLE_BYTES: Final = 2
BATCH: Final = 32
"""Frames whose probabilities are computed together: a second of sound, 3 ms of the loop's time."""


class Intake:
    """One stream's uplink. Belongs to the loop."""

    def __init__(self, rate_hz: int, resampler: Resampler, voice: Voice) -> None:
        self._bytes_per_s = rate_hz * SAMPLE_BYTES
        self._resampler = resampler
        self._voice = voice
        self._pieces: deque[tuple[bytes, float]] = deque()
        """As fed, and when."""
        self._rest = np.zeros(0, np.float32)
        self._frames: deque[Frame] = deque()
        self._is_complete = False
        self._is_flushed = False
        self._used_pieces = 0
        self._used_bytes = 0
        self._granted = (0, 0)
        self._arrived_s = 0.0
        self.fed_bytes = 0

    @property
    def fed_s(self) -> float:
        """How much sound was fed."""
        return self.fed_bytes / self._bytes_per_s

    @property
    def is_over(self) -> bool:
        """Whether all that will ever come has been taken."""
        return self._is_flushed and not self._frames and len(self._rest) < FRAME

    def feed(self, piece: Feed, now_s: float) -> None:
        """Keep a piece. Raises InvalidRequest for what is not whole samples, and past the longest stream."""
        if piece.data is None:
            raise InvalidRequest("feed: this takes sound, and the piece has no data", details={"field": "data"})
        if len(piece.data) % SAMPLE_BYTES:
            odd = f"feed: int16 samples take {SAMPLE_BYTES} bytes each, and the piece has {len(piece.data):,}"
            raise InvalidRequest(odd, details={"field": "data"})
        self.fed_bytes += len(piece.data)
        if self.fed_s > MAX_S:
            long = f"feed: a stream takes {MAX_S:,} s of sound, a week; open another one"
            raise InvalidRequest(long, details={"field": "data", "limit": MAX_S})
        self._pieces.append((bytes(piece.data), now_s))

    def finish(self) -> None:
        """Nothing more will be fed."""
        self._is_complete = True

    def next_frame(self) -> Frame | None:
        """Return the next frame, None while there is none: more must be fed, or it `is_over`."""
        while not self._frames:
            if len(self._rest) >= FRAME:
                self._listen()
            elif self._pieces:
                self._open()
            elif self._is_complete and not self._is_flushed:
                self._is_flushed = True
                last = np.concatenate([self._rest, self._resampler.flush()])
                self._rest = np.pad(last, (0, -len(last) % FRAME))
            else:
                return None
        return self._frames.popleft()

    def window(self) -> tuple[int, int] | None:
        """Return the uplink's new limits, in pieces and bytes since the start; None while half of the old is left."""
        limits = self._used_pieces + AHEAD_PIECES, self._used_bytes + AHEAD_S * self._bytes_per_s
        grown = limits[0] - self._granted[0], limits[1] - self._granted[1]
        if grown[0] < AHEAD_PIECES // 2 and grown[1] < AHEAD_S * self._bytes_per_s // 2:
            return None
        self._granted = limits
        return limits

    def _open(self) -> None:
        """Resample the next second of what was fed."""
        data, self._arrived_s = self._pieces.popleft()
        now, later = data[: self._bytes_per_s], data[self._bytes_per_s :]
        if later:
            self._pieces.appendleft((later, self._arrived_s))
        else:
            self._used_pieces += 1
        self._used_bytes += len(now)
        self._rest = np.concatenate([self._rest, self._resampler.push(np.frombuffer(now, "<i2"))])

    def _listen(self) -> None:
        """Make the next frames of what is resampled."""
        whole = min(len(self._rest) // FRAME, BATCH) * FRAME
        sound, self._rest = self._rest[:whole], self._rest[whole:]
        likely = self._voice.probabilities(sound)
        split = sound.reshape(-1, FRAME)
        self._frames += (Frame(one, float(how), self._arrived_s) for one, how in zip(split, likely, strict=True))
