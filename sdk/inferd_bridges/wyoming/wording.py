"""A transcript as it can be told in pieces that are never taken back.

Covers: which words may be told now. A client appends every piece, so only stable words are told, and of an utterance's final
text what follows them. Where the final differs from what was stable, the rest of that utterance is left to the whole
transcript, which always comes. Pure.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

WORD: Final = re.compile(r"\S+")
SILENT: Final = re.compile(r"[^\w]+")


class Telling:
    """What of a transcript has been told."""

    def __init__(self) -> None:
        self._told = False
        self._utterance = ""

    def stable(self, text: str) -> str:
        """Return the next piece, of an utterance that is still spoken; empty: nothing new."""
        text = text.strip()
        if not text.startswith(self._utterance):
            return ""
        before, self._utterance = self._utterance, text
        return self._parted(text[len(before) :], is_first=not before)

    def final(self, text: str) -> str:
        """Return the last piece of an utterance; the next one begins."""
        said, self._utterance = self._utterance, ""
        return self._parted(_beyond(text.strip(), said), is_first=not said)

    def _parted(self, piece: str, *, is_first: bool) -> str:
        """Return a piece with what parts it from the utterance before."""
        if not piece:
            return ""
        gap = " " if is_first and self._told else ""
        self._told = True
        return gap + piece


def _beyond(text: str, said: str) -> str:
    """Return what follows in `text` on what was said, case and punctuation of words aside; empty if it begins otherwise."""
    if text.startswith(said):
        return text[len(said) :]
    told = [_sound(one) for one in WORD.findall(said)]
    words = list(islice(WORD.finditer(text), len(told)))
    if [_sound(one.group()) for one in words] != told:
        return ""
    return text[words[-1].end() :]


def _sound(word: str) -> str:
    return SILENT.sub("", word).casefold()
