"""A file becoming pieces of speech, in a thread of its own that runs a little ahead of the model.

Covers: decoding in stretches of a minute, finding speech in them, limits, the thread. Does not cover what is heard in them.
Memory is bounded whatever the file: a stretch, what is left of the one before, and two pieces that wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from inferd.errors import InferenceError, ModelFailed
from inferd_actors.engines.faster_whisper.hearing import RATE_HZ, Samples, unreadable
from inferd_actors.engines.faster_whisper.pieces import Piece, divided, packed
from inferd_actors.engines.faster_whisper.spool import Abandoned

if TYPE_CHECKING:
    from inferd_actors.engines.faster_whisper.library import Vad

STRETCH_S: Final = 60
"""Of sound that is looked at together: a short file is one, so that its speech is found as by a direct call."""
MAX_FILE_S: Final = 24 * 3_600
"""Of one file: a day."""
WAITING: Final = 2
"""Pieces that are ready before the reader waits."""

Stretches = Callable[[], Iterator[Samples]]


class Reading:
    """One file. The thread's end is told by `outcome`; `ring` is called there whenever something is ready."""

    def __init__(self, sound: Stretches, vad: Vad, ring: Callable[[], None]) -> None:
        self._sound = sound
        self._vad = vad
        self._ring = ring
        self._ready: deque[Piece] = deque()
        self._room = threading.Semaphore(WAITING)
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._read, name="reading", daemon=True)
        self.duration_s = 0.0
        self.speech_s = 0.0
        self.is_over = False
        self.refusal: InferenceError | None = None
        """Why it ended early; None: it is complete, once it `is_over`."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def next_piece(self) -> Piece | None:
        """The oldest piece that is ready."""
        return self._ready[0] if self._ready else None

    def take(self) -> Piece:
        """Return the oldest piece, which is ready, and let the reader make another one."""
        piece = self._ready.popleft()
        self._room.release()
        return piece

    def abandon(self) -> None:
        """Have the thread stop at its next step."""
        self._is_abandoned = True
        self._room.release()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    # --- the thread

    def _read(self) -> None:
        try:
            for piece in self._pieces():
                self._room.acquire()
                if self._is_abandoned:
                    break
                self._ready.append(piece)
                self._ring()
        except Abandoned:
            pass
        except InferenceError as refused:
            self.refusal = refused
        except Exception as broken:  # noqa: BLE001 - a decoder's fault over one file must not take the others with it
            self.refusal = ModelFailed(f"reading the sound failed: {type(broken).__name__}: {broken}")
        self.is_over = True
        self._ring()

    def _pieces(self) -> Iterator[Piece]:
        rest, offset = np.zeros(0, np.float32), 0
        for fresh, is_last in _stretches(self._sound(), self._is_wanted):
            sound = np.concatenate([rest, fresh])
            self.duration_s += len(fresh) / RATE_HZ
            spans, looked_at = divided(self._speech(sound), len(sound), is_last=is_last)
            for group in packed(spans):
                self.speech_s += sum(end - first for first, end in group) / RATE_HZ
                cut = np.concatenate([sound[first:end] for first, end in group])
                yield Piece(cut, tuple((first + offset, end + offset) for first, end in group))
            rest, offset = sound[looked_at:].copy(), offset + looked_at
        if not self.duration_s:
            raise unreadable("it has no sound: zero samples")

    def _speech(self, sound: Samples) -> list[tuple[int, int]]:
        return self._vad.speech(sound) if np.any(sound) else []

    def _is_wanted(self) -> None:
        """Raise what ends the reading early."""
        if self._is_abandoned:
            raise Abandoned
        if self.duration_s > MAX_FILE_S:
            raise unreadable(f"it is longer than {MAX_FILE_S:,} s, the most that is taken")


def _stretches(blocks: Iterator[Samples], check: Callable[[], None]) -> Iterator[tuple[Samples, bool]]:
    """Yield sound by the minute, and whether it is the last of it."""
    kept: list[Samples] = []
    length = 0
    for block in blocks:
        check()
        kept.append(block)
        length += len(block)
        if length >= STRETCH_S * RATE_HZ:
            yield np.concatenate(kept), False
            kept, length = [], 0
    yield np.concatenate(kept) if kept else np.zeros(0, np.float32), True
