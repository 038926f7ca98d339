"""Words out of a hearing: for agreement, and for the app.

Covers: splitting texts without times, and the words of events. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from inferd.messages.speech import SpokenWord
from inferd_actors.engines.faster_whisper.agreement import Word, same
from inferd_actors.engines.faster_whisper.hearing import Heard, HeardSegment

LEAST_PERIOD: Final = 2
LEAST_AGAIN: Final = 3
"""Words."""
_CLOSE: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Kana and ideographs: written without blanks, so each stands for itself."""
_WORD: Final = re.compile(rf"\s*(?:[{_CLOSE}]|[^\s{_CLOSE}]+)")


def words_of(heard: Heard) -> list[Word]:
    """Return a hearing's words, with the moments of their ends if they were asked for."""
    timed = [word for segment in heard.segments for word in segment.words]
    if timed:
        return [Word(word.text, word.end_s) for word in timed]
    return split(heard.text)


def split(text: str) -> list[Word]:
    """Return a text's words, without their times."""
    return [Word(one) for one in _WORD.findall(text)]


def unrepeated(words: list[Word]) -> list[Word]:
    """Return the words without the repetition that a quick hearing may run on in: the whole text again, and again in part.

    Three words at least have to come again, and half of the text: people do say "no, no" and "it is what it is".
    """
    for period in range(LEAST_PERIOD, len(words)):
        again = len(words) - period
        if again < max(LEAST_AGAIN, period // 2):
            break
        if all(same(one, other) for one, other in zip(words[period:], words, strict=False)):
            return words[:period]
    return words


def spoken(
    segments: Sequence[HeardSegment], place_s: Callable[[float, float], tuple[float, float]]
) -> Iterator[SpokenWord]:
    """Yield the timed words for the app; `place_s`: start and end in the pass → in the stream, in seconds."""
    for segment in segments:
        for word in segment.words:
            start_s, end_s = place_s(word.start_s, word.end_s)
            start_ms = milliseconds(start_s)
            probability = min(1.0, max(0.0, word.probability))
            yield SpokenWord(word.text.strip(), start_ms, max(start_ms, milliseconds(end_s)), probability)


def milliseconds(moment_s: float) -> int:
    """Return a moment as the wire writes it."""
    return max(0, round(moment_s * 1000))
