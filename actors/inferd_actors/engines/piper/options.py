"""What a piper voice can be told for its whole life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from inferd.messages.bounds import Length, Range

OWN = -1.0
"""A scale that stays as the voice's file has it."""
Scale = Annotated[float, Range(OWN, 2.0)]


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of the piper engine."""

    slots: Annotated[int, Range(1, 128)] = 8
    """Streams that speak at the same time; those of a higher class come on top."""
    threads: Annotated[int, Range(0, 64)] = 0
    """For one piece of text; 0: as many as there are cores, at most four, beyond which a voice gains nothing."""
    chunk_ms: Annotated[int, Range(20, 100)] = 40
    """Sound in one event."""
    code: Annotated[str, Length(0, 200)] = ""
    """What is said in place of a block of code, in the voice's language; empty: nothing."""
    noise_scale: Scale = OWN
    noise_w_scale: Scale = OWN
    """How much voice and rhythm vary; both 0: the same text always sounds the same."""
