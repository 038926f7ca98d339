"""One request in the engine as its tokens and its place: what `schedule` moves about.

Covers: the record, what it still has to compute, how urgent it is. Does not cover its text (`answer`) and its sampler. Pure.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Final

from inferd_actors.engine import StreamId
from inferd_actors.engines.aside import VOICE, can_wait

AGING_S: Final = 30.0
"""After each such spell of waiting a request counts one class higher, so that background work ends under endless load."""
HOLD_S: Final = 10.0
"""How long it keeps that class once it is seated: else the next arrival would take the seat at once."""
SPOKEN_TOKENS_PER_S: Final = 5.0
"""What a listener hears at most: speech has three words a second, of one and a half tokens each."""
FIRST_TOKENS: Final = 14
"""So many of a voice answer are in a hurry: a first clause. Its sound is computed next, in twice the time beside a text model
that goes on writing."""
AHEAD_TOKENS: Final = 7
"""After them it is in no hurry with so much more than a listener may have heard: a second and a half of speech."""


@dataclass(slots=True, eq=False)
class Live:
    """A request with a prompt. `tokens`: prompt and answer; the first `cached` of them are in the cache or on the shelf."""

    stream: StreamId
    rank: int
    """0 voice, 1 interactive, 2 batch, 3 background."""
    salt: str
    is_public: bool
    """Its prefix may be reused by other apps that say the same of theirs."""
    tokens: array[int]
    prompt_tokens: int
    order: int
    """Of arrival; unique."""
    waits_since_s: float
    seat: int | None = None
    """Its sequence in the cache; None while it waits."""
    cached: int = 0
    reused: int = 0
    """How much of the prompt was in the cache before: `usage.cached_tokens`."""
    is_parked: bool = False
    """It had a seat and was set aside."""
    knows_parked: bool = False
    """Its app has been told so."""
    is_halted: bool = False
    """The app reads too slowly, or asked to pause."""
    shelved: int | None = None
    """Key of its state on the shelf."""
    added_s: float = 0.0
    begun_s: float = 0.0
    """When it came, and when its first token did; 0: not yet."""
    seated_class: int = 0
    seated_s: float = 0.0
    """The class that waiting had earned it when it was seated, and when that was."""

    @property
    def pending(self) -> int:
        """Tokens that are not in the cache yet: at least the latest one."""
        return len(self.tokens) - self.cached

    @property
    def is_reading(self) -> bool:
        """Whether a part of its prompt, or of what was lost, is still to be read: its next token is not due yet."""
        return self.pending > 1 or len(self.tokens) == self.prompt_tokens

    @property
    def is_writing(self) -> bool:
        """Whether its next token is due, and nothing holds it up."""
        return not (self.is_halted or self.is_reading)

    def can_wait(self, now_s: float) -> bool:
        """Tell whether it steps aside for voice work: by its class, or as a voice answer that is far ahead of its listener."""
        if self.rank != VOICE or not self.begun_s:
            return can_wait(self.rank)
        written = len(self.tokens) - self.prompt_tokens
        ahead_tokens = written - SPOKEN_TOKENS_PER_S * (now_s - self.begun_s)
        return written >= FIRST_TOKENS and ahead_tokens >= AHEAD_TOKENS

    def urgency(self, now_s: float) -> tuple[int, int]:
        """Return what the most urgent has least of: class, corrected by how long it has waited, then arrival."""
        if self.rank == VOICE:
            return VOICE, self.order
        if self.seat is not None:
            return (self.seated_class if now_s - self.seated_s < HOLD_S else self.rank), self.order
        return max(VOICE + 1, self.rank - int((now_s - self.waits_since_s) / AGING_S)), self.order


@dataclass(slots=True, eq=False)
class Prefix:
    """Tokens of a request that has ended, kept for the next one that begins with them."""

    tokens: array[int]
    salt: str
    is_public: bool
    seat: int | None = None
    """Where it stands in the cache; None: on the shelf."""
    shelved: int | None = None
