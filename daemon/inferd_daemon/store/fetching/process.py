"""The fetching process: reads its order, says how far it is, and ends with its owner.

Started as `python -m inferd_daemon.store.fetching.process`. stdin: the order's line, then nothing; its end means that the
daemon is gone, and so is this process a moment later. stdout: reports, the last one `Fetched` or `Failed`. What is left
behind by a kill at any moment is a partial file that the next order goes on with.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Final

from inferd_daemon.store.fetching.course import Course
from inferd_daemon.store.fetching.words import Failed, Moved, Report, Setback, decode_order, encode_report

REPORT_S: Final = 0.1
"""Between two reports of progress: ten a second make a smooth bar."""


class _Teller:
    """Passes on at most ten reports a second, and each change of phase."""

    def __init__(self) -> None:
        self._phase = ""
        self._next_s = 0.0

    def __call__(self, moved: Moved) -> None:
        """Say it, if it is time."""
        now_s = time.monotonic()
        if moved.phase != self._phase or now_s >= self._next_s or moved.done_bytes == moved.total_bytes:
            self._phase, self._next_s = moved.phase, now_s + REPORT_S
            _say(moved)


def _say(report: Report) -> None:
    sys.stdout.buffer.write(encode_report(report))
    sys.stdout.buffer.flush()


def _end_with_the_owner() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def main() -> None:
    """Carry out one order."""
    order = decode_order(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_owner, daemon=True).start()
    try:
        report: Report = Course(order, _Teller()).run()
    except Setback as setback:
        report = setback.failed
    except OSError as error:
        report = Failed("disk", str(error), retryable=True)
    _say(report)


if __name__ == "__main__":
    main()
