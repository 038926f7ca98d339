"""What `schedule` wants done in the cache; the engine carries it out, in order.

Covers: the frozen records. A `seat` is a sequence of the cache, a `key` a place on the shelf.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Copy:
    """Let `target`, which is empty, share the first `count` positions of `source`; all of them if the cache cannot be cut."""

    source: int
    target: int
    count: int


@dataclass(frozen=True, slots=True)
class Save:
    """Keep the state of a sequence on the shelf."""

    seat: int
    key: int
    is_parked: bool


@dataclass(frozen=True, slots=True)
class Restore:
    """Bring a state from the shelf into `seat`, which is empty, and leave it `count` positions.

    Answered by `Schedule.lost` if it fails.
    """

    key: int
    seat: int
    count: int
    is_parked: bool
    """The state is of no use to anybody else and may be dropped."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Empty a sequence."""

    seat: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Take a state from the shelf."""

    key: int


Move = Copy | Save | Restore | Forget | Discard
