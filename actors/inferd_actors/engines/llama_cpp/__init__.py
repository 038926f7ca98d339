"""Text from GGUF files by llama.cpp, many requests at a time.

`options`: settings of a life; `sizes`: what they make of cache and steps; `prediction`: how much memory that will take.
`opening`: what of a load can be done ahead of it; `runtime`: the load.
`engine`: the loop, and the life of an answer in it (`answer`). `preparing`: prompts, meanwhile; `fragments`: what of them was
tokenized before. `batching`: a step; `crew`: the threads that compute it. `library`: the only door to llama.cpp.
`sampling`: the plan of a sampler chain. `template`: the model's chat template, rendered by a process of its own
(`rendering`), because it is a program from a file that nobody vouches for.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from inferd.errors import LoadFailed
from inferd_actors.engines import options as settings
from inferd_actors.engines.llama_cpp.engine import LlamaCpp
from inferd_actors.engines.llama_cpp.options import Options

if TYPE_CHECKING:
    from inferd_actors.engine import Engine, EngineFactory, Sink
    from inferd_actors.messages import Options as Settings


def make(sink: Sink) -> Engine:
    """Return the engine, not loaded; llama.cpp is imported by `load`."""
    return LlamaCpp(sink)


def prepare() -> None:
    """Import what `load` would import, and open the library. Blocks for a quarter of a second."""
    from inferd_actors.engines.llama_cpp import batching, library, preparing, runtime  # noqa: F401 - for those who load

    library.open_library()


def open_ahead(path: str, options: Settings) -> EngineFactory | None:
    """Return how the engine is made with this file open; None on a GPU, whose memory is not taken before somebody asks.

    Blocks while weights and vocabulary are read, the cache is made and the chat template is compiled; raises LoadFailed.
    """
    from inferd_actors.engines.llama_cpp import library
    from inferd_actors.engines.llama_cpp.opening import open_file

    chosen = settings.read(options, Options)
    library.open_library()
    if library.offloads(chosen.gpu_layers):
        return None
    opened = open_file(path, chosen.gpu_layers, lambda _done: True)
    try:
        with suppress(LoadFailed):  # the load will say why, and has the file
            opened.prepare_cache(chosen)
        opened.await_template()
    except BaseException:
        opened.close()
        raise
    return partial(LlamaCpp, ahead=opened)
