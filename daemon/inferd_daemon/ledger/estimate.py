"""What a model will take, before it was ever loaded here. Pure.

Covers: the first estimate, from what the catalogue knows. Does not cover what was learned: `peaks`; nor what a
header tells, which is nearer: `foresight`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from inferd_actors.engines.llama_cpp import sizes
from inferd_actors.engines.llama_cpp.options import Options as LlamaOptions

PROCESS_BYTES: Final = 96 * 2**20
"""A process with an engine's library and nothing loaded: 60 to 90 MB were measured."""

WEIGHTS_FACTOR: Final = 1.1
"""Weights and what is computed in between, in parts of the file."""

CACHE_BYTES_PER_TOKEN: Final = 23_040
CACHE_FILE_BYTES: Final = 98 * 10**6
"""A 135M model (30 layers, 3 heads of 64, 16 bit) in a file of 98 MB keeps 23 kB a token, an 8B model in one of 4.7 GB
131 kB: the square root of the file's size comes close to both."""

SPEECH_BYTES: Final = 100 * 2**20
"""Of libraries and of a request of engines that hear or speak, beyond their weights: Whisper base takes 346 MiB in all, of
which its file is 143."""

SPEECH_LIBRARIES_BYTES: Final = 48 * 2**20
"""What those libraries take more than llama.cpp's before there is a model: 74 MiB faster-whisper's and 59 piper's, 34 its."""

Options = Mapping[str, str | float | int | bool]


def first_estimate_bytes(engine: str, file_bytes: int, options: Options, context_tokens: int | None) -> int:
    """Return the peak to be expected of a model's process. `context_tokens`: as the catalogue says; None: not known."""
    if engine == "echo":
        return PROCESS_BYTES + _number(options, "memory_bytes", 0)
    if engine != "llama_cpp":
        return PROCESS_BYTES + SPEECH_BYTES + int(WEIGHTS_FACTOR * file_bytes)
    trained_tokens = context_tokens or sizes.DEFAULT_CONTEXT_TOKENS
    context = sizes.context_tokens_of(_number(options, "context_tokens", 0), trained_tokens)
    cached = _number(options, "cache_tokens", 0) or sizes.CONTEXTS * context
    per_token = CACHE_BYTES_PER_TOKEN * math.sqrt(max(file_bytes, 1) / CACHE_FILE_BYTES)
    shelf_bytes = _number(options, "shelf_bytes", LlamaOptions().shelf_bytes)
    return PROCESS_BYTES + int(WEIGHTS_FACTOR * file_bytes + cached * per_token) + shelf_bytes


def prepared_bytes(engine: str) -> int:
    """Return what a process takes that has imported this engine's libraries and has no model."""
    return PROCESS_BYTES + (0 if engine == "llama_cpp" else SPEECH_LIBRARIES_BYTES)


def _number(options: Options, name: str, default: int) -> int:
    """Return an option as the engine would read it; what the engine will refuse counts as the default."""
    value = options.get(name, default)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default
