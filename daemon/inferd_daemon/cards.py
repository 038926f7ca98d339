"""Looks at the GPUs' memory for a load that needs it, before the ledger decides.

Covers: the task, which looks in a worker thread, since a GPU that sleeps takes a second to wake. Those who ask meanwhile share
the look. See also: `memory` (the reading), `foresight`, which asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from inferd_daemon.telemetry import survived

OnLooked = Callable[[], None]
"""In the loop."""


class Cards:
    """`look()` reads all GPUs and keeps what it finds; it blocks, and runs in a worker thread."""

    def __init__(self, tasks: asyncio.TaskGroup, look: Callable[[], object]) -> None:
        self._tasks = tasks
        self._look = look
        self._asking: list[OnLooked] = []

    def ask(self, then: OnLooked) -> None:
        """Have `then` called once it was looked, whatever came of it. Returns at once."""
        self._asking.append(then)
        if len(self._asking) == 1:
            self._tasks.create_task(self._find_out(), name="look at the GPUs")

    async def _find_out(self) -> None:
        with survived("a look at the GPUs"):  # the last reading stands then
            await asyncio.to_thread(self._look)
        asking, self._asking = self._asking, []
        for then in asking:
            with survived("what follows a look at the GPUs"):
                then()
