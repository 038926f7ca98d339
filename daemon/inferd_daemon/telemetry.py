"""What the daemon knows about itself: structured logs to stderr, and readings of its processes.

Covers: log set-up, how a bug is logged, and readings on demand. A log line is an event name with keys; prompts, answers
and keys are never in one. See also: `memory` (one reading), `desk` (what is told to apps).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

import structlog

from inferd.messages.reports import Process
from inferd_daemon.memory import children_of, read_processes

log = structlog.get_logger()

FRESH_S: Final = 1.0
"""A reading younger than this is good enough for `status` and `ps`."""


def start_logging(level: str, style: Literal["logfmt", "json"] = "logfmt") -> None:
    """Send log lines to stderr; journald adds the time, a terminal gets one from us."""
    stamps = [structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)] if sys.stderr.isatty() else []
    logfmt = structlog.processors.LogfmtRenderer(key_order=("timestamp", "level", "event"), drop_missing=True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *stamps,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer() if style == "json" else logfmt,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def report(bug: Exception, during: str) -> None:
    """Log a bug by its kind and its places: its words may quote a prompt."""
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(bug.__traceback__)]
    log.error("bug", during=during, kind=type(bug).__name__, places=" ".join(places))


@contextlib.contextmanager
def survived(during: str) -> Iterator[None]:
    """Log a bug in the block and go on behind it: one request's misfortune is no other's."""
    try:
        yield
    except Exception as bug:  # noqa: BLE001 - a bug may be anything
        report(bug, during)


class Meter:
    """Readings of the service's processes, taken when somebody asks and the last ones have aged."""

    def __init__(self, kinds: Callable[[], Iterable[tuple[int, str, str]]]) -> None:
        """`kinds()` names the processes that the daemon knows: (pid, kind, name). Their children count as `ray`."""
        self._kinds = kinds
        self._taken_s = float("-inf")
        self._reading = asyncio.Lock()
        self.rows: tuple[Process, ...] = ()
        """One row per process of the service, as last read."""

    async def refresh(self) -> None:
        """Read anew if the last reading is old; in a worker thread, since a reading takes a millisecond per process."""
        async with self._reading:
            if time.monotonic() - self._taken_s > FRESH_S:
                self.rows = await asyncio.to_thread(_rows, tuple(self._kinds()))
                self._taken_s = time.monotonic()

    def memory_of(self, pid: int) -> int:
        """Return the last reading of a process in bytes, 0 when there is none."""
        return next((row.pss_bytes for row in self.rows if row.pid == pid), 0)


def _rows(known: tuple[tuple[int, str, str], ...]) -> tuple[Process, ...]:
    names = {pid: (kind, name) for pid, kind, name in known}
    pids = {*names, *children_of(os.getpid()), *(child for pid in names for child in children_of(pid))}
    return tuple(
        Process(one.pid, *names.get(one.pid, ("ray", one.title)), pss_bytes=one.pss_bytes, cpu_s=one.cpu_s)
        for one in read_processes(sorted(pids))
    )
