"""The progress of a pull that has several things to do: one sum for each phase.

Covers: adding up. Does not cover telling it on (`watch`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from inferd_daemon.store.watch import Phase, Progress

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable

    from inferd_daemon.store.watch import Watch


class Tally:
    """The sums of one pull; each thing to do gets a watch of its own, by which it reports as if it were alone.

    `shown`: whose publishing is told; that of pieces, and of files whose folder follows, is not.
    """

    def __init__(self, watch: Watch, shown: Collection[Hashable]) -> None:
        self._watch = watch
        self._shown = shown
        self._moved: defaultdict[Phase, dict[Hashable, tuple[int, int | None]]] = defaultdict(dict)

    def expect(self, phase: Phase, key: Hashable, total_bytes: int | None) -> None:
        """Count something in before it begins; None: its size is not known yet."""
        self._moved[phase][key] = (0, total_bytes)

    def watch(self, key: Hashable) -> Watch:
        """Return the watch for one thing."""
        return replace(self._watch, on_progress=partial(self._hear, key))

    def _hear(self, key: Hashable, progress: Progress) -> None:
        if progress.phase == "publishing" and key not in self._shown:
            return
        moved = self._moved[progress.phase]
        moved[key] = (progress.done_bytes, progress.total_bytes)
        totals = [total_bytes for _, total_bytes in moved.values() if total_bytes is not None]
        total_bytes = sum(totals) if len(totals) == len(moved) else None
        self._watch.on_progress(Progress(progress.phase, sum(done for done, _ in moved.values()), total_bytes))
