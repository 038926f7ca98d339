"""How much memory a life of this engine will take, from the header of its `model.bin` and its settings, before a load.

Covers: one process that listens. Does not cover what is learned from earlier lives: a measured peak is better. Pure.

What a process takes, predicted and measured for two models (MiB of PSS of the process of a real service, two cores, after a
request of 25 s and one of 75 s of sound, the peak in the latter):

| model, compute type | weights and copies | windows | base | requests | predicted | measured |
|---|---|---|---|---|---|---|
| tiny.en, int8 | 54 | 18 | 150 | 48 | 270 | 270 |
| base, int8 | 105 | 35 | 150 | 48 | 338 | 346 |
| tiny.en, float32 | 178 | 18 | 217 | 48 | 461 | 465 |
| base, float32 | 343 | 35 | 217 | 48 | 643 | 643 |
| tiny.en, float32, not Intel | 147 | 18 | 150 | 48 | 363 | 362 |
| base, float32, not Intel | 283 | 35 | 150 | 48 | 516 | 514 |

On Intel's processors CTranslate2 computes in 32 bits by MKL, which keeps buffers and leaves more of the conversion in the heap;
in 8 bits the others take the same (272 and 328 MiB on an AMD EPYC).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from inferd_actors.headers.header import Header

MIB: Final = 2**20
FILE: Final = "model.bin"
"""Which of a model's files has the header."""
WIDE: Final = frozenset({"float16", "bfloat16", "float32"})
"""Compute types of weights that are kept in 32 bits on a processor: it computes with none in 16."""
NARROW_BYTES: Final = 1.51
WIDE_BYTES: Final = 4.09
WIDE_MKL_BYTES: Final = 4.95
"""Of each number of the weights: as computed with, and what their conversion from the file's 16 bits leaves in the heap."""
BASE_BYTES: Final = 150 * MIB
MKL_BYTES: Final = 67 * MIB
"""Interpreter, libraries, tokenizer, the model that hears speech; and the buffers that MKL keeps for 32 bits."""
FRAMES: Final = 1_500
"""Of a window of 30 s as the encoder gives it: each layer of the decoder keeps keys and values of all of it."""
NUMBER_BYTES: Final = 4
REQUEST_BYTES: Final = 48 * MIB
"""Sound, spectra, and the beams of an answer."""


def peak_bytes(header: Header, options: Mapping[str, str | int | float | bool], *, has_mkl: bool) -> int:
    """Return what is to be reserved for a life. A setting that the engine will refuse counts as its default.

    `has_mkl`: the processor is one for which MKL is used.
    """
    number_bytes, base_bytes = NARROW_BYTES, BASE_BYTES
    if options.get("compute_type") in WIDE:
        number_bytes = WIDE_MKL_BYTES if has_mkl else WIDE_BYTES
        base_bytes += MKL_BYTES if has_mkl else 0
    windows = NUMBER_BYTES * FRAMES * (sum(header.layers.keys) + sum(header.layers.values))
    return int(number_bytes * header.parameters) + windows + base_bytes + REQUEST_BYTES
