"""What an echo model can be told for its whole life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from inferd.messages.bounds import Count, Range


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of the echo engine; a token is a word."""

    tokens_per_s: Annotated[float, Range(0.0, 1_000_000.0)] = 0.0
    """Words per second of each stream; 0: as fast as they are taken."""
    load_s: Annotated[float, Range(0.0, 3_600.0)] = 0.0
    memory_bytes: Annotated[int, Range(0, 2**40)] = 0
    """Really allocated and touched."""
    slots: Annotated[int, Range(1, 100_000)] = 4_096
    context_tokens: Annotated[int, Range(1, 100_000_000)] = 1_000_000
    """Words of all messages together; a longer prompt is refused."""
    can_park: bool = False
    """Sets lower classes aside when slots are short."""
    load_fails: Literal["", "file_missing", "file_corrupt", "no_memory", "engine"] = ""
    """Fail to load, with this cause."""
    crash_after_tokens: Count = 0
    """Kill the process when a stream has had this many words and wants another; 0: never."""
    hang_after_tokens: Count = 0
    """Stop the loop, life signs included, at that moment; 0: never."""
    stick_after_tokens: Count = 0
    """Go round with life signs, obey orders and say nothing more, from that moment until that stream ends; 0: never."""
