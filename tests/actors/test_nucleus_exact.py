"""The nucleus and the log-probabilities against a plain sort in 64 bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inferd_actors.engines.llama_cpp.nucleus import FIRST_TOKENS, log_probabilities, nucleus

ROUNDED = 1e-6
"""Exponentials in 32 bits are off by less."""
FEW = st.lists(st.integers(-12, 12), min_size=1, max_size=12)
ANY = st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=40)
MANY = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 3_000), st.sampled_from([0.0, 0.3, 2.0, 8.0])).map(
    lambda drawn: (np.random.default_rng(drawn[0]).integers(-9, 9, drawn[1]) * drawn[2]).tolist()
)
LOGITS = (FEW | ANY | MANY).map(lambda values: np.array(values, np.float32))


def sorted_out(logits: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the tokens, likeliest first, and what they reach together."""
    order = np.argsort(-logits, kind="stable")
    each = np.exp(logits[order].astype(np.float64) - logits.max())
    return order, np.cumsum(each / each.sum())


@given(LOGITS, st.floats(0, 1) | st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_the_nucleus_is_the_beginning_of_a_stable_sort_and_no_longer_than_needed(
    logits: NDArray[np.float32], p: float
) -> None:
    order, reached = sorted_out(logits)
    found = nucleus(logits, p)
    count = len(found)
    assert found.tolist() == order[:count].tolist()
    assert count >= 1
    assert count == len(logits) or reached[count - 1] >= p - ROUNDED
    assert count == 1 or reached[count - 2] < p + ROUNDED


@pytest.mark.parametrize("size", [FIRST_TOKENS - 1, FIRST_TOKENS, FIRST_TOKENS + 1, 5 * FIRST_TOKENS])
def test_equally_likely_tokens_stand_in_order_of_their_numbers(size: int) -> None:
    assert nucleus(np.zeros(size, np.float32), 0.5).tolist() == list(range(size // 2 + size % 2))
    assert nucleus(np.zeros(size, np.float32), 1.0).tolist() == list(range(size))


@given(LOGITS, st.integers(0, 20), st.data())
def test_log_probabilities_are_those_of_a_softmax_in_order(
    logits: NDArray[np.float32], top: int, data: st.DataObject
) -> None:
    order, _ = sorted_out(logits)
    wide = logits.astype(np.float64)
    exact = wide - wide.max() - np.log(np.exp(wide - wide.max()).sum())
    token = data.draw(st.integers(0, len(logits) - 1))
    found, likeliest = log_probabilities(logits, token, top)
    assert found == pytest.approx(exact[token], abs=1e-5)
    assert [one for one, _ in likeliest] == order[:top].tolist()
    assert [logprob for _, logprob in likeliest] == pytest.approx(exact[order[:top]].tolist(), abs=1e-5)
    assert sum(np.exp(logprob) for _, logprob in likeliest) <= 1 + ROUNDED
