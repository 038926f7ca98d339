"""Text from GGUF files by llama.cpp, one request at a time.

`options`: settings of a life; `sizes`: what they make of cache and steps; `prediction`: how much memory that will take.
`engine`: the loop, and the life of an answer in it (`answer`). `library`: the only door to llama.cpp. `sampling`: the plan of a
sampler chain. `template`: the model's chat template, rendered by a process of its own (`rendering`), because it is a program
from a file that nobody vouches for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd_actors.engines.llama_cpp.engine import LlamaCpp

if TYPE_CHECKING:
    from inferd_actors.engine import Engine, Sink


def make(sink: Sink) -> Engine:
    """Return the engine, not loaded; llama.cpp is imported by `load`."""
    return LlamaCpp(sink)


def prepare() -> None:
    """Import what `load` would import, and open the library. Blocks for a quarter of a second."""
    from inferd_actors.engines.llama_cpp import batching, library, preparing, runtime  # noqa: F401 - for those who load

    library.open_library()
