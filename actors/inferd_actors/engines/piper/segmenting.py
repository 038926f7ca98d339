"""In which pieces a text is spoken: the first one early, then whole sentences, and what there is when nobody writes on.

Covers: where to cut. Does not cover what is said of the source (`speakable`), nor when to `press`: the engine's clock. Pure.

Each character is looked at once, in order; the text is cut
1. first piece: behind a mark of a clause with `FIRST_CHARS` in front of it, at once
2. where a line ends that has an end of its own, or a paragraph
3. where a sentence ends, by sentencex, which sees what is not yet cut and the first character of the next sentence
4. behind `MAX_WORDS` words (first piece: `FIRST_WORDS`), at the last clause if there is one, or `MAX_CHARS` characters
5. when pressed, at the last clause, or if nobody writes at the last blank

All but the last depend on the text alone, so however it arrives it is cut alike; the pieces together are the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from inferd_actors.engines.piper.speakable import Said

FIRST_CHARS: Final = 20
"""A shorter clause is over before the next piece is ready, and sounds torn off."""
FIRST_WORDS: Final = 12
MIN_CHARS: Final = 10
"""A shorter sentence is spoken together with the next one, unless it comes first."""
MAX_WORDS: Final = 30
MAX_CHARS: Final = 300
"""Of text without blanks, too, and of blanks: some 20 s, and half a second to compute."""
SEEN_CHARS: Final = 400
"""As much of a text as sentencex is shown: time that does not grow with the piece."""
CLAUSE: Final = frozenset(",;:–—，；：、")  # noqa: RUF001 - of other scripts
SENTENCE: Final = frozenset(".!?…。！？")  # noqa: RUF001
WIDE: Final = frozenset("。！？")  # noqa: RUF001
"""No blank follows these."""
CLOSING: Final = frozenset("\"')]}”’»」』")  # noqa: RUF001
LAST_BLANK: Final = re.compile(r"\s(?=\S*$)")

Sentences = Callable[[str], Sequence[int]]
"""Text → the index behind each of its sentences; `sentences.ends` of a language."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What is spoken in one go. `origins`: of each character, its source character."""

    text: str
    origins: Sequence[int]


@dataclass(slots=True)
class Segmenter:
    """One text, cut as it comes."""

    sentences: Sentences
    _text: str = ""
    """What is not yet cut."""
    _origins: list[int] = field(default_factory=list)
    _looked: int = 0
    """Characters of it that have been looked at."""
    _words: int = 0
    _clause: int = 0
    """Behind the last mark of a clause among them; 0: there is none."""
    _is_first: bool = True

    @property
    def waits(self) -> bool:
        """Whether there is something to say that has not been cut."""
        return _sounds(self._text)

    def feed(self, said: Said) -> list[Piece]:
        """Return the pieces that are complete."""
        self._text += said.text
        self._origins += said.origins
        pieces = []
        while self._looked < len(self._text):
            if cut := self._look(self._looked):
                pieces.append(self._cut(cut))
            else:
                self._looked += 1
        return pieces

    def finish(self) -> list[Piece]:
        """Return the rest."""
        return [self._cut(len(self._text))] if self.waits else []

    def press(self, *, is_idle: bool) -> list[Piece]:
        """The listener is about to run out of sound; `is_idle`: and nobody writes. Return a piece if one can be had."""
        cut = self._clause
        if is_idle:
            ends_here = self._text and (self._text[-1].isspace() or self._text[-1] in CLAUSE | SENTENCE)
            last = None if ends_here else LAST_BLANK.search(self._text)
            cut = len(self._text) if ends_here else last.end() if last else 0
        return [self._cut(cut)] if _sounds(self._text[:cut]) else []

    # --- where to cut

    def _look(self, at: int) -> int:
        """Return where to cut because of the character at `at`; 0: nowhere."""
        character = self._text[at]
        if at >= MAX_CHARS:
            return self._clause or at
        if not character.isspace():
            begins_word = at == 0 or self._text[at - 1].isspace()
            if begins_word and (cut := self._full(at)):
                return cut
            if self._ends_before(at):
                return at
            self._words += begins_word
        if character in CLAUSE and at >= FIRST_CHARS - 1 and not self._text[at - 1].isdigit():
            self._clause = at + 1
            return at + 1 if self._is_first and _sounds(self._text[:at]) else 0
        return 0

    def _full(self, at: int) -> int:
        if self._words < (FIRST_WORDS if self._is_first else MAX_WORDS):
            return 0
        return (self._clause or at) if _sounds(self._text[:at]) else 0

    def _ends_before(self, at: int) -> bool:
        """Tell whether a sentence ends in front of the character at `at`."""
        last = len(self._text[:at].rstrip())
        blanks = self._text[last:at]
        if not _sounds(self._text[:last]) or (last < MIN_CHARS and not self._is_first):
            return False
        mark = self._text[:last].rstrip("".join(CLOSING))[-1:]
        if "\n" in blanks and (blanks.count("\n") > 1 or mark in SENTENCE | CLAUSE):
            return True
        if mark not in SENTENCE or not (blanks or mark in WIDE) or self._text[at] in CLOSING:
            return False
        begin = max(0, at + 1 - SEEN_CHARS)
        return at - begin in self.sentences(self._text[begin : at + 1])

    def _cut(self, at: int) -> Piece:
        piece = Piece(self._text[:at], self._origins[:at])
        self._text, self._origins = self._text[at:], self._origins[at:]
        self._looked = self._words = self._clause = 0
        self._is_first = False
        return piece


def _sounds(text: str) -> bool:
    return any(map(str.isalnum, text))
