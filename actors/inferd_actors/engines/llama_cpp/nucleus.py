"""The nucleus of a whole vocabulary without sorting it, and how likely tokens were.

Covers: exact top-p by partial selection, log-probabilities. A nucleus has some dozens of tokens nearly always, so the likeliest
few hundred are selected and only these are sorted; if they do not reach p, twice as many are. Pure.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

FIRST_TOKENS: Final = 256
"""Selected at first: enough for nine tokens in ten at p = 0.95 and temperature 1; selecting more costs little."""


def nucleus(logits: NDArray[np.float32], p: float) -> NDArray[np.int32]:
    """Return the fewest likeliest tokens that together reach probability `p`, the likeliest first; at least one.

    `logits`: shape (vocabulary,). Equally likely tokens stand in order of their numbers, as a stable sort has them.
    """
    highest = logits.max()
    total = float(np.exp(logits - highest).sum(dtype=np.float64))
    count = min(FIRST_TOKENS, len(logits))
    while True:
        likeliest = _likeliest(logits, count)
        reached = np.cumsum(np.exp(logits[likeliest] - highest, dtype=np.float64)) / total
        if reached[-1] >= p or count == len(logits):
            return likeliest[: int(np.searchsorted(reached, p)) + 1]
        count = min(4 * count, len(logits))


def _likeliest(logits: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    if count == len(logits):
        return np.argsort(-logits, kind="stable").astype(np.int32)
    least = np.partition(logits, len(logits) - count)[len(logits) - count]
    above = np.flatnonzero(logits >= least)  # may be more than `count`, when several are equally likely
    return above[np.argsort(-logits[above], kind="stable")].astype(np.int32)


def log_probabilities(logits: NDArray[np.float32], token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
    """Return how likely `token` was, and the `top` likeliest tokens with theirs: natural logarithms, of the bare logits."""
    highest = float(logits.max())
    log_total = highest + float(np.log(np.exp(logits - highest).sum(dtype=np.float64)))
    likeliest = _likeliest(logits, min(max(top, 1), len(logits)))[:top]
    return float(logits[token]) - log_total, [(int(one), float(logits[one]) - log_total) for one in likeliest]
