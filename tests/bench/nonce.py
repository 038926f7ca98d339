"""Texts that no other stream has, and what is wrong with what came back.

Every word names its app, its stream and its place, so a word that is lost, doubled, moved or of somebody else shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

SHOWN_FAULTS: Final = 5


def text(app: str, stream: int, words: int) -> str:
    """Return the text of one stream, so many words long."""
    return " ".join(f"{app}-{stream}-{place}" for place in range(words))


@dataclass(slots=True)
class Tally:
    """What a process counted. `events`: content and terminal ones, as they arrived."""

    streams: int = 0
    events: int = 0
    faults: list[str] = field(default_factory=list)

    def book(self, name: str, sent: str, received: str, events: int, ends: int) -> None:
        """Count one stream that is over, and note what is wrong with it."""
        self.streams += 1
        self.events += events
        if received != sent:
            at = next((at for at, (a, b) in enumerate(zip(sent, received, strict=False)) if a != b), len(received))
            self.fault(f"{name}: {len(received)} of {len(sent)} characters, the first difference at {at}")
        if ends != 1:
            self.fault(f"{name}: ended {ends} times")

    def fault(self, what: str) -> None:
        """Note something wrong."""
        self.faults.append(what)

    def as_answer(self, cpu_s: float) -> dict[str, object]:
        """Return the counts for the bench; only the first faults are told in words."""
        return {
            "streams": self.streams,
            "events": self.events,
            "n_faults": len(self.faults),
            "faults": self.faults[:SHOWN_FAULTS],
            "cpu_s": cpu_s,
        }
