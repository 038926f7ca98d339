"""How much of a prompt has been computed before.

Covers: who may reuse whose tokens, and the longest common prefix. Why salted: whether a prefix was there shows in the time to
the first token, and eight tokens are enough to recognise another app's prompt (CVE-2025-46570). Pure.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from inferd_actors.engines.llama_cpp.sequences import Live, Prefix

REUSED_TOKENS: Final = 2
"""Fewer are read sooner than a seat is prepared. Most templates begin alike for three tokens or more: 7 ms of 95 to the first
token of a short prompt (SmolLM2 on two cores)."""
RESTORED_PER_READ: Final = 64
"""Tokens that come back from the shelf while one is read: 600 on those two cores, fewer where more cores read."""
WORTH_TOKENS: Final = 8
"""Fewer are read again sooner than waited for, kept, or parked."""


class Found(NamedTuple):
    """A source and how many of its first tokens are wanted."""

    source: Live | Prefix
    n_tokens: int


def longest(prompt: Live, sources: Iterable[Live | Prefix], *, whole_only: bool) -> Found | None:
    """Return the source that saves the most reading, None if none is worth it; the earlier of two equal ones.

    The last token is always computed: its logits are wanted. `whole_only`: the cache cannot be cut, so a source serves only as
    a whole.
    """
    best, most = None, REUSED_TOKENS - 1
    for source in sources:
        computed = _computed(source)
        count = min(common(prompt.tokens, source.tokens), len(prompt.tokens) - 1, computed)
        saved = count - (computed // RESTORED_PER_READ if source.seat is None else 0)
        if saved > most and _may_reuse(prompt, source) and (count == computed or not whole_only):
            best, most = Found(source, count), saved
    return best


def to_come(prompt: Live, reading: Live, had: int = 0) -> int:
    """Return how many tokens of the prompt another request is about to compute that it may reuse; 0 or less: none.

    `had`: so many of the first it has from elsewhere.
    """
    if not _may_reuse(prompt, reading):
        return 0
    return min(common(prompt.tokens, reading.tokens), len(prompt.tokens) - 1) - max(reading.cached, had)


def alone_tokens(prefix: Prefix, others: Iterable[Prefix]) -> int:
    """Return how many of a prefix's tokens whoever reuses it would read again without it, in a cache that can be cut."""
    serve_all = (one for one in others if _serves_all_of(prefix, one))
    return len(prefix.tokens) - max((common(prefix.tokens, one.tokens) for one in serve_all), default=0)


def _serves_all_of(prefix: Prefix, other: Prefix) -> bool:
    """Tell whether everybody who reuses the one may reuse the other: a public one is reused by those who ask publicly."""
    return (
        (other.is_public or not prefix.is_public) if other.salt == prefix.salt else other.is_public and prefix.is_public
    )


def common(one: array[int], other: array[int]) -> int:
    """Return the length of the longest common prefix."""
    length = min(len(one), len(other))
    differs = np.frombuffer(one, np.int32, length) != np.frombuffer(other, np.int32, length) if length else np.empty(0)
    first = int(np.argmax(differs)) if length else 0
    return first if length and differs[first] else length


def _computed(source: Live | Prefix) -> int:
    return source.cached if isinstance(source, Live) else len(source.tokens)


def _may_reuse(prompt: Live, source: Live | Prefix) -> bool:
    return prompt.salt == source.salt or (prompt.is_public and source.is_public)
