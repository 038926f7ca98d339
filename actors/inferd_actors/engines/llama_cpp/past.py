"""What ended requests have computed: kept in the cache and on the shelf, for the next ones that begin with it.

Covers: what is kept, what leaves the cache, and when. Does not cover who may reuse it (`prefixes`), nor live requests
(`schedule`). Pure: moves out.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from inferd_actors.engines.aside import VOICE
from inferd_actors.engines.llama_cpp.moves import Discard, Move, Save
from inferd_actors.engines.llama_cpp.prefixes import WORTH_TOKENS, alone_tokens, common
from inferd_actors.engines.llama_cpp.seats import Seats
from inferd_actors.engines.llama_cpp.sequences import Live, Prefix

SHELF_TOKENS: Final = 64
"""Fewer, beside what others begin with, are read again sooner than saved and restored: saving 1,500 takes 15 ms."""
SHORT_SHELF_TOKENS: Final = 16
"""The same of a prefix of `QUICK_TOKENS`."""
SHELVED_PREFIXES: Final = 128
"""More would make the search for one as long as a step."""
IDLE_TOKENS: Final = 64
"""Of a prefix, that nobody shares: fewer may stay. 4,000 make a step of one stream a seventh longer, two prefixes of 100 one
of eight streams a thirtieth (SmolLM2 on two cores)."""
QUICK_TOKENS: Final = 256
"""So many are saved and restored in half a millisecond, or ten where memory is new; 4,000 in 15, or 200."""
SHELF_SHARE: Final = 2
"""Part of the shelf that a prefix may take which need not leave: for a longer one others would be forgotten, or itself."""


class Past:
    """At most `prefixes` in the cache, and the others on the shelf. `keys` are places there; all else as in `Schedule`."""

    def __init__(self, seats: Seats, keys: Iterator[int], *, prefixes: int, can_trim: bool, shelf_tokens: int) -> None:
        self._seats = seats
        self._keys = keys
        self._most = prefixes
        self._can_trim = can_trim
        self._saves = shelf_tokens > 0
        self._leaves_freely_tokens = shelf_tokens // SHELF_SHARE if can_trim else 0
        """Longest prefix that leaves the cache though there is room."""
        self._idle: list[Prefix] = []
        self._idle_since: int | None = None
        """What nobody shared when the seats' `left` was this; None: one has come since, or is shared."""
        self.residents: OrderedDict[int, Prefix] = OrderedDict()
        """In the cache: by seat, the one used last at the end."""
        self.shelved: OrderedDict[int, Prefix] = OrderedDict()
        """On the shelf: by key, likewise."""

    def __iter__(self) -> Iterator[Prefix]:
        yield from self.residents.values()
        yield from self.shelved.values()

    def used(self, prefix: Prefix) -> None:
        """Note that somebody begins with it."""
        self._idle_since = None
        if prefix.seat is not None:
            self.residents.move_to_end(prefix.seat)
        elif prefix.shelved is not None:
            self.shelved.move_to_end(prefix.shelved)

    def dropped(self, keys: Iterable[int]) -> None:
        """The shelf had no room for these."""
        for key in keys:
            self.shelved.pop(key, None)

    def retire(self, live: Live, seat: int) -> list[Move]:
        """Keep what an ended request has computed, in place of what it begins with."""
        tokens = array("i", live.tokens[: live.cached])
        prefix = Prefix(tokens, live.salt, live.is_public, seat=seat)
        alike = [one for one in self.residents.values() if one.salt == live.salt and one.is_public == live.is_public]
        covered = [one for one in alike if common(tokens, one.tokens) == len(one.tokens) and self._can_trim]
        is_known = any(common(tokens, one.tokens) == len(tokens) for one in alike if one not in covered)
        if len(tokens) < WORTH_TOKENS or is_known or not self._most:
            return self._seats.leave(seat)
        moves: list[Move] = []
        for one in covered:
            moves += self._forget(one)
        self.residents[seat] = prefix
        self._idle_since = None
        if self._is_in_the_way(prefix) and _is_short(prefix):
            moves += self._evict(prefix)
        while len(self.residents) > self._most:
            moves += self.evict_oldest()
        return moves

    def clear_away(self, seated: Sequence[Live]) -> list[Move]:
        """Have a prefix leave the cache that those who are seated do not share: from the shelf it is back in milliseconds.

        A short one at once, before they read, so that the tokens of a request that comes alone stand in the cache in their
        order: in another order llama.cpp's flash attention gives other sums, and the same seed another text. A long one leaves
        once somebody writes, and never beside voice, which would wait for it.
        """
        if not self.residents or not seated:
            return []
        if self._idle_since != self._seats.left:
            self._idle = [one for one in self.residents.values() if self._is_in_the_way(one)]
            self._idle_since = self._seats.left
        has_time = any(live.is_writing for live in seated) and all(live.rank != VOICE for live in seated)
        leaves = next((one for one in self._idle if has_time or _is_short(one)), None)
        return self._evict(leaves) if leaves else []

    def evict_oldest(self, *, but: Live | Prefix | None = None) -> list[Move]:
        """Take the prefix that was used longest ago out of the cache, onto the shelf if it is worth it."""
        prefix = next((one for one in self.residents.values() if one is not but), None)
        return self._evict(prefix) if prefix else []

    def _is_in_the_way(self, prefix: Prefix) -> bool:
        fits = len(prefix.tokens) <= self._leaves_freely_tokens
        return fits and prefix.seat is not None and self._seats.cells.alone(prefix.seat) >= IDLE_TOKENS

    def _evict(self, prefix: Prefix) -> list[Move]:
        if prefix.seat is None:
            return []
        worth_tokens = SHORT_SHELF_TOKENS if _is_short(prefix) else SHELF_TOKENS
        if not self._saves or self._lost_with(prefix) < worth_tokens:
            return self._forget(prefix)
        seat, key = prefix.seat, next(self._keys)
        del self.residents[seat]
        prefix.seat, prefix.shelved = None, key
        self.shelved[key] = prefix
        moves: list[Move] = [Save(seat, key, is_parked=False), *self._seats.leave(seat)]
        if len(self.shelved) > SHELVED_PREFIXES:
            oldest, _ = self.shelved.popitem(last=False)
            moves.append(Discard(oldest))
        return moves

    def _lost_with(self, prefix: Prefix) -> int:
        """Return how many tokens would be read again if nobody kept this prefix."""
        others = [one for one in self if one is not prefix]
        return alone_tokens(prefix, others) if self._can_trim else len(prefix.tokens)

    def _forget(self, prefix: Prefix) -> list[Move]:
        if prefix.seat is None:
            return []
        del self.residents[prefix.seat]
        return self._seats.leave(prefix.seat)


def _is_short(prefix: Prefix) -> bool:
    return len(prefix.tokens) <= QUICK_TOKENS
