"""LocalAgreement-2: of a text that is heard again and again, the words that two hearings in a row agree upon are stable.

Covers: what becomes stable, what stays tentative, and what is cut off a hearing that overlaps with stable words. Pure. Source:
arXiv 2307.14743 (Macháček, Dabre, Bojar: Turning Whisper into a real-time transcription system), §3.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

STALLED: Final = 2
"""Hearings in a row without a word behind the stable ones, before that is believed: within a window the model may take the end
of a sentence for the end of all, in one hearing and not in the next."""
TAIL_WORDS: Final = 12
"""Of the stable text, by which its end is found in another hearing."""
OVERLAP_WORDS: Final = 5
"""Longest repetition of stable words at the front of a hearing, after its sound was cut: cuts are right to a word or two."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word as the model writes it, blank in front included, and when it ends in the sound that was heard."""

    text: str
    end_s: float = 0.0


class Agreement:
    """The text of one utterance as it grows."""

    def __init__(self) -> None:
        self._before: list[str] = []
        """Stable words whose sound is heard no more."""
        self._since: list[str] = []
        """Stable words of the sound since the cut."""
        self._rest: list[Word] = []
        """The last hearing behind the stable words."""
        self._end_s = 0.0
        """Where in the last hearing the stable words end."""
        self.stalled = 0
        """How many hearings in a row had no word behind the stable ones."""

    @property
    def stable(self) -> str:
        """The words that will not change, as one text; it only grows."""
        return self.before + "".join(self._since)

    @property
    def before(self) -> str:
        """The stable words whose sound is heard no more."""
        return "".join(self._before)

    @property
    def tentative(self) -> str:
        """The rest of the last hearing, as it follows `stable`."""
        return "".join(word.text for word in self._rest)

    def hear(self, words: Sequence[Word]) -> None:
        """Take a hearing of all sound since the cut; one without a new word counts only if the next has none either."""
        heard = self._without_overlap(words)
        behind = _behind(self._since, heard)
        rest = heard[behind:]
        self.stalled = 0 if rest else self.stalled + 1
        if self._rest and 0 < self.stalled < STALLED:
            return
        alike = sum(1 for _ in takewhile(lambda pair: same(*pair), zip(self._rest, rest, strict=False)))
        self._since += (word.text for word in rest[:alike])
        self._rest = rest[alike:]
        self._end_s = heard[behind + alike - 1].end_s if behind + alike else 0.0

    def following(self, words: Sequence[Word]) -> str:
        """Return what another hearing of the whole utterance says behind the stable words."""
        known = [*self._before[-TAIL_WORDS:], *self._since][-TAIL_WORDS:]
        row = _differences(known, words, [0] * (len(words) + 1))
        end = max(range(len(row)), key=lambda length: (-row[length], length)) if known else 0
        return "".join(word.text for word in words[end:])

    def cut(self) -> float:
        """Let go of the sound of the stable words; return where the last of them ended in the last hearing.

        0.0: there are none, or none in it, so nothing may be cut.
        """
        if not self._since or not self._end_s:
            return 0.0
        cut_s, self._end_s, self.stalled = self._end_s, 0.0, 0
        self._before += self._since
        self._since = []
        self._rest = [Word(one.text, max(0.0, one.end_s - cut_s)) for one in self._rest]
        return cut_s

    def drop(self) -> None:
        """Let go of all sound up to now: the stable words stay, what was tentative is lost."""
        self._before += self._since
        self._since, self._rest, self._end_s, self.stalled = [], [], 0.0, 0

    def _without_overlap(self, words: Sequence[Word]) -> list[Word]:
        """Return the words without those that the sound in front of the cut has left at their beginning."""
        for size in range(min(OVERLAP_WORDS, len(self._before), len(words)), 0, -1):
            if all(_plain(one) == _plain(two.text) for one, two in zip(self._before[-size:], words, strict=False)):
                return list(words[size:])
        return list(words)


def _behind(stable: Sequence[str], heard: Sequence[Word]) -> int:
    """Return how many of the heard words stand for the stable ones: the number that makes them most alike.

    Not simply as many: a later hearing may have found another word in front, or two in one. Of equal numbers the nearest.
    """
    row = _differences(stable, heard, range(len(heard) + 1))
    return min(range(len(row)), key=lambda length: (row[length], abs(length - len(stable))))


def _differences(stable: Sequence[str], heard: Sequence[Word], first: Iterable[int]) -> list[int]:
    """Return Levenshtein's distance of all stable words to the heard ones up to each; `first`: of none to each."""
    known, found, row = [_plain(one) for one in stable], [_plain(one.text) for one in heard], list(first)
    for at, word in enumerate(known, 1):
        diagonal, row[0] = row[0], at
        for column, other in enumerate(found, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
    return row


def same(one: Word, other: Word) -> bool:
    """Tell whether two words are one, whatever their case and punctuation."""
    return _plain(one.text) == _plain(other.text)


def _plain(text: str) -> str:
    kept = "".join(one for one in text.casefold() if unicodedata.category(one)[0] in "LNM")
    return kept or text.strip()
