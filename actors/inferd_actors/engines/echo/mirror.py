"""One loopback of the echo engine: fed sound comes back as it was.

Covers: checking pieces, the uplink's window, the end. Pure. The window is re-granted when half of it is used up, so that an
app that keeps feeding never waits for a grant, and a grant is not sent for every piece.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from inferd.errors import InvalidRequest
from inferd.messages.bounds import Blob
from inferd.messages.control import Feed
from inferd.messages.events import AudioChunk, Finished, Usage
from inferd_actors.engine import Submission

if TYPE_CHECKING:
    from inferd_actors.engine import EngineEvent

AHEAD_PIECES: Final = 32
"""0.6 s of sound in pieces of 20 ms: more than the pause of a busy machine, less than a listener forgives."""
AHEAD_BYTES: Final = 2**20
"""The same for long pieces: 5 s at 96 kHz."""
SAMPLE_BYTES: Final = 2


@dataclass(slots=True)
class Mirror:
    """A loopback in progress."""

    submission: Submission
    rate_hz: int
    complete: bool = False
    """The app has finished feeding."""
    _pieces: deque[Feed] = field(default_factory=deque)
    _used_pieces: int = 0
    _used_bytes: int = 0
    _granted_pieces: int = 0
    _granted_bytes: int = 0

    def take(self, piece: Feed) -> None:
        """Keep a piece for `step`. Raises InvalidRequest for what is not whole samples."""
        if piece.data is None:
            raise InvalidRequest("feed: a loopback takes sound, and this piece has no data", details={"field": "data"})
        if len(piece.data) % SAMPLE_BYTES:
            odd = f"feed: int16 samples take {SAMPLE_BYTES} bytes each, and the piece has {len(piece.data):,}"
            raise InvalidRequest(odd, details={"field": "data"})
        self._pieces.append(piece)

    def step(self) -> list[EngineEvent]:
        """Return what was fed since, and the end when the uplink is complete."""
        events: list[EngineEvent] = []
        while self._pieces:
            piece = self._pieces.popleft()
            pcm = Blob(bytes(piece.data or b""))
            self._used_pieces += 1
            self._used_bytes += len(pcm)
            events.append(AudioChunk(pcm, self.rate_hz, first_sample=piece.offset))
        if self.complete:
            asked = self.submission
            events += (Usage(), Finished(asked.model, queue_s=asked.queue_s, load_s=asked.load_s))
        return events

    def window(self) -> tuple[int, int] | None:
        """Return the uplink's new limits, in pieces and bytes since the start; None while half of the old is left."""
        limits = self._used_pieces + AHEAD_PIECES, self._used_bytes + AHEAD_BYTES
        grown = limits[0] - self._granted_pieces, limits[1] - self._granted_bytes
        if grown[0] < AHEAD_PIECES // 2 and grown[1] < AHEAD_BYTES // 2:
            return None
        self._granted_pieces, self._granted_bytes = limits
        return limits
