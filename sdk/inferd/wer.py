"""How wrong a transcript is: the word error rate, over words that are written alike.

Covers: normalising (case, punctuation, numbers), and the count. Pure. Source: Levenshtein's distance over words, by dynamic
programming; errors = substitutions + deletions + insertions, over the words that were said.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

_ONES: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS: Final = "_ _ twenty thirty forty fifty sixty seventy eighty ninety"
ONES: Final = _ONES.split()
TENS: Final = _TENS.split()
SPELLED: Final = {"mr": "mister", "mrs": "missus", "dr": "doctor", "okay": "ok", "oh": "zero", "logon": "log on"}
"""What is one word said and written in two ways."""
THOUSAND: Final = 1_000
HUNDRED: Final = 100
MILLION: Final = 1_000_000
"""Longer numbers stay as they are."""


def words(text: str) -> list[str]:
    """Return a text's words: lower case, no punctuation, numbers spelled out, hyphens as blanks."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("'", "").replace("’", "")  # noqa: RUF001 - as models write it
    found = re.findall(r"\d+|[^\W\d_]+", plain)
    spelled = (_number(int(one)) if one.isdecimal() and int(one) < MILLION else SPELLED.get(one, one) for one in found)
    return " ".join(spelled).split()


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return the fewest words to change, take out or put in that make one out of the other."""
    row = list(range(len(heard) + 1))
    for at, word in enumerate(said, 1):
        diagonal, row[0] = row[0], at
        for column, other in enumerate(heard, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
    return row[-1]


def rate(pairs: Iterable[tuple[str, str]]) -> float:
    """Return the errors of all (said, heard) together over the words that were said; 0 without any."""
    counted = [(words(said), words(heard)) for said, heard in pairs]
    total = sum(len(said) for said, _ in counted)
    return sum(errors(said, heard) for said, heard in counted) / total if total else 0.0


def _number(value: int) -> str:
    if value >= THOUSAND:
        return f"{_number(value // THOUSAND)} thousand {_rest(value % THOUSAND)}"
    if value >= HUNDRED:
        return f"{ONES[value // HUNDRED]} hundred {_rest(value % HUNDRED)}"
    if value >= len(ONES):
        return f"{TENS[value // 10]} {_rest(value % 10)}"
    return ONES[value]


def _rest(value: int) -> str:
    return _number(value) if value else ""
