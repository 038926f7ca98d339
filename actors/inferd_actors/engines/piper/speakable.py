"""From text as it is written, piece by piece, to text as it is said, each character with its place in the source.

Covers: the walk over the source, and what is held back until it is certain. Does not cover what markup means: `markup`. Pure.
Every decision looks at so much text behind it as it needs and waits for that, so the same text is said however it was cut.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from inferd_actors.engines.piper.markup import step
from inferd_actors.engines.piper.place import Place, Step


@dataclass(frozen=True, slots=True)
class Said:
    """Text to be said. `origins`: of each character, the index of the source character that it stands for."""

    text: str = ""
    origins: Sequence[int] = ()


@dataclass(slots=True)
class Speakable:
    """One text on its way to the voice. `markdown`: false leaves it as it stands. `code`: said in place of a block of code."""

    markdown: bool = True
    code: str = ""
    _held: str = ""
    _read: int = 0
    """Source characters before `_held`."""
    _place: Place = field(default_factory=Place)

    def feed(self, text: str) -> Said:
        """Return what has become certain."""
        self._held += text
        return self._walk()

    def finish(self) -> Said:
        """Return the rest: nothing follows."""
        self._place.is_whole = True
        return self._walk()

    def _walk(self) -> Said:
        said: list[str] = []
        origins: list[int] = []
        at = 0
        while at < len(self._held):
            found = self._step(at)
            if found is None:
                break
            said.append(found.said)
            first, last = self._read + at + found.skip, self._read + at + max(0, found.length - 1)
            origins += [min(first + which, last) for which in range(len(found.said))]
            at += found.length
        self._held, self._read = self._held[at:], self._read + at
        return Said("".join(said), origins)

    def _step(self, at: int) -> Step | None:
        if not self.markdown:
            character = self._held[at]
            return Step(1, character if character == "\n" or not is_silent(character) else " ")
        return step(self._held, at, self._place, self.code)


def is_silent(character: str) -> bool:
    """Tell whether a character has no sound and no meaning: controls, halves of surrogates, what Unicode has not given out."""
    return unicodedata.category(character) in {"Cc", "Cs", "Co", "Cn"}
