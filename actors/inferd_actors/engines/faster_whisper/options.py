"""What a Whisper model can be told for its whole life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from inferd.messages.bounds import Range


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of the faster-whisper engine; 0 where a default depends on the machine."""

    streams: Annotated[int, Range(1, 256)] = 16
    """Streams and files that are listened to at the same time; they share one model, one pass at a time."""
    compute_type: Literal["int8", "int8_float32", "int8_float16", "float16", "float32"] = "int8"
    threads: Annotated[int, Range(0, 256)] = 0
    """Of one pass; 0: as many as this process may use cores."""
    device: Literal["cpu", "cuda", "auto"] = "cpu"
