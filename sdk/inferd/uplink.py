"""The sending side of a duplex stream: pieces of sound, numbered, inside the windows that the actor grants.

Covers: cutting, numbering, what fits. Does not cover waiting for a window: `streams` and `aio` wait. Pure.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

from inferd import wire
from inferd.calls import Delivery, Say
from inferd.errors import DeadlineExceeded, InferenceError, InvalidRequest
from inferd.messages import control
from inferd.messages.bounds import Blob
from inferd.messages.events import AudioChunk, Granted, Loading, Parked, Queued, Resumed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferd.calls import Item

LoopbackEvent = Queued | Loading | Parked | Resumed | AudioChunk
"""What a duplex stream of sound yields: state, and the sound itself; it ends when all that was fed has come back."""
LOOPBACK_EVENTS: Final = (Queued, Loading, Parked, Resumed, AudioChunk)

SEND_TIMEOUT_S: Final = 10.0
"""Default patience of everything that goes up; a model that plays in real time takes 100 ms of sound in 100 ms."""
SAMPLE_BYTES: Final = 2
"""int16, mono."""
PIECES_PER_S: Final = 10
"""Sound is fed in pieces of at most 100 ms: longer ones delay whatever shares the line, shorter ones cost more."""


class Uplink:
    """What has been fed to one request, and how far the window reaches."""

    def __init__(self) -> None:
        self.granted = False
        """Whether the model has taken the stream: it opens the first window then."""
        self._seq = 0
        self._samples = 0
        self._limit_seq = 0
        self._limit_bytes = 0
        self._end: InferenceError | None = None

    def take(self, items: list[Item]) -> None:
        """Take windows, or the end. Raises as `check` does."""
        for item in items:
            if isinstance(item, InferenceError):
                self._end = item
            elif isinstance(item, Delivery) and isinstance(item.event, Granted):
                self.granted = True
                self._limit_seq = max(self._limit_seq, item.event.limit_seq)
                self._limit_bytes = max(self._limit_bytes, item.event.limit_bytes)
            else:
                self._end = _invalid("this stream has ended and takes nothing more")
        self.check()

    def check(self) -> None:
        """Raise what ended the stream, if it has ended; InvalidRequest if that was its proper end."""
        if self._end:
            raise copy(self._end)

    def fits(self, piece: bytes) -> bool:
        """Return whether this piece may be fed now."""
        fed_bytes = self._samples * SAMPLE_BYTES
        return self._seq < self._limit_seq and fed_bytes + len(piece) <= self._limit_bytes

    def feed(self, request: int, piece: bytes) -> Say:
        """Return the command that feeds this piece, numbered as the next."""
        self._seq += 1
        message = control.Feed(request, self._seq, self._samples, Blob(piece))
        self._samples += len(piece) // SAMPLE_BYTES
        return Say(request, wire.encode(message))


UplinkMessage = control.Finish | control.Pause | control.Resume | control.Played
"""What goes up beside the pieces themselves."""


def say(message: UplinkMessage) -> Say:
    """Return the command that passes this message on. Raises InvalidRequest naming a field that is out of its range."""
    kind: type = type(message)
    wire.from_fields(wire.fields_of(message), kind)
    return Say(message.request, wire.encode(message))


def pieces(pcm: object, rate_hz: int) -> Iterator[bytes]:
    """Yield sound in pieces of at most 100 ms. Raises InvalidRequest for what is no int16 sound, or empty."""
    if not isinstance(pcm, (bytes, bytearray, memoryview)):
        raise _invalid(f"expected bytes, got {type(pcm).__name__}")
    sound = bytes(pcm)  # a copy of what the app may write over
    if not sound or len(sound) % SAMPLE_BYTES:
        raise _invalid(f"expected int16 samples, got {len(sound)} bytes")
    step = rate_hz // PIECES_PER_S * SAMPLE_BYTES
    return (sound[at : at + step] for at in range(0, len(sound), step))


def late_feed(timeout_s: float) -> DeadlineExceeded:
    """Return the error of a window that stayed shut."""
    return DeadlineExceeded(
        f"the stream took nothing more within {timeout_s:g} s: read its events, or feed no faster than it is heard",
        details={"timeout_s": timeout_s},
    )


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest(f"pcm: {problem}", details={"field": "pcm"})
