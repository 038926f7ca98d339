"""The sending side of a duplex stream: pieces of sound or text, numbered, inside the windows that the actor grants.

Covers: cutting, numbering, what fits. Does not cover waiting for a window: `duplex` and `aio_duplex` wait. Pure.
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
BULK_BYTES: Final = 64 * 1024
"""Longest piece of what nobody waits for in real time; as much takes 0.1 ms on the line."""


class Sound:
    """Sound, or the bytes of a file, that is fed piece by piece. `unit_bytes`: a piece never ends inside one."""

    def __init__(self, data: bytes, step_bytes: int = BULK_BYTES, unit_bytes: int = SAMPLE_BYTES) -> None:
        self._data = data
        self._step_bytes = step_bytes
        self._unit_bytes = unit_bytes
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def feed(self, request: int, seq: int, offset: int, room_bytes: int) -> control.Feed | None:
        """Return the next piece; None if not even one unit fits."""
        size_bytes = min(self._step_bytes, room_bytes - room_bytes % self._unit_bytes)
        if size_bytes <= 0:
            return None
        piece = self._data[self._at : self._at + size_bytes]
        self._at += len(piece)
        return control.Feed(request, seq, offset, Blob(piece))

    def units(self, piece: control.Feed) -> int:
        """Return by how much a piece moves the offset."""
        return len(piece.data or b"") // self._unit_bytes


class Writing:
    """Text that is fed piece by piece, cut between any characters."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._text)

    def feed(self, request: int, seq: int, offset: int, room_bytes: int) -> control.Feed | None:
        """Return the next piece; None if not even one character fits."""
        limit = min(BULK_BYTES, room_bytes)
        piece = self._text[self._at : self._at + limit].encode()[:limit].decode(errors="ignore")  # no half character
        self._at += len(piece)
        return control.Feed(request, seq, offset, text=piece) if piece else None

    def units(self, piece: control.Feed) -> int:
        """Return by how much a piece moves the offset."""
        return len(piece.text or "")


class Uplink:
    """What has been fed to one request, and how far the window reaches."""

    def __init__(self) -> None:
        self.granted = False
        """Whether the model has taken the stream: it opens the first window then."""
        self._seq = 0
        self._offset = 0
        self._fed_bytes = 0
        self._limit_seq = 0
        self._limit_bytes = 0
        self._end: InferenceError | None = None

    def take(self, items: list[Item]) -> None:
        """Take windows, or the end. Raises as `check` does."""
        for item in items:
            if isinstance(item, InferenceError):
                self._end = item
            elif isinstance(item, Delivery) and isinstance(item.event, Granted):
                self.widen(item.event)
            else:
                self._end = invalid("pcm", "this stream has ended and takes nothing more")
        self.check()

    def widen(self, window: Granted) -> None:
        """Move the window; never back."""
        self.granted = True
        self._limit_seq = max(self._limit_seq, window.limit_seq)
        self._limit_bytes = max(self._limit_bytes, window.limit_bytes)

    def check(self) -> None:
        """Raise what ended the stream, if it has ended; InvalidRequest if that was its proper end."""
        if self._end:
            raise copy(self._end)

    def feed(self, request: int, what: Sound | Writing) -> Say | None:
        """Return the command that feeds the next piece of `what`, numbered; None while nothing of it fits."""
        room_bytes = self._limit_bytes - self._fed_bytes if self._seq < self._limit_seq else 0
        piece = what.feed(request, self._seq + 1, self._offset, room_bytes)
        if piece is None:
            return None
        self._seq += 1
        self._offset += what.units(piece)
        self._fed_bytes += len(piece.data or b"") + len((piece.text or "").encode())
        return Say(request, wire.encode(piece))


UplinkMessage = control.Finish | control.Pause | control.Resume | control.Played
"""What goes up beside the pieces themselves."""


def say(message: UplinkMessage) -> Say:
    """Return the command that passes this message on. Raises InvalidRequest naming a field that is out of its range."""
    kind: type = type(message)
    wire.from_fields(wire.fields_of(message), kind)
    return Say(message.request, wire.encode(message))


def heard_sound(pcm: object, rate_hz: int) -> Sound:
    """Return sound to be fed as it is heard, 100 ms at a time. Raises InvalidRequest for what is no int16 sound, or empty."""
    if not isinstance(pcm, (bytes, bytearray, memoryview)):
        raise invalid("pcm", f"expected bytes, got {type(pcm).__name__}")
    sound = bytes(pcm)  # a copy of what the app may write over
    if not sound or len(sound) % SAMPLE_BYTES:
        raise invalid("pcm", f"expected int16 samples, got {len(sound)} bytes")
    return Sound(sound, rate_hz // PIECES_PER_S * SAMPLE_BYTES)


def late_feed(timeout_s: float) -> DeadlineExceeded:
    """Return the error of a window that stayed shut."""
    return DeadlineExceeded(
        f"the stream took nothing more within {timeout_s:g} s: read its events, or feed no faster than it is heard",
        details={"timeout_s": timeout_s},
    )


def invalid(field: str, problem: str) -> InvalidRequest:
    """Return the error of something that cannot be fed."""
    return InvalidRequest(f"{field}: {problem}", details={"field": field})
