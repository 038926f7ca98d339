"""Whether the llama.cpp that is installed computes on NVIDIA GPUs, told from its files: the daemon never loads it.

Covers: the look. Does not cover whether there is a GPU: `memory.gpus` in the daemon. Blocks for a look into a folder.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

BACKEND: Final = "*ggml-cuda*"
"""The library of llama.cpp's part for CUDA, beside the others in the package's folder `lib`."""


def is_built_for_cuda() -> bool:
    """Return whether llama.cpp was compiled for CUDA."""
    package = find_spec("llama_cpp")
    return package is not None and package.origin is not None and has_backend(Path(package.origin).parent / "lib")


def has_backend(folder: Path) -> bool:
    """Return whether the part for CUDA lies in this folder."""
    return next(folder.glob(BACKEND), None) is not None
