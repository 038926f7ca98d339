"""One utterance: the parts of it that are heard carefully, and the rough hearings while it goes on.

Covers: its state, its texts, and what becomes of a hearing. Pure. Does not cover when what happens: `listening`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from inferd_actors.engines.faster_whisper.agreement import STALLED, Agreement
from inferd_actors.engines.faster_whisper.cadence import Cadence
from inferd_actors.engines.faster_whisper.hearing import Heard
from inferd_actors.engines.faster_whisper.sound import FRAME_S
from inferd_actors.engines.faster_whisper.texts import looks_finished
from inferd_actors.engines.faster_whisper.words import unrepeated, words_of

PART_LEAST: Final = 500
"""Frames of a part at least, 16 s."""
SENTENCE_LEAST: Final = 250
"""Frames of a part that ends with a sentence, 8 s: shorter ones are heard better with what follows."""
TRIM: Final = 375
"""Frames of rough hearing after which stable words are cut off, 12 s."""


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

    def hear_roughly(self, part: Part, heard: Heard) -> bool:
        """Let a hearing take part in the agreement. False: it brought nothing, or is of other sound than the ones before."""
        self.rough_end = max(self.rough_end, part.end)
        words = unrepeated(words_of(heard))
        if part.first != self.rough_first or not words:
            return False
        self.agreement.hear(words)
        is_to_be_cut = part.end - part.first > TRIM or self.agreement.stalled >= STALLED
        if is_to_be_cut and words[-1].end_s:
            self.rough_first += int(self.agreement.cut() / FRAME_S)
        return True

    def keep(self, part: Part) -> None:
        """Let a clean pass at a pause stay, if it was long and brought words; the next one begins behind it."""
        if part.heard is None or not part.heard.segments or part.first != self.part_first:
            return
        if part.end - part.first < (SENTENCE_LEAST if looks_finished(part.heard.text) else PART_LEAST):
            return
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
