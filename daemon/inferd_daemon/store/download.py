"""The `hub` and `url` sources, as the daemon sees them: a process that fetches, followed and ended from here.

Covers: starting the process, its reports, its end. Does not cover HTTP or what is kept for resuming (`fetching`), nor
publishing (`shelf`).
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inferd_daemon.store.fetching.words import Failed, Fetched, Moved, Order, Report, decode_report, encode_order

if TYPE_CHECKING:
    from inferd_daemon.store.watch import Watch

POLL_S: Final = 0.1
"""Between two looks at `stop` while the process says nothing."""

SILENCE_S: Final = 1.0
"""After so long without a report the last one is told again: a rate that does not fall while nothing comes is a lie."""

MAX_LINE_BYTES: Final = 65_536
"""Far more than a report takes."""

LOG_SHOWN_CHARS: Final = 300
"""Of what a process says that breaks down: the last line of a traceback, and the one before."""

_ENVIRONMENT: Final = {
    "HF_HUB_DISABLE_TELEMETRY": "1",  # or the library asks the hub who is using it before it asks for the file
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


def fetch(order: Order, room: Path, watch: Watch) -> Fetched:
    """Return what lies in the partial file now; blocks for the whole download.

    However it ends, the process is gone. Raises PullFailed (`watch.Cause`).
    """
    log = room / "fetch.log"
    with (
        log.open("wb") as words,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "inferd_daemon.store.fetching.process"],
            bufsize=0,
            stdin=subprocess.PIPE,  # its end tells the process that we are gone
            stdout=subprocess.PIPE,
            stderr=words,
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,
        ) as process,
    ):
        try:
            return _followed(process, order, watch)
        except EOFError:
            problem = f"the process that fetches ended without a word: {_last(log)}"
            raise watch.failed("download", problem, retryable=True) from None
        finally:
            if process.poll() is None:
                process.kill()  # it has no children, and what it wrote is good at any byte


def _followed(process: subprocess.Popen[bytes], order: Order, watch: Watch) -> Fetched:
    """Return the last report. Raises PullFailed, and EOFError if there is none."""
    if process.stdin is None or process.stdout is None:
        raise EOFError
    with suppress(BrokenPipeError):  # it ended at once: what it said is in its log
        process.stdin.write(encode_order(order))
    moved = None
    for report in _reports(process.stdout.fileno(), watch):
        match report:
            case None:
                if moved is not None:
                    watch.report(moved.phase, moved.done_bytes, moved.total_bytes)
            case Moved():
                watch.report(report.phase, report.done_bytes, report.total_bytes)
                moved = report
            case Failed():
                raise watch.failed(
                    report.cause,
                    report.problem,
                    retryable=report.retryable,
                    retry_after_s=report.retry_after_s,
                    numbers=report.numbers,
                )
            case Fetched():
                return report
    raise EOFError


def _reports(handle: int, watch: Watch) -> Iterator[Report | None]:
    """Yield reports until the process closes its end, looking at `stop` all the time; None after each second of silence."""
    rest = b""
    heard_s = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while True:
            ready = selector.select(POLL_S)
            watch.raise_if_stopped()
            if not ready and time.monotonic() - heard_s < SILENCE_S:
                continue
            heard_s = time.monotonic()
            if not ready:
                yield None
                continue
            data = os.read(handle, MAX_LINE_BYTES)
            if not data or len(rest) > MAX_LINE_BYTES:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield from map(decode_report, lines)


def _last(log: Path) -> str:
    """Return the end of what the process said, without control characters."""
    words = " ".join(log.read_bytes()[-4096:].decode("utf-8", "replace").split())
    return "".join(one for one in words if one.isprintable())[-LOG_SHOWN_CHARS:] or "nothing is known about it"
