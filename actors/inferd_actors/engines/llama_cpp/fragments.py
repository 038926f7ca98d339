"""Tokens of prompts whose parts were tokenized before: a conversation is sent whole with each of its turns.

Covers: where a text may be cut, and what is kept of its parts, within a bound. Why: 6 KB take a millisecond of the 66 until the
first token behind a prefix that is in the cache (two cores), and grow with the conversation. Pure but for the vocabulary.

llama.cpp looks for marks (control tokens such as `<|im_start|>`) first, and byte-level BPE then knows nothing of what stands
beyond one. So a text cut in front of marks has the tokens of its parts, unless another token's text reaches across the
beginning of a mark (none of SmolLM2's 17 special ones does). Which tokens are marks is learned from the prompts.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from inferd_actors.engines.llama_cpp.library import Tokens, Vocabulary

LEAST_CHARS: Final = 512
"""Shorter parts are tokenized sooner than looked up, with what stands beside them."""
KEPT_CHARS: Final = 2**20
"""Of all parts together: some 200,000 tokens, 2 MB."""


class Part(NamedTuple):
    """A part that was tokenized. `owner`: who may learn, by the time it takes, that it was; `begins`: it had `add_begin`."""

    owner: str
    begins: bool
    text: str


class Fragments:
    """The memory of one vocabulary; used by one thread."""

    def __init__(self, words: Vocabulary) -> None:
        self._words = words
        self._marks: set[str] = set()
        self._cut: re.Pattern[str] | None = None
        """Finds marks; None until one is known."""
        self._looked_at: set[int] = set()
        """Tokens of which is known whether they are marks."""
        self._kept: OrderedDict[Part, Tokens] = OrderedDict()
        self._kept_chars = 0

    def tokens_of_prompt(self, text: str, *, owner: str) -> Tokens:
        """Return what `Vocabulary.tokens_of_prompt` would."""
        if not text:
            return self._words.tokens_of_prompt(text)
        first, *others = self._pieces(text)
        parts = [Part(owner, self._words.lacks_begin(text), first), *(Part(owner, False, piece) for piece in others)]
        return np.concatenate([self._tokens(part) for part in parts])

    def _pieces(self, text: str) -> Iterator[str]:
        """Yield the text in long parts, and in runs of short ones."""
        cuts = [found.start() for found in self._cut.finditer(text)] if self._cut else []
        begin = 0
        for one, next_one in pairwise((0, *cuts, len(text))):
            if next_one - one >= LEAST_CHARS:
                if one > begin:
                    yield text[begin:one]
                yield text[one:next_one]
                begin = next_one
        if begin < len(text):
            yield text[begin:]

    def _tokens(self, part: Part) -> Tokens:
        known = self._kept.get(part)
        if known is not None:
            self._kept.move_to_end(part)
            return known
        tokens = self._words.tokenize(part.text, add_begin=part.begins, marks=True)
        self._learn(tokens)
        if LEAST_CHARS <= len(part.text) <= KEPT_CHARS:
            self._keep(part, tokens)
        return tokens

    def _keep(self, part: Part, tokens: Tokens) -> None:
        self._kept[part] = tokens
        self._kept_chars += len(part.text)
        while self._kept_chars > KEPT_CHARS:
            oldest, _ = self._kept.popitem(last=False)
            self._kept_chars -= len(oldest.text)

    def _learn(self, tokens: Tokens) -> None:
        """Take note of marks among these tokens: the next text is cut in front of them."""
        news = set(tokens.tolist()) - self._looked_at
        self._looked_at |= news
        marks = {mark for token in news if (mark := self._words.mark(token))}
        if marks:
            self._marks |= marks
            self._cut = re.compile("|".join(map(re.escape, sorted(self._marks, key=len, reverse=True))))
