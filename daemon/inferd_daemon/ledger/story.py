"""What the ledger decided and why: the last decisions, each with the bytes that were compared; and what loads took.

Covers: the records and their bound. See also: `inferd why`, which shows them. Pure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger.room import Device

MAX_RECORDS: Final = 512
"""Some hours of a busy machine, in 200 kB."""

Kind = Literal["load", "wait", "refusal", "eviction", "failure", "ready"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one model's memory."""

    at_s: float
    kind: Kind
    model: ModelId
    app: str
    """Who asked for the load that it was about; empty: nobody, time did."""
    device: Device
    """The memory that decided; the bytes are its."""
    need_bytes: int
    """Of the load; what an evicted, failed or ready model held."""
    before_bytes: int
    """Held by all models before it."""
    after_bytes: int
    """And with it carried out."""
    limit_bytes: int
    rule: str
    """Which rule decided, with its numbers."""
    help: str
    """What would help; empty where nothing is amiss."""


class Story:
    """The last decisions, oldest first."""

    def __init__(self) -> None:
        self._records: deque[Decision] = deque(maxlen=MAX_RECORDS)

    def note(self, decision: Decision) -> None:
        """Remember one, and forget the oldest if there are too many."""
        self._records.append(decision)

    def of(self, model: ModelId) -> tuple[Decision, ...]:
        """Return what was decided about this model, oldest first."""
        return tuple(one for one in self._records if one.model == model)
