"""Chains of llama.cpp's sampling steps, and the steps that are done here because they are faster so.

Covers: building a chain from its plan (`sampling`), choosing, the memory of what was chosen. The likeliest token is found
without a chain, and a nucleus of the whole vocabulary without sorting it; both choose what llama.cpp's own chain would.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Final, assert_never

import numpy as np
from numpy.typing import NDArray

from inferd_actors.engines.llama_cpp.library.binding import lib
from inferd_actors.engines.llama_cpp.nucleus import nucleus
from inferd_actors.engines.llama_cpp.sampling import (
    Bias,
    Draw,
    Greedy,
    MinP,
    Nucleus,
    Penalties,
    Step,
    Temperature,
    TopK,
    TopP,
)

CANDIDATE: Final = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""`llama_token_data`."""


class Sampler:
    """A plan made ready; it remembers what it chose. Used by the thread of the context alone."""

    def __init__(self, steps: Sequence[Step], vocabulary_size: int) -> None:
        self._is_greedy = len(steps) == 1 and isinstance(steps[0], Greedy)
        at = next((at for at, step in enumerate(steps) if isinstance(step, Nucleus)), None)
        cut = steps[at] if at is not None else None
        self._nucleus_p = cut.p if isinstance(cut, Nucleus) else None
        self._before = _chain(steps[: at or 0], vocabulary_size)
        self._chain = _chain(steps if at is None else steps[at + 1 :], vocabulary_size)

    def close(self) -> None:
        """Release it."""
        lib.llama_sampler_free(self._before)
        lib.llama_sampler_free(self._chain)

    def choose(self, context: Any, at: int, logits: NDArray[np.float32]) -> int:  # noqa: ANN401 - a pointer
        """Return the next token of the row whose logits are `at` in the context, shape (vocabulary,)."""
        if self._is_greedy:
            return int(logits.argmax())
        if self._nucleus_p is None:
            return int(lib.llama_sampler_sample(self._chain, context, at))
        return self._choose_of_nucleus(logits, self._nucleus_p)

    def _choose_of_nucleus(self, logits: NDArray[np.float32], p: float) -> int:
        if lib.llama_sampler_chain_n(self._before):
            everything = _candidates(np.arange(len(logits), dtype=np.int32), logits)
            lib.llama_sampler_apply(self._before, ctypes.byref(_as_array(everything, is_sorted=False)))
            logits = everything["logit"]
        tokens = nucleus(logits, p)
        kept = _candidates(tokens, logits[tokens])
        array = _as_array(kept, is_sorted=True)
        lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        token = int(array.data[array.selected].id)
        lib.llama_sampler_accept(self._before, token)
        lib.llama_sampler_accept(self._chain, token)
        return token


def _candidates(tokens: NDArray[np.int32], logits: NDArray[np.float32]) -> NDArray[Any]:
    made = np.zeros(len(tokens), CANDIDATE)
    made["id"], made["logit"] = tokens, logits
    return made


def _as_array(candidates: NDArray[Any], *, is_sorted: bool) -> Any:  # noqa: ANN401 - a ctypes structure
    data = candidates.ctypes.data_as(ctypes.POINTER(lib.llama_token_data))
    return lib.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=is_sorted)


def _chain(steps: Sequence[Step], vocabulary_size: int) -> Any:  # noqa: ANN401 - a pointer
    chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    for step in steps:
        lib.llama_sampler_chain_add(chain, _link(step, vocabulary_size))
    return chain


def _link(step: Step, vocabulary_size: int) -> Any:  # noqa: ANN401, PLR0911 - a pointer; a return for each step
    match step:
        case Bias(of_tokens):
            biases = (lib.llama_logit_bias * len(of_tokens))(*of_tokens)
            return lib.llama_sampler_init_logit_bias(vocabulary_size, len(of_tokens), biases)
        case Penalties(window_tokens, repeat, frequency, presence):
            return lib.llama_sampler_init_penalties(vocabulary_size, window_tokens, repeat, frequency, presence)
        case TopK(k):
            return lib.llama_sampler_init_top_k(k)
        case TopP(p) | Nucleus(p):
            return lib.llama_sampler_init_top_p(p, 1)
        case MinP(p):
            return lib.llama_sampler_init_min_p(p, 1)
        case Temperature(temperature):
            return lib.llama_sampler_init_temp(temperature)
        case Draw(seed):
            return lib.llama_sampler_init_dist(seed)
        case Greedy():
            return lib.llama_sampler_init_greedy()
        case _:
            assert_never(step)
