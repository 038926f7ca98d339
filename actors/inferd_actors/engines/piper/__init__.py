"""Text spoken by piper voices, while it is still being written.

`request`: what is asked. `speakable`: what of a text is said, by `markup`; `segmenting`: in which pieces. `narration`: one
stream, with its `words` and its `playhead`. `turns`: whose piece is next. `engine`: the loop; `worker`: the thread that does
`jobs`. `library`: the only door to piper and ONNX Runtime, with `graph`, which has the network tell its times; `sentences`: to
sentencex. `prediction`: what a life will take of memory. piper is under the GPL 3.0: an extra, in a process of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferd_actors.engine import Engine, Sink


def make(sink: Sink) -> Engine:
    """Return the engine, not loaded; piper is imported by `load`, numpy here."""
    from inferd_actors.engines.piper.engine import Piper

    return Piper(sink)


def prepare() -> None:
    """Import what `load` would import. Blocks for a second."""
    from inferd_actors.engines.piper import engine, library, sentences, worker  # noqa: F401 - for those who load
