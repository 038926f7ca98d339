"""One utterance: the parts of it that are heard carefully, and the rough hearings while it goes on.

Covers: its state, and its texts. Pure. Does not cover when what happens: `listening`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from inferd_actors.engines.faster_whisper.agreement import Agreement
from inferd_actors.engines.faster_whisper.cadence import Cadence
from inferd_actors.engines.faster_whisper.hearing import Heard
from inferd_actors.engines.faster_whisper.sound import FRAME_S


@dataclass(slots=True, eq=False)
class Part:
    """A stretch of frames that gets one clean pass."""

    first: int
    end: int
    heard: Heard | None = None

    @property
    def sound_s(self) -> float:
        """How long it is."""
        return (self.end - self.first) * FRAME_S


@dataclass(slots=True, eq=False)
class Utterance:
    """From the moment when somebody speaks until its final text has been said."""

    number: int
    start: int
    """Frame in which it began."""
    part_first: int
    """Frame from which no clean pass has been asked yet."""
    rough_first: int
    """Frame from which it is heard again and again."""
    agreement: Agreement = field(default_factory=Agreement)
    cadence: Cadence = field(default_factory=Cadence)
    parts: list[Part] = field(default_factory=list)
    """In order; the last one of an open utterance may be a suspicion."""
    suspicion: Part | None = None
    """The clean pass that was asked for at a pause; dropped if speech goes on."""
    rough_end: int = 0
    """Frame up to which it has been heard roughly."""
    end: int = 0
    """Frame behind its last speech, once it is over."""
    stopped_s: float | None = None
    """When it was over; None: it goes on."""

    def keep(self, part: Part) -> None:
        """Take a part that was heard, in front of all that is not."""
        self.part_first = part.end
        if self.suspicion is not None:
            self.suspicion.first = part.end
        self.parts.insert(len(self.parts) - (self.suspicion is not None), part)

    @property
    def waiting(self) -> Part | None:
        """The next part that nobody has heard."""
        return next((part for part in self.parts if part.heard is None), None)

    @property
    def is_said(self) -> bool:
        """Whether its final text is known."""
        return self.stopped_s is not None and self.waiting is None

    @property
    def text(self) -> str:
        """What the clean passes have brought so far."""
        return "".join(part.heard.text for part in self.parts if part.heard)

    @property
    def needed(self) -> int:
        """The first frame that is still needed for it."""
        waiting = self.waiting
        going_on = [] if self.stopped_s is not None else [self.part_first, self.rough_first]
        return min([*going_on, *([waiting.first] if waiting else [])], default=self.end)
