"""A loaded model file: weights, vocabulary, and what its header says.

Covers: loading with progress, geometry, what its cache can do. See also: `context`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

from inferd_actors.engines.llama_cpp.library.binding import lib
from inferd_actors.engines.llama_cpp.library.log import forget_complaints, load_failed
from inferd_actors.engines.llama_cpp.library.vocabulary import PIECE_BYTES, Vocabulary, look_at, template_of

CACHE_VALUE_BYTES = 2
"""Keys and values are kept in 16 bits."""
NO_DEVICES = (ctypes.c_void_p * 1)()
"""A list of GPUs that is empty. Without it llama.cpp asks each what it is, even for no layers, which takes 518 MiB of an H200,
and computes large steps there."""


def offloads(gpu_layers: int) -> bool:
    """Tell whether a GPU would compute, or a part of it."""
    return gpu_layers != 0 and bool(lib.llama_supports_gpu_offload())


class Model:
    """A loaded model file."""

    def __init__(self, path: str, *, gpu_layers: int, on_progress: Callable[[float], bool]) -> None:
        """Load. `on_progress(0 to 1)` returns False to give up. Raises LoadFailed with its cause."""
        look_at(path)
        params = lib.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        if gpu_layers == 0:
            params.devices = ctypes.addressof(NO_DEVICES)
        watcher = lib.llama_progress_callback(lambda done, _: on_progress(done))
        params.progress_callback = watcher
        forget_complaints()
        self._model = lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise load_failed(f"llama.cpp cannot load {path}")
        self.vocabulary = Vocabulary(self._model)
        self.is_offloaded = offloads(gpu_layers)
        """Whether a GPU computes, or a part of it."""

    def close(self) -> None:
        """Release the memory; contexts are closed before."""
        lib.llama_model_free(self._model)

    @property
    def handle(self) -> Any:  # noqa: ANN401 - a pointer
        """The library's own object."""
        return self._model

    @property
    def trained_tokens(self) -> int:
        """The context that it was trained for."""
        return int(lib.llama_model_n_ctx_train(self._model))

    @property
    def can_trim(self) -> bool:
        """Whether the end of a sequence can be cut off its cache: not of a state that has no positions, nor of a window."""
        model = self._model
        is_state = lib.llama_model_is_recurrent(model) or lib.llama_model_is_hybrid(model)
        return not is_state and lib.llama_model_n_swa(model) == 0

    @property
    def cell_bytes(self) -> int:
        """What a token takes in the cache."""
        heads = max(1, lib.llama_model_n_head(self._model))
        width = lib.llama_model_n_embd(self._model) // heads * lib.llama_model_n_head_kv(self._model)
        return int(2 * CACHE_VALUE_BYTES * lib.llama_model_n_layer(self._model) * width)

    def memory_bytes(self, cells: int) -> int:
        """Return weights and cache; the buffers of the computation are not in it."""
        return int(lib.llama_model_size(self._model)) + cells * self.cell_bytes

    def metadata(self, key: str) -> str | None:
        """Return a value of the file's header as text, None if there is none; for short values."""
        buffer = ctypes.create_string_buffer(PIECE_BYTES)
        length = lib.llama_model_meta_val_str(self._model, key.encode(), buffer, PIECE_BYTES)
        return buffer.value.decode(errors="replace") if length >= 0 else None

    @property
    def template(self) -> str | None:
        """The chat template in the file."""
        return template_of(self._model)
