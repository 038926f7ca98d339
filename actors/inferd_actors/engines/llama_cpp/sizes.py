"""How large the engine makes its cache and its steps: a life's settings and the model's training, in numbers.

Covers: the defaults, and what a setting may not exceed. One place for who allocates (`runtime`, `library`) and who predicts
(`prediction`). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from inferd.errors import LoadFailed
from inferd_actors.engines.llama_cpp.options import Options

BATCH_TOKENS: Final = 512
"""llama.cpp's own; larger ones gain nothing on a CPU."""
GPU_BATCH_TOKENS: Final = 2_048
"""Prompts are read twice as fast as with 512 (SmolLM2 on an H200: 39,900 and 79,600 tokens/s; 4,096: 66,700)."""
CPU_UBATCH_TOKENS: Final = 256
"""What is computed at a time: on a CPU more is not faster (64 and 512 read 205 and 208 tokens/s), and the mask of a unified
cache takes two bytes for each of these and each cell: 8 MB for 512 and 8,192."""
DEFAULT_CONTEXT_TOKENS: Final = 4_096
"""The cache is allocated at once: a model trained for 131,072 tokens would take gigabytes for a greeting."""
CONTEXTS: Final = 2
"""The cache has room for so many whole contexts unless told otherwise: few requests fill theirs."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a life allocates by."""

    context_tokens: int
    """Of one request."""
    cells: int
    """Of all together."""
    seats: int
    """Sequences in the cache: requests, and those that have ended and stay."""
    batch_tokens: int
    """Most tokens of a step."""
    ubatch_tokens: int
    """What is computed at a time."""


def sizes_of(options: Options, trained_tokens: int, *, is_offloaded: bool) -> Sizes:
    """Return the sizes of a life. Raises LoadFailed naming the option that asks for more than the model was trained for."""
    _check_context(options.context_tokens, trained_tokens)
    context_tokens = context_tokens_of(options.context_tokens, trained_tokens)
    cells = max(context_tokens, options.cache_tokens or CONTEXTS * context_tokens)
    batch_tokens = min(GPU_BATCH_TOKENS if is_offloaded else BATCH_TOKENS, cells)
    return Sizes(
        context_tokens,
        cells,
        options.slots + options.prefixes,
        batch_tokens,
        ubatch_tokens(batch_tokens, is_offloaded=is_offloaded),
    )


def ubatch_tokens(batch_tokens: int, *, is_offloaded: bool) -> int:
    """Return how much of a batch is computed at a time."""
    return batch_tokens if is_offloaded else min(batch_tokens, CPU_UBATCH_TOKENS)


def context_tokens_of(configured: int, trained: int) -> int:
    """Return how many tokens prompt and answer may have together; `configured` 0: it is not."""
    return configured or min(trained, DEFAULT_CONTEXT_TOKENS)


def _check_context(wanted: int, trained: int) -> None:
    if wanted > trained:
        problem = f"engine option context_tokens: {wanted:,} are wanted, the model was trained for {trained:,}"
        raise LoadFailed(problem, details={"cause": "engine", "option": "context_tokens"})
