"""What an app may feed to one stream: sequence, window, end.

Covers: the check of each piece. Does not cover what is in it: the engine looks. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inferd import wire
from inferd.errors import InvalidRequest
from inferd.messages.operations import Loopback
from inferd.messages.speech import TranscribeStream
from inferd.uplink import SAMPLE_BYTES

if TYPE_CHECKING:
    from inferd.messages.control import Feed

HEARD_LIVE: Final = frozenset(map(wire.tag, (TranscribeStream, Loopback)))
"""Operations whose sound comes as it is heard, without a pause. A file may be fed as slowly as its segments are read, and
text as it is thought of: these have their deadline alone."""


class Uplink:
    """One stream's uplink; closed until the engine grants a window."""

    def __init__(self) -> None:
        self.limit_seq = 0
        self.limit_bytes = 0
        self._last_seq = 0
        self._size_bytes = 0
        self._finished = False

    @property
    def is_open(self) -> bool:
        """Whether the next piece of sound may come now: room for less than a sample is none."""
        has_room = self._last_seq < self.limit_seq and self._size_bytes + SAMPLE_BYTES <= self.limit_bytes
        return has_room and not self._finished

    def widen(self, limit_seq: int, limit_bytes: int) -> None:
        """Move the window; never back."""
        self.limit_seq = max(self.limit_seq, limit_seq)
        self.limit_bytes = max(self.limit_bytes, limit_bytes)

    def check(self, piece: Feed) -> None:
        """Count a piece. Raises InvalidRequest when it is not the next one or passes the window."""
        self._last_seq += 1
        self._size_bytes += len(piece.data or b"") + len((piece.text or "").encode())
        for found, allowed, what in (
            (self._last_seq, self.limit_seq, "limit_seq"),
            (self._size_bytes, self.limit_bytes, "limit_bytes"),
        ):
            if found > allowed:
                raise _refused(f"the piece makes {found:,}, past the granted {what} of {allowed:,}", what)
        if piece.seq != self._last_seq:
            raise _refused(f"expected seq {self._last_seq:,}, got {piece.seq:,}", "seq")
        if self._finished:
            raise _refused("the uplink was finished before this piece", "seq")

    def finish(self) -> None:
        """Let nothing more through."""
        self._finished = True


def _refused(problem: str, field: str) -> InvalidRequest:
    return InvalidRequest(f"feed: {problem}", details={"field": field})
