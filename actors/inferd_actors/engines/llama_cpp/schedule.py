"""Who of the live requests has a seat in the cache, and who waits.

Covers: seats, parking and resuming by class, cells. Does not cover what is kept of ended requests (`past`), what a step
computes (`composition`), the library, and texts. Who begins with what another reads just now waits for that, and copies it.
Pure: requests and moments in, moves out; one decision at a time, until there is none:
1. cells run out for those who are seated: the oldest prefix leaves the cache, else the least urgent of them is parked
2. the most urgent who waits needs a seat: the seat of the least urgent is taken, if that one is of a lower class or halted
3. it needs cells: prefixes leave the cache, oldest first, then the least urgent of a lower class is parked, else it waits
4. it is seated: with its own state, with the longest prefix that was computed before, or with nothing
5. everybody's attention passes over all of the cache: prefixes that nobody shares leave it
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from inferd_actors.engine import StreamId
from inferd_actors.engines.llama_cpp.cells import Cells
from inferd_actors.engines.llama_cpp.moves import Copy, Discard, Move, Restore, Save
from inferd_actors.engines.llama_cpp.pace import LEAST_TOKENS
from inferd_actors.engines.llama_cpp.past import Past
from inferd_actors.engines.llama_cpp.prefixes import WORTH_TOKENS, Found, longest, to_come
from inferd_actors.engines.llama_cpp.seats import Seats
from inferd_actors.engines.llama_cpp.sequences import Live, Prefix


class Schedule:
    """The live requests of an engine with `slots` seats for them and `prefixes` more for what has ended.

    `can_trim`: whether the cache can be cut, see `library.Model`. `shelf_tokens`: how many the shelf keeps of what leaves the
    cache; 0: none, they are read again. `context_tokens` of a request are at most `cells`.
    """

    def __init__(self, *, slots: int, prefixes: int, cells: int, can_trim: bool, shelf_tokens: int) -> None:
        self._seats = Seats(slots + prefixes, cells)
        self._slots = slots
        self._can_trim = can_trim
        self._saves = shelf_tokens > 0
        self._keys = itertools.count(1)
        self._live: dict[StreamId, Live] = {}
        self.past = Past(self._seats, self._keys, prefixes=prefixes, can_trim=can_trim, shelf_tokens=shelf_tokens)

    # --- what is told

    def add(self, live: Live) -> None:
        """Take a new request, which waits for a seat."""
        self._live[live.stream] = live

    def get(self, stream: StreamId) -> Live | None:
        """Return a live request; None if it has ended."""
        return self._live.get(stream)

    def __iter__(self) -> Iterator[Live]:
        return iter(self._live.values())

    @property
    def cells(self) -> Cells:
        """Who holds how much of the cache."""
        return self._seats.cells

    @property
    def seated(self) -> list[Live]:
        """Those that have a seat, in order of arrival."""
        return [live for live in self._live.values() if live.seat is not None]

    def end(self, stream: StreamId) -> list[Move]:
        """Let a request go; what it has computed is kept for the next one that begins with it."""
        live = self._live.pop(stream)
        if live.shelved is not None:
            return [Discard(live.shelved)]
        return [] if live.seat is None else self.past.retire(live, live.seat)

    def lost(self, seat: int) -> None:
        """Its state could not be brought back: whoever sits there is read anew."""
        self._seats.empty(seat)
        for live in self.seated:
            if live.seat == seat:
                live.cached = live.reused = 0

    def dropped(self, keys: Sequence[int]) -> None:
        """The shelf had no room for these: prefixes are forgotten, parked requests will be read anew."""
        self.past.dropped(keys)
        for live in self._live.values():
            if live.shelved in keys:
                live.shelved, live.cached = None, 0

    def computed(self, live: Live, count: int) -> None:
        """Note that a step took `count` more of a request's tokens into the cache. Raises MemoryError: no cells for them."""
        if live.seat is None:
            raise ValueError(f"stream {live.stream} was computed without a seat")
        self.cells.extend(live.seat, count)
        live.cached += count

    # --- deciding

    def decide(self, now_s: float) -> list[Move] | None:
        """Return the moves of the next decision, in order, which may be none where a seat was empty; None when all is well."""
        seated = self.seated
        moves = self._relieve(seated, now_s) if self._is_short(seated) else []
        if moves:
            return moves
        if len(seated) < len(self._live) and (decided := self._admit(seated, now_s)) is not None:
            return decided
        return self.past.clear_away(seated) or None

    def _admit(self, seated: Sequence[Live], now_s: float) -> list[Move] | None:
        """Return what brings those who wait closer to a seat; None: all have one, or have to wait."""
        waiting = [live for live in self._live.values() if live.seat is None and not live.is_halted]
        in_order = sorted(waiting, key=lambda live: live.urgency(now_s))
        being_read = list(itertools.takewhile(lambda live: self._is_being_read(live, seated, now_s), in_order))
        if len(being_read) == len(in_order):
            return None
        first = in_order[len(being_read)]
        if len(seated) + len(being_read) >= self._slots:  # seats that are empty are for those before it
            return None if being_read else self._park_below(first, seated, now_s) or None
        found = None if first.shelved is not None else self._found(first)
        if self._wanted(first, found) + self._spare(seated) > self.cells.free:
            return self._make_room(first, found, seated, now_s) or None
        if self._seats.is_full:
            return self.past.evict_oldest() or None
        return self._seat(first, found, now_s)

    def _is_being_read(self, live: Live, seated: Sequence[Live], now_s: float) -> bool:
        """Tell whether somebody who is no less urgent reads what this one begins with: read twice, both would be later."""
        if not self._can_trim or live.shelved is not None:
            return False
        urgency = live.urgency(now_s)[0]
        reading = [one for one in seated if one.is_reading and not one.is_halted and one.urgency(now_s)[0] <= urgency]
        if all(to_come(live, one) < WORTH_TOKENS for one in reading):
            return False
        found = self._found(live)
        had = found.n_tokens if found else 0
        return any(to_come(live, one, had) >= WORTH_TOKENS for one in reading)

    def _is_short(self, seated: Sequence[Live]) -> bool:
        """Tell whether the next steps of those who are seated may find no cells."""
        spare = self.cells.free - len(seated)
        return spare < LEAST_TOKENS and (spare < 0 or any(live.is_reading for live in seated))

    def _relieve(self, seated: Sequence[Live], now_s: float) -> list[Move]:
        moves = self.past.evict_oldest()
        if moves or len(seated) < 2:  # noqa: PLR2004 - one alone has the whole cache
            return moves
        return self._park(self._least_urgent(seated, now_s), now_s)

    def _make_room(self, first: Live, found: Found | None, seated: Sequence[Live], now_s: float) -> list[Move]:
        moves = self.past.evict_oldest(but=found.source if found else None) or self._park_below(first, seated, now_s)
        # what begins alike may itself fill the cache: with nobody left to wait for, it gives way too
        return moves or ([] if seated else self.past.evict_oldest())

    @staticmethod
    def _spare(seated: Sequence[Live]) -> int:
        """Return how many cells stay free beside those of a new one: fewer, and it would be parked again at once."""
        return len(seated) + 1 + LEAST_TOKENS if seated else 0

    def _park_below(self, first: Live, seated: Sequence[Live], now_s: float) -> list[Move]:
        """Take the seat of the least urgent, if that is fair; else nobody is moved."""
        if not seated:
            return []
        least = self._least_urgent(seated, now_s)
        is_lower = least.urgency(now_s)[0] > first.urgency(now_s)[0]
        return self._park(least, now_s) if is_lower or least.is_halted else []

    @staticmethod
    def _least_urgent(seated: Sequence[Live], now_s: float) -> Live:
        return max(seated, key=lambda live: (live.is_halted, live.urgency(now_s)))

    def _found(self, first: Live) -> Found | None:
        return longest(first, [*self.seated, *self.past], whole_only=not self._can_trim)

    def _wanted(self, first: Live, found: Found | None) -> int:
        """Return how many free cells the seating takes, and the reading after it."""
        shared = found.n_tokens if found and found.source.seat is not None else 0
        whole = found.source if found and found.source.seat is None and isinstance(found.source, Prefix) else None
        return max(len(first.tokens) - shared, len(whole.tokens) if whole else 0) + 1

    # --- seats

    def _seat(self, first: Live, found: Found | None, now_s: float) -> list[Move]:
        seat = self._seats.take()
        first.seat, first.seated_class, first.seated_s = seat, first.urgency(now_s)[0], now_s
        if first.shelved is not None:
            key, first.shelved = first.shelved, None
            self.cells.extend(seat, first.cached)
            return [Restore(key, seat, first.cached, is_parked=True)]
        if found is None:
            first.cached = 0
            return []
        source, count = found
        first.cached = count
        if not first.is_parked:
            first.reused = count
        if isinstance(source, Prefix):
            self.past.used(source)
        if source.seat is not None:
            self.cells.share(source.seat, seat, count)
            return [Copy(source.seat, seat, count)]
        self.cells.extend(seat, count)
        return [Restore(source.shelved or 0, seat, count, is_parked=False)]

    def _park(self, live: Live, now_s: float) -> list[Move]:
        seat = live.seat
        if seat is None:
            raise ValueError(f"stream {live.stream} has no seat to leave")
        live.seat, live.is_parked, live.waits_since_s = None, True, now_s
        if self._saves and live.cached >= WORTH_TOKENS:
            live.shelved = next(self._keys)
            return [Save(seat, live.shelved, is_parked=True), *self._seats.leave(seat)]
        live.cached = 0
        return self._seats.leave(seat)
