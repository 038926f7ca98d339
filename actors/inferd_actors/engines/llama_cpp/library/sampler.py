"""Chains of llama.cpp's sampling steps.

Covers: building a chain from its plan (`sampling`), and its memory of what was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from llama_cpp import llama_cpp as lib

from inferd_actors.engines.llama_cpp.sampling import (
    Draw,
    Greedy,
    MinP,
    Penalties,
    Step,
    Temperature,
    TopK,
    TopP,
)


class Sampler:
    """A chain of sampling steps; it remembers what it chose."""

    def __init__(self, steps: Sequence[Step], vocabulary_size: int) -> None:
        self.handle = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for step in steps:
            lib.llama_sampler_chain_add(self.handle, _link(step, vocabulary_size))

    def close(self) -> None:
        """Release it."""
        lib.llama_sampler_free(self.handle)


def _link(step: Step, vocabulary_size: int) -> Any:  # noqa: ANN401, PLR0911 - a pointer; a return for each step
    match step:
        case Penalties(window_tokens, repeat, frequency, presence):
            return lib.llama_sampler_init_penalties(vocabulary_size, window_tokens, repeat, frequency, presence)
        case TopK(k):
            return lib.llama_sampler_init_top_k(k)
        case TopP(p):
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
