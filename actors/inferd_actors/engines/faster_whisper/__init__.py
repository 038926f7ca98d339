"""Words from speech by Whisper models on CTranslate2 (faster-whisper): files, and streams as they are spoken.

`engine`: the loop. `live`: a request in it.
Of streams: `intake` (frames, and how likely somebody speaks in them), `endpointing` (when somebody begins and ends),
`listening` (what is to be heard when), `utterance`, `agreement` (what is stable), `cadence`, `sound`.
Of files: `spool` (bytes on their way), `reading` (a thread that decodes), `pieces`.
Of all: `line` (whose pass is next), `hearing` (passes and results), `words`, `texts`, `worker` (the thread that computes),
`library` (the only door to faster-whisper and what it stands on), `options`.
`prediction`: what a life will take of memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferd_actors.engine import Engine, Sink


def make(sink: Sink) -> Engine:
    """Return the engine, not loaded; faster-whisper is imported by `load`, numpy here."""
    from inferd_actors.engines.faster_whisper.engine import FasterWhisper

    return FasterWhisper(sink)


def prepare() -> None:
    """Import what `load` would import. Blocks for a second."""
    from inferd_actors.engines.faster_whisper import engine, library  # noqa: F401 - for those who load
