"""A whole sound on its way to the model, in pieces, as windows open and as the stream is read.

Covers: what may be fed now, the end. Does not cover reading it: `speech_streams` and `aio_speech_streams` do, each its own way.
Why fed by its reader: whoever only fed, and read the answer later, would wait for ever for an engine that waits for him. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from inferd.messages import control, events
from inferd.uplink import Sound, Uplink, say

if TYPE_CHECKING:
    from inferd.calls import Say
    from inferd.intake import View

E = TypeVar("E")

INLINE_BYTES: Final = 256 * 1024
"""A sound up to this size goes inside the request, and so survives a broken line: 8 s at 16 kHz, and one frame that holds up
nobody behind it."""


class Bulk:
    """One sound. `blocks`: its bytes; `unit_bytes`: a piece never ends inside one."""

    def __init__(self, blocks: Iterator[bytes], unit_bytes: int) -> None:
        self.blocks = blocks
        self.uplink = Uplink()
        self._unit_bytes = unit_bytes
        self._pending = Sound(b"")
        self._complete = False
        self._finished = False

    def whole(self) -> bytes | None:
        """Return all of a sound that is short enough for the request itself; None: it is to be fed."""
        start = bytearray()
        for block in self.blocks:
            start += block
            if len(start) > INLINE_BYTES:
                self._pending = Sound(bytes(start), unit_bytes=self._unit_bytes)
                return None
        return bytes(start)

    @property
    def hungry(self) -> bool:
        """Whether the next block is wanted now."""
        return self.uplink.granted and not self._pending and not self._complete

    def give(self, block: bytes | None) -> None:
        """Take the next block; None: there are no more."""
        if block is None:
            self._complete = True
        else:
            self._pending = Sound(block, unit_bytes=self._unit_bytes)

    def commands(self, request: int) -> Iterator[Say]:
        """Yield what may be fed now, and the end behind the last piece."""
        while self._pending and (piece := self.uplink.feed(request, self._pending)):
            yield piece
        if self._complete and not self._pending and not self._finished:
            self._finished = True
            yield say(control.Finish(request))


class Fed(Generic[E]):
    """The view of a stream that is fed as it is read: windows go to what is fed, everything else to the stream's own view."""

    def __init__(self, bulk: Bulk, view: View[E]) -> None:
        self._bulk = bulk
        self._view = view

    def show(self, event: events.Event, now_s: float, /) -> E | None:
        """Return what the app sees of an event."""
        if isinstance(event, events.Granted):
            self._bulk.uplink.widen(event)
            return None
        return self._view.show(event, now_s)
