"""Which threads compute: `threads` decides by readings of the machine, the context obeys.

Covers: when the machine is looked at, and what a step then computes with. Belongs to the loop's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inferd_actors.engines import cores
from inferd_actors.engines.aside import VOICE
from inferd_actors.engines.llama_cpp import machine, threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferd_actors.engines.llama_cpp.composition import Part
    from inferd_actors.engines.llama_cpp.library import Context

LOOK_S: Final = 0.25
"""Between looks at the machine's cores: its counters tick every 10 ms, so a look tells a twenty-fifth of a core."""


class Crew:
    """The threads of a context. `count`: as the settings have it; 0: as many as the machine leaves."""

    def __init__(self, context: Context, count: int) -> None:
        self._context = context
        self._cores = count or cores.count()
        self.threads = self._used_threads = self._cores
        """As last chosen; a step for voice may take all of them."""
        self._reading = machine.read() if not count else None
        self._was_idle = True
        context.set_threads(self.threads)

    def rest(self) -> None:
        """There is nothing to compute."""
        self._was_idle = True

    def muster(self, parts: Sequence[Part]) -> None:
        """Have the next step, which computes these parts, use what the work of others leaves."""
        reads_voice = any(part.live.rank == VOICE and part.live.is_reading for part in parts)
        count = threads.for_step(self.threads, cores=self._cores, reads_voice=reads_voice)
        if count != self._used_threads:
            self._used_threads = count
            self._context.set_threads(count)

    def look(self, now_s: float) -> None:
        """Look at the machine, if it is time: behind a step, whose end somebody has waited for."""
        before = self._reading
        if before is None or (now_s < before.at_s + LOOK_S and not self._was_idle):
            return
        self._reading = now = machine.read()
        if now is None or self._was_idle:  # what others did while there was no work here is not what they do beside it
            self._was_idle = False
            return
        self.threads = threads.choose(before, now, cores=self._cores, current=self.threads)
