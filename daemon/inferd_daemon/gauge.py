"""Measures what models use, every few seconds while there are any.

Covers: the task, which reads in a worker thread and tells the loop. See also: `memory` (one reading), `steward`, who is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from inferd_daemon.catalogue import ModelId
from inferd_daemon.ledger import Amount
from inferd_daemon.telemetry import survived

EVERY_S: Final = 5.0
"""A reading costs a millisecond, more where something has changed (`readings`); a model grows over requests, not within
seconds, once it is loaded."""


class Gauge:
    """`run` is the task; `wake` has it look while there are models."""

    def __init__(
        self,
        processes: Callable[[], Mapping[ModelId, int]],
        measure: Callable[[Mapping[ModelId, int]], Mapping[ModelId, Amount]],
        tell: Callable[[Mapping[ModelId, Amount], float], None],
        save: Callable[[], None],
    ) -> None:
        """`processes()`: models and their processes, now. `measure(them)`: what each uses, in a worker thread.

        `tell(uses, began_s)`: in the loop. `save()`: in a worker thread.
        """
        self._processes = processes
        self._measure = measure
        self._tell = tell
        self._save = save
        self._has_models = asyncio.Event()

    def wake(self) -> None:
        """Look from now on, until no model is there any more."""
        self._has_models.set()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await self._has_models.wait()
            await asyncio.sleep(EVERY_S)
            with survived("measuring"):  # in a task of the root group it would end the daemon
                await self._look()

    async def _look(self) -> None:
        pids = dict(self._processes())
        if not pids:
            self._has_models.clear()
        began_s = time.monotonic()
        self._tell(await asyncio.to_thread(self._measure, pids), began_s)
        await asyncio.to_thread(self._save)
