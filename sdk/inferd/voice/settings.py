"""When a turn ends, what interrupts, how sound is handed out: the settings of a voice session, called as voice apps know them.

Covers: the values and their bounds. Origins: measured and published start values, as named beside each. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from inferd.errors import InvalidRequest

MAX_MS: Final = 60_000
"""A minute: longer is a mistake of units."""
HALF_DUPLEX_WORDS: Final = 2
"""Words that interrupt while our own voice comes back through the microphone."""
HALF_DUPLEX_THRESHOLD: Final = 1.5
"""How many times more certain of speech the detector has to be then."""

HIGHEST_THRESHOLD: Final = 0.9
"""Clear speech stays above it, by the detector's own figures; beyond it words are lost."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a session takes turns. Raises InvalidRequest naming a value that is out of its range."""

    vad_threshold: float = 0.5
    """Probability of speech above which a frame counts as speech."""
    speech_start_ms: int = 200
    """Speech shorter than this starts no utterance (pipecat: 200)."""
    min_endpointing_delay_ms: int = 500
    """Silence that ends the user's turn when the sentence looks finished (LiveKit: 500)."""
    max_endpointing_delay_ms: int = 2_500
    """Silence that ends it when the sentence does not (LiveKit: 3,000)."""
    preemptive_generation: bool = True
    """The answer's text begins before the turn is known to be over; nothing of it is spoken before."""
    allow_interruptions: bool = True
    """False: what the user says into an answer is not listened to."""
    interruption_min_words: int = 1
    """Recognised words that end the answer; it pauses at the first sound. 0: `interruption_min_ms` of speech end it."""
    interruption_min_ms: int = 500
    """Speech that ends the answer where no words are needed; and beside words inside the back-channel window."""
    false_interruption_timeout_ms: int = 2_000
    """A pause in which no words came is over after this long, and the answer goes on (LiveKit: 2,000)."""
    backchannel_window_ms: int = 1_000
    """So long after the answer begins to sound, short remarks do not end it (LiveKit: 1,000)."""
    backchannels: frozenset[str] = frozenset(
        {"mhm", "mm", "mmhmm", "hm", "hmm", "uh", "uhhuh", "um", "uhum", "ah", "oh"}
    )
    """Words that say "go on", and never end an answer."""
    half_duplex: bool = False
    """Our own voice comes back through the microphone (loudspeakers without echo cancellation): interrupting needs more."""
    thinking_after_ms: int = 1_000
    """Dead air after which `Thinking` is told, so that the app can play something."""
    output_lead_ms: int = 120
    """How far ahead of the clock sound is handed out: what has been handed out cannot be taken back."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_ms") and not (type(value) is int and 0 <= value <= MAX_MS):
                raise _invalid(field.name, f"expected 0 to {MAX_MS:,} milliseconds, got {value!r}")
        if type(self.interruption_min_words) is not int or self.interruption_min_words < 0:
            raise _invalid("interruption_min_words", f"expected 0 or more, got {self.interruption_min_words!r}")
        if not 0 <= self.vad_threshold <= 1:
            raise _invalid("vad_threshold", f"expected 0 to 1, got {self.vad_threshold!r}")

    @property
    def threshold(self) -> float:
        """The detector's threshold, raised where our own voice comes back; never past what speech reaches."""
        return (
            min(HIGHEST_THRESHOLD, self.vad_threshold * HALF_DUPLEX_THRESHOLD)
            if self.half_duplex
            else self.vad_threshold
        )

    @property
    def words_to_interrupt(self) -> int:
        """How many recognised words end an answer; 0: none are needed."""
        return max(HALF_DUPLEX_WORDS, self.interruption_min_words) if self.half_duplex else self.interruption_min_words


def _invalid(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {problem}", details={"field": field})
