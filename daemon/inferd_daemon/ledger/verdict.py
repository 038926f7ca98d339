"""What becomes of a load that waits for memory: the decision itself, from numbers alone. Pure.

Covers: one load against one memory, and which memory decides where it needs several. Does not cover the order of loads nor
keeping the books: `machine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inferd_daemon.ledger.room import Device
from inferd_daemon.ledger.victims import Candidate, cheapest


@dataclass(frozen=True, slots=True)
class Books:
    """One memory as a load finds it. All in bytes."""

    ceiling_bytes: int
    """What may be held at the best of times."""
    limit_bytes: int
    """What may be held now."""
    pinned_bytes: int
    """Held by models that never leave."""
    free_bytes: int
    """Not held by anybody; less than 0 when the limit has fallen below what is held."""
    spare_bytes: int
    """Free or soon to be, after the loads that come first have had theirs."""
    may_pass: bool
    """Whether it may take what is free although loads before it wait."""
    own_bytes: int = 0
    """Held by models of the very hold that waits; taken off ceiling and limit."""
    leased_bytes: int = 0
    """Held by models of other holds, for a hold: it does not wait for their end. 0 for other loads, which do."""


@dataclass(frozen=True, slots=True)
class Fits:
    """It may begin."""


@dataclass(frozen=True, slots=True)
class FitsAfter:
    """It may begin once these are gone; nobody: once those are gone who leave already."""

    victims: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Waits:
    """Everything that it could have is in use, or belongs to a load before it."""

    behind: bool
    """Behind another load."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """It never fits. `beside_pinned`: it would, without the pinned models and those of other holds."""

    beside_pinned: bool


@dataclass(frozen=True, slots=True)
class Squeezed:
    """It would fit, but other programs have the memory now."""


Verdict = Fits | FitsAfter | Waits | TooLarge | Squeezed

FROM_WORST: Final[tuple[type[Verdict], ...]] = (TooLarge, Squeezed, Waits, FitsAfter, Fits)
"""A load that needs several memories has the verdict of the one where it fares worst."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One load against one memory."""

    device: Device
    books: Books
    verdict: Verdict


def decisive(judgements: Sequence[Judgement]) -> Judgement:
    """Return the one that decides; of equals the first. Raises ValueError for none."""
    return min(judgements, key=lambda one: FROM_WORST.index(type(one.verdict)))


def victims_of(judgements: Sequence[Judgement]) -> tuple[Candidate, ...]:
    """Return all who are to leave if that is what the load comes to."""
    return tuple(
        one for judged in judgements if isinstance(judged.verdict, FitsAfter) for one in judged.verdict.victims
    )


def judge(need_bytes: int, books: Books, idle: Sequence[Candidate], yielding: Sequence[Candidate]) -> Verdict:
    """Return what becomes of a load. `yielding`: models in use that have had their turn; none while it is to be patient.

    1. Larger than may ever be held, or than pinned models, and for a hold those of other holds, leave: it never fits.
    2. Free, and no load before it needs it: it fits.
    3. Larger than the machine could give now: other programs have it.
    4. Enough leaves already: it fits after that.
    5. Enough is idle, or may yield: it fits after the cheapest of these. If no set is enough nobody leaves for it.
    6. It waits.
    """
    kept_bytes = books.pinned_bytes + books.leased_bytes
    if need_bytes > books.ceiling_bytes - kept_bytes:  # 1
        return TooLarge(beside_pinned=need_bytes <= books.ceiling_bytes)
    if need_bytes <= books.free_bytes and (need_bytes <= books.spare_bytes or books.may_pass):  # 2
        return Fits()
    if need_bytes > books.limit_bytes - kept_bytes:  # 3
        return Squeezed()
    if need_bytes <= books.spare_bytes:  # 4
        return FitsAfter(())
    for candidates in (idle, (*idle, *yielding)):  # 5
        victims = cheapest(candidates, need_bytes - books.spare_bytes)
        if victims is not None:
            return FitsAfter(victims)
    return Waits(behind=books.spare_bytes < books.free_bytes)  # 6
