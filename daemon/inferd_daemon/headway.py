"""How fast a download is and when it will be whole, as its watchers see it. Pure.

Covers: the rate of the last seconds, so that a pause is seen and what was here before is not counted; time left.
"""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_S: Final = 10.0
"""Long enough that one slow second does not throw the time left about, short enough that a stall is seen."""

MIN_SPAN_S: Final = 0.5
"""Below it a rate is chance: the first chunks come out of buffers."""


class Headway:
    """One phase of one pull. Times in seconds, of any clock that does not go back."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()
        """(time, bytes done), oldest first, none older than the window but the first."""

    def moved(self, done_bytes: int, now_s: float) -> float | None:
        """Take note of how much is done now; return the rate in bytes per second, None while it is not known.

        Bytes that were done before the first call count for nothing; a number lower than the last one starts anew.
        """
        if self._marks and done_bytes < self._marks[-1][1]:
            self._marks.clear()
        self._marks.append((now_s, done_bytes))
        while len(self._marks) > 2 and self._marks[1][0] <= now_s - WINDOW_S:  # noqa: PLR2004 - two marks make a rate
            self._marks.popleft()
        began_s, began_bytes = self._marks[0]
        span_s = now_s - began_s
        return (done_bytes - began_bytes) / span_s if span_s >= MIN_SPAN_S else None


def left_s(done_bytes: int, total_bytes: int | None, rate_bytes_s: float | None) -> float | None:
    """Return the seconds until all is done at this rate; None while size or rate are unknown, or nothing moves."""
    if total_bytes is None or not rate_bytes_s:
        return None
    return max(0, total_bytes - done_bytes) / rate_bytes_s
