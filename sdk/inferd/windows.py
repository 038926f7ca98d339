"""How many events each stream of one client may leave unconsumed, so that all together stay below the daemon's bound.

Covers: sharing `Limits.window_events` among streams. Does not cover what a stream has consumed: that is `live`. Pure.

Every stream may always have `FLOOR_EVENTS`, which keeps it moving however many others there are; the rest is a pool
from which a stream takes a quarter of what is free: the first streams get deep windows and late ones still get some.
Why not equal shares: they would have to shrink when a stream joins, and a window that was granted is never lowered.
"""

from __future__ import annotations

from typing import Final

FLOOR_EVENTS: Final = 2
"""One event on its way while the app has one in hand; 256 streams at once (the daemon's limit) then need 512 of 900."""
EXTRA_EVENTS: Final = 62
"""With the floor 64: at 200 tokens/s a third of a second, far more than a credit's round trip."""
SHARE: Final = 4
"""A stream takes at most this part of the free pool."""


class Windows:
    """The windows of one client's streams; `outstanding` events in sum never exceed `window_events`.

    `window_events` and `streams` (most streams at a time) come from the daemon's welcome.
    """

    def __init__(self, window_events: int, streams: int) -> None:
        self.floor = max(1, min(FLOOR_EVENTS, window_events // streams))
        self._pool = max(0, window_events - self.floor * streams)
        self._extra: dict[int, int] = {}
        self._taken = 0

    def grant(self, request: int, unconsumed: int = 0) -> int:
        """Return how many events this stream may have outstanding from now on, never fewer than `unconsumed`.

        `unconsumed`: what it was granted before and has not consumed yet, which cannot be taken back.
        """
        free = self._pool - self._taken + self._extra.get(request, 0)
        extra = max(unconsumed - self.floor, min(EXTRA_EVENTS, free // SHARE), 0)
        self._taken += extra - self._extra.get(request, 0)
        self._extra[request] = extra
        return self.floor + extra

    def release(self, request: int) -> None:
        """Give back the window of a stream that has ended; one without a window is no error."""
        self._taken -= self._extra.pop(request, 0)
