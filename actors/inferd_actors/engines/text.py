"""From a model's bytes to the text that may be shown: whole characters, and nothing of a stop sequence.

Covers: `TextStream`, and `StopScanner` inside it. Pure; the same text comes out however the bytes were cut into pieces.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shown:
    """What a piece added to the answer; `stopped`: a stop sequence is complete, so nothing follows."""

    text: str
    stopped: bool = False


class StopScanner:
    """Finds the stop sequence that is complete first, and keeps back what may become a part of one.

    Of two that end on the same character the longer one counts. Each sequence is followed by its own Knuth-Morris-Pratt
    automaton, so that hostile sequences (64 of 1,024 characters) cost no more than their number for each character.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [(stop, _fallbacks(stop)) for stop in stops]
        self._matched = [0] * len(stops)
        self._kept = ""

    def feed(self, text: str) -> Shown:
        """Return what `text` makes certain; after `stopped` the scanner is spent."""
        if not self._stops:
            return Shown(text)
        text = self._kept + text
        for at in range(len(self._kept), len(text)):
            longest = max(map(len, self._completed(text[at])), default=0)
            if longest:
                return Shown(text[: at + 1 - longest], stopped=True)
        self._kept = text[len(text) - max(self._matched) :]
        return Shown(text[: len(text) - len(self._kept)])

    def flush(self) -> str:
        """Return what was kept back: the answer has ended, so it can no longer become a stop sequence."""
        kept, self._kept = self._kept, ""
        return kept

    def _completed(self, character: str) -> list[str]:
        done = []
        for which, (stop, fallbacks) in enumerate(self._stops):
            matched = self._matched[which]
            while matched and stop[matched] != character:
                matched = fallbacks[matched - 1]
            matched += stop[matched] == character
            self._matched[which] = matched
            if matched == len(stop):
                done.append(stop)
        return done


def _fallbacks(stop: str) -> list[int]:
    """Return for each prefix of `stop` how long its longest proper prefix is that is also its suffix."""
    table = [0] * len(stop)
    matched = 0
    for at in range(1, len(stop)):
        while matched and stop[matched] != stop[at]:
            matched = table[matched - 1]
        matched += stop[matched] == stop[at]
        table[at] = matched
    return table


class TextStream:
    """The text of one answer, made from the bytes of its tokens."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._part = b""
        """Of a character: its first bytes."""
        self._scanner = StopScanner(stops)

    def feed(self, piece: bytes) -> Shown:
        """Return what this token's bytes add; bytes that are no UTF-8 become U+FFFD."""
        data = self._part + piece
        text, used = codecs.utf_8_decode(data, "replace", False)  # more may follow
        self._part = data[used:]
        return self._scanner.feed(text)

    def flush(self) -> str:
        """Return the rest at the end of the answer; a character that was cut off is not shown."""
        return self._scanner.flush()
