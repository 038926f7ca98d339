"""The only door to sentencex: where the sentences of a text end."""

from __future__ import annotations

import re
from typing import Final

import sentencex

WIDE_BLANK: Final = re.compile(r"[^\S\x00-\x7f]")
"""sentencex 1.0.32 panics at one of these in front of a full stop, and takes every voice of the process with it."""


def ends(language: str, text: str) -> list[int]:
    """Return the index behind each sentence, blanks included, in characters; the last one is the text's length.

    `language`: ISO 639-1; of one that sentencex does not know it takes the rules of a relative, or of English.
    """
    return [int(one["end_index"]) for one in sentencex.get_sentence_boundaries(language, WIDE_BLANK.sub(" ", text))]
