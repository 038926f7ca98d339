"""Which model processes compute for voice, and which step aside for that. Pure.

Covers: the hub between engines that know the classes of their own requests alone. What stepping aside means: the engine's
`aside`. A process never steps aside for its own voice work: it knows of that sooner than anybody could tell it.
"""

from __future__ import annotations

from typing import NamedTuple

from inferd_daemon.ids import Life


class Word(NamedTuple):
    """What one process is to be told."""

    life: Life
    is_aside: bool


class Urgency:
    """The loaded models' processes. Each call returns who is to be told what."""

    def __init__(self) -> None:
        self._asides: dict[Life, bool] = {}
        """Of every loaded model: what it was told last."""
        self._urgent: set[Life] = set()

    def loaded(self, life: Life) -> list[Word]:
        """A model is ready."""
        self._asides.setdefault(life, False)
        return self._settle()

    def told(self, life: Life, *, is_urgent: bool) -> list[Word]:
        """A process computes for voice, or does not any more; one that has no model says nothing that counts."""
        if life not in self._asides:
            return []
        if is_urgent:
            self._urgent.add(life)
        else:
            self._urgent.discard(life)
        return self._settle()

    def gone(self, life: Life) -> list[Word]:
        """A process is gone, or cannot be heard."""
        self._asides.pop(life, None)
        self._urgent.discard(life)
        return self._settle()

    def _settle(self) -> list[Word]:
        words = [
            Word(life, not is_aside)
            for life, is_aside in self._asides.items()
            if is_aside != bool(self._urgent - {life})
        ]
        self._asides.update(words)
        return words
