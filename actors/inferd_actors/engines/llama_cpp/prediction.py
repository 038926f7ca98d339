"""How much memory a life of this engine will take, from the file's header and the life's settings, before anything is loaded.

Covers: the process that computes and the one that renders its chat template. Does not cover what is learned from earlier lives:
a measured peak is better than any of this. Nor AMX, whose own order of weights no header tells. Pure.

What a process takes:
1. weights: pages of the file, which the kernel can drop and read again; some types are copied into another order besides.
2. cache: all of it is written at the load. Windows do not shorten it, for llama.cpp keeps whole caches (`swa_full`).
3. compute: what a step needs at a time: the attention's mask, the way through the widest layer, the last numbers of all seats.
4. words: the tokenizer.
5. base: the interpreter, the libraries, the line to the daemon.
6. shelf: parked requests and old prefixes in host memory; empty at first, in time as full as it may be.

On a GPU weights and cache of the layers that it was given lie there, and what a step needs; and CUDA's own, on both sides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from inferd_actors.engines import options as settings
from inferd_actors.engines.llama_cpp.options import Options
from inferd_actors.engines.llama_cpp.sizes import Sizes, sizes_of
from inferd_actors.headers.header import Header

MIB: Final = 2**20
CACHE_BYTES: Final = 2
"""Of a number in the cache: keys and values are kept in 16 bits."""
STATE_BYTES: Final = 4
"""Of a number of a recurrent state."""
CELLS_STEP: Final = 256
"""llama.cpp rounds the cells of a cache up to a multiple of this."""
MASK_BYTES: Final = 2
"""Of the attention's mask, for each cell and token of a step: measured 520 / 256 for SmolLM2 between 1,024 and 16,384 cells."""
NUMBER_BYTES: Final = 4
HIDDEN_NUMBERS: Final = 2
WIDTH_NUMBERS: Final = 4
"""Of a token on its way through a layer, times its hidden and its plain width: SmolLM2's steps take 5.0 MiB for 256 tokens,
which this makes 5.3."""
LAST_NUMBERS: Final = 2
"""The vocabulary's scores of each seat are there twice: as computed, and as handed out."""
TOKEN_BYTES: Final = 140
MERGE_BYTES: Final = 160
"""Of a tokenizer in memory: 13 MiB for 100,000 tokens without merges; SmolLM2's 49,152 and 48,900 merges take 14.1 MiB."""
BASE_BYTES: Final = 82 * MIB
"""Of a process with next to no model in it, beside the others of a daemon: 63 MiB of its own, 19 of libraries shared with them.
With the other constants, predicted and measured for SmolLM2 135M (process and template renderer together, MiB of PSS, after
eight streams, an empty shelf unless stated):

| file, context tokens | cells | predicted | measured |
|---|---|---|---|
| Q4_1, 512 | 1,024 | 232 | 228 |
| Q4_1, 1,024 | 2,048 | 255 | 250 |
| Q4_1, 2,048 | 4,096 | 301 | 294 |
| Q4_1, 2,048, shelf 32 MiB | 4,096 | 333 | 334 |
| Q4_1, 4,096 | 8,192 | 393 | 391 |
| Q4_1, 8,192 | 16,384 | 577 | 570 |
| Q4_0, 2,048 | 4,096 | 352 | 354 |
| a model of 0.4 MiB, 1,024 | 2,048 | 97 | 97 |

Where other processes map the same file, PSS counts its pages by halves, and less is measured.
"""
TEMPLATE_BYTES: Final = 12 * MIB
"""The process that renders chat templates: 11 to 12 MiB, an interpreter with jinja2."""


CUDA_BYTES: Final = 608 * MIB
"""Of a GPU's memory for a process that computes there, whatever the model: 518 to 608 MiB on an H200 with llama.cpp 0.3.36."""
CUDA_BASE_BYTES: Final = 126 * MIB
"""Of the machine's, for the libraries: a process without a model takes 200 MB with them, 74 without."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Bytes of one life, by what they are for."""

    weights_bytes: int
    """Backed by the file."""
    reordered_bytes: int
    """Copies of weights in another order, beside the file's pages."""
    cache_bytes: int
    compute_bytes: int
    words_bytes: int
    base_bytes: int
    template_bytes: int
    shelf_bytes: int
    gpu_share: float = 0.0
    """How much of the model's layers a GPU was given."""

    @property
    def device_bytes(self) -> int:
        """What lies where the model is computed."""
        return self.weights_bytes + self.reordered_bytes + self.cache_bytes + self.compute_bytes

    @property
    def gpu_bytes(self) -> int:
        """What is to be reserved of the GPUs' own memory."""
        if not self.gpu_share:
            return 0
        return CUDA_BYTES + self.compute_bytes + int(self.gpu_share * (self.weights_bytes + self.cache_bytes))

    @property
    def opened_bytes(self) -> int:
        """What an open file takes on a CPU with its cache, beyond the process that holds it."""
        return self.device_bytes + self.words_bytes + self.template_bytes

    @property
    def loaded_bytes(self) -> int:
        """Everything in the machine's memory once it has served requests, with an empty shelf."""
        moved_bytes = int(self.gpu_share * (self.weights_bytes + self.cache_bytes))
        base_bytes = self.base_bytes + (CUDA_BASE_BYTES if self.gpu_share else 0)
        return self.device_bytes - moved_bytes + self.words_bytes + base_bytes + self.template_bytes

    @property
    def peak_bytes(self) -> int:
        """The same with a full shelf: what is to be reserved."""
        return self.loaded_bytes + self.shelf_bytes


def predict(
    header: Header,
    options: Mapping[str, str | int | float | bool],
    *,
    reordered: Collection[str] = (),
    has_gpu: bool = False,
) -> Prediction:
    """Return what a life with these settings takes.

    `reordered`: types of tensors that are copied on this machine, see `reordering`. `has_gpu`: llama.cpp computes on one that
    has memory of its own, unless the settings give it no layers. Raises LoadFailed naming the setting that is wrong, as the
    load itself would.
    """
    chosen = settings.read(options, Options)
    is_offloaded = has_gpu and chosen.gpu_layers != 0
    sizes = sizes_of(chosen, header.context_tokens, is_offloaded=is_offloaded)
    copied = 0 if is_offloaded else sum(size for kind, size in header.tensor_bytes.items() if kind in reordered)
    return Prediction(
        weights_bytes=header.weights_bytes,
        reordered_bytes=copied,
        cache_bytes=_cache_bytes(header, sizes),
        compute_bytes=_compute_bytes(header, sizes),
        words_bytes=TOKEN_BYTES * header.vocabulary + MERGE_BYTES * header.merges,
        base_bytes=BASE_BYTES,
        template_bytes=TEMPLATE_BYTES if header.has_template else 0,
        shelf_bytes=chosen.shelf_bytes,
        gpu_share=_gpu_share(chosen.gpu_layers, len(header.layers.keys)) if is_offloaded else 0.0,
    )


def _gpu_share(gpu_layers: int, layers: int) -> float:
    """Return how much of a model lies on GPUs; the layer behind the last one, which makes the scores, counts as one more."""
    return 1.0 if gpu_layers < 0 else min(1.0, gpu_layers / (layers + 1))


def _cache_bytes(header: Header, sizes: Sizes) -> int:
    layers = header.layers
    cell_bytes = CACHE_BYTES * (sum(layers.keys) + sum(layers.values))
    return cell_bytes * _rounded(sizes.cells) + STATE_BYTES * sum(layers.states) * sizes.seats


def _compute_bytes(header: Header, sizes: Sizes) -> int:
    masks = (2 if header.window_tokens else 1) if any(header.layers.keys) else 0
    mask_bytes = masks * MASK_BYTES * _rounded(sizes.cells) * sizes.ubatch_tokens
    passing = HIDDEN_NUMBERS * header.hidden + WIDTH_NUMBERS * header.width
    last = LAST_NUMBERS * header.vocabulary * sizes.seats
    return mask_bytes + NUMBER_BYTES * (passing * sizes.ubatch_tokens + last)


def _rounded(cells: int) -> int:
    return -(-cells // CELLS_STEP) * CELLS_STEP
