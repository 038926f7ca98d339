"""What a text says, for turn taking: how many words, whether it is the same, whether it looks finished.

Covers: comparison without case and punctuation. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

_WORD: Final = re.compile(r"\w+(?:['\u2019-]\w+)*")
_MARKS: Final = re.compile(r"['\u2019-]")
_ENDS: Final = frozenset(".!?\u2026\u3002\uff01\uff1f")
"""The last four: an ellipsis, and the full stop, exclamation and question mark of Chinese and Japanese."""


def words(text: str) -> list[str]:
    """Return the words of a text, without case and punctuation; `uh-huh` is one."""
    return [_MARKS.sub("", word) for word in _WORD.findall(text.casefold())]


def telling(text: str, backchannels: Collection[str]) -> list[str]:
    """Return the words that say something."""
    return [word for word in words(text) if word not in backchannels]


def same(one: str, other: str) -> bool:
    """Return whether two texts say the same words."""
    return words(one) == words(other)


def looks_finished(text: str) -> bool:
    """Return whether a text ends like a sentence."""
    return text.rstrip()[-1:] in _ENDS


def joined(*texts: str) -> str:
    """Return texts in a row, as one."""
    return " ".join(text.strip() for text in texts if text.strip())
