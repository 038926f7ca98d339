"""The words of a piece, where they stand in the source, and which phonemes say them.

Covers: text and phonemes → for each word a range of phonemes. Does not cover how long a phoneme takes: the network tells. Pure.

espeak separates words by blanks, but says some in one breath ("of the") and others in many ("2024"). Where the numbers differ,
words and groups of phonemes are matched like two strings (dynamic programming, Needleman and Wunsch 1970): one to one, one
word to several groups, or two words to one group, which they share; by how many phonemes each word has when it stands alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, product
from math import inf
from typing import Final

WORD: Final = re.compile(r"\S+")
MARKS: Final = frozenset(".,:;!?")
"""Among phonemes; espeak writes no blank behind one that it found inside a sentence."""
STRESS: Final = frozenset("ˈˌ")
"""Sounds differently alone and in a sentence, so it does not count."""
STEPS: Final = ((1, 1), (2, 1), (3, 1), *((1, most) for most in range(2, 9)))
"""Words and groups that may belong together; a number of six digits is said in eight."""
SHARED_COST: Final = 0.5
"""Of saying two words in one breath, in phonemes: of two ways that fit alike the simpler one."""

Alone = Callable[[str], str]
"""A word → its phonemes when it stands alone."""


@dataclass(frozen=True, slots=True)
class SourceWord:
    """A word as it is said, marks included, and its place in the source."""

    text: str
    first_char: int
    end_char: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A word and the phonemes that say it, `begin` to `end`; `shared`: where its half of a group ends is a guess."""

    word: SourceWord
    begin: int
    end: int
    shared: bool = False


def words_of(text: str, origins: Sequence[int]) -> list[SourceWord]:
    """Return the words of a piece; what stands between blanks without a letter or digit is none."""
    return [
        SourceWord(found.group(), origins[found.start()], origins[found.end() - 1] + 1)
        for found in WORD.finditer(text)
        if any(map(str.isalnum, found.group()))
    ]


def place(words: Sequence[SourceWord], phonemes: Sequence[str], alone: Alone) -> list[Placed]:
    """Return where each word stands among the phonemes of its piece, in order and without gaps."""
    groups = _groups(phonemes)
    if not words or not groups:
        return []
    if len(words) == len(groups):
        return [Placed(word, begin, end) for word, (begin, end) in zip(words, groups, strict=True)]
    lengths = [max(1, _length(alone(word.text))) for word in words]
    way = _matched(lengths, [_length(phonemes[begin:end]) for begin, end in groups])
    placed = []
    for (word, group), (next_word, next_group) in pairwise(way):
        span = range(word, next_word)
        placed += _shared(
            [words[at] for at in span], [lengths[at] for at in span], groups[group][0], groups[next_group - 1][1]
        )
    return placed


def _length(phonemes: Iterable[str]) -> int:
    return sum(one.isalpha() and one not in STRESS for one in phonemes)


def _groups(phonemes: Sequence[str]) -> list[tuple[int, int]]:
    """Return the ranges between blanks or behind marks, each with what separates it from the next."""
    found: list[tuple[int, int]] = []
    begin = 0
    for at, one in enumerate(phonemes):
        if one.isspace() or one in MARKS or at + 1 == len(phonemes):
            if any(map(str.isalpha, phonemes[begin : at + 1])):
                found.append((begin, at + 1))
            elif found:  # a blank behind a mark, a mark alone
                found[-1] = found[-1][0], at + 1
            begin = at + 1
    return found


def _matched(words: Sequence[int], groups: Sequence[int]) -> list[tuple[int, int]]:
    """Return the stations (word, group) of the cheapest way from the first to the last; lengths in phonemes."""
    cost: dict[tuple[int, int], float] = {(0, 0): 0.0}
    came: dict[tuple[int, int], tuple[int, int]] = {}
    for at in product(range(len(words)), range(len(groups))):
        for more_words, more_groups in STEPS if at in cost else ():
            to = at[0] + more_words, at[1] + more_groups
            if to[0] > len(words) or to[1] > len(groups):
                continue
            differs = abs(sum(words[at[0] : to[0]]) - sum(groups[at[1] : to[1]]))
            total = cost[at] + differs + SHARED_COST * (more_words - 1)
            if total < cost.get(to, inf):
                cost[to], came[to] = total, at
    way = [(len(words), len(groups))]
    while way[-1] in came:
        way.append(came[way[-1]])
    return way[::-1] if way[-1] == (0, 0) else [(0, 0), way[0]]


def _shared(words: Sequence[SourceWord], lengths: Sequence[int], begin: int, end: int) -> list[Placed]:
    """Return the words with a range that they share by their lengths."""
    shares = [0, *accumulate(lengths)]
    at = [begin + round((end - begin) * share / shares[-1]) for share in shares]
    return [Placed(word, *span, shared=len(words) > 1) for word, span in zip(words, pairwise(at), strict=True)]
