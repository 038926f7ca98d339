"""Requests that come, are halted, cancelled and answered, in a cache that is too small for them: one run, by a seed.

Covers: `schedule`, `cache`, `composition` and `pace` as the engine's loop drives them, with the model of `cache_model` in the
library's place and a clock of its own, and what must hold after every step.
"""

from __future__ import annotations

import random
from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Final, cast

from cache_model import CacheModel, Piece, answer, chosen

from inferd_actors.engine import StreamId
from inferd_actors.engines.aside import VOICE
from inferd_actors.engines.llama_cpp.cache import Cache
from inferd_actors.engines.llama_cpp.composition import compose
from inferd_actors.engines.llama_cpp.library import Context
from inferd_actors.engines.llama_cpp.moves import Move
from inferd_actors.engines.llama_cpp.pace import Pace
from inferd_actors.engines.llama_cpp.past import IDLE_TOKENS, SHELF_SHARE
from inferd_actors.engines.llama_cpp.schedule import Schedule
from inferd_actors.engines.llama_cpp.sequences import Live
from inferd_actors.engines.llama_cpp.shelf import Shelf

BATCH_TOKENS: Final = 64
DECISIONS: Final = 200
"""More in a row than any schedule needs: past it the requests are moved about without end."""
TOKEN_BYTES: Final = 16
"""Of a state that `CacheModel` saves: a token and its value."""
STEPS: Final = 3_000
"""More than any run needs to answer what it was asked."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much there is of everything."""

    cells: int = 160
    slots: int = 3
    prefixes: int = 2
    shelf_bytes: int = TOKEN_BYTES * 200
    can_trim: bool = True


@dataclass(slots=True)
class Asked:
    """A request and how many tokens its answer has."""

    live: Live
    n_tokens: int


class Run:
    """The engine's loop without its library."""

    def __init__(self, room: Room) -> None:
        self.room = room
        seats = room.slots + room.prefixes
        self.model = CacheModel(total=room.cells, seats=seats, can_trim=room.can_trim)
        self.schedule = Schedule(
            slots=room.slots,
            prefixes=room.prefixes,
            cells=room.cells,
            can_trim=room.can_trim,
            shelf_tokens=room.shelf_bytes // TOKEN_BYTES,
        )
        self.shelf = Shelf(room.shelf_bytes)
        self._cache = Cache(cast("Context", self.model), self.shelf, can_trim=room.can_trim)
        self._pace = Pace()
        self.now_s = 0.0
        self.asked: dict[StreamId, Asked] = {}
        self.n_asked = 0
        self.happened: Counter[str] = Counter()
        """What the run went through, so that a test can see that it goes through all of it."""

    def ask(self, prompt: list[int], n_tokens: int, *, rank: int = 1, salt: str = "a", is_public: bool = False) -> Live:
        """Begin a request; both numbers together fit into the cache."""
        self.n_asked += 1
        stream = StreamId(self.n_asked)
        live = Live(stream, rank, salt, is_public, array("i", prompt), len(prompt), self.n_asked, self.now_s)
        self.asked[stream] = Asked(live, n_tokens)
        self.schedule.add(live)
        return live

    def end(self, live: Live, why: str) -> None:
        """Let a request go."""
        del self.asked[live.stream]
        self.happened[why] += 1
        self._carry_out(self.schedule.end(live.stream))

    def step(self, step_s: float) -> bool:
        """Go round once; return whether anything was computed."""
        self._settle()
        self.check()
        parts = compose(
            self.schedule.seated,
            self._pace,
            batch_tokens=min(BATCH_TOKENS, self.room.cells),
            free_cells=self.schedule.cells.free,
            now_s=self.now_s,
        )
        rows = []
        for live, n_tokens in parts:
            assert live.seat is not None
            tokens = live.tokens[live.cached : live.cached + n_tokens]
            rows.append(Piece(live.seat, live.cached, tokens, n_tokens == live.pending))
        values = iter(self.model.decode(rows))
        read = sum(part.n_tokens for part in parts if part.live.is_reading)
        written = sum(not part.live.is_reading for part in parts)
        self._pace.measured(read_tokens=read, written_tokens=written, step_s=step_s)
        for live, n_tokens in parts:
            self.schedule.computed(live, n_tokens)
        for (live, _), row in zip(parts, rows, strict=True):
            if row.wants_logits:
                self._write(live, chosen(next(values)))
        self.now_s += step_s
        return bool(parts)

    def _settle(self) -> None:
        had = {live.stream: live.seat for live in self.schedule}
        decisions = 0
        while (moves := self.schedule.decide(self.now_s)) is not None:
            decisions += 1
            assert decisions < DECISIONS, f"no rest after {decisions} decisions; the latest: {moves}"
            self._carry_out(moves)
        for live in self.schedule:
            self.happened["parked"] += live.seat is None and had[live.stream] is not None
            self.happened["resumed"] += live.seat is not None and had[live.stream] is None and live.is_parked

    def _carry_out(self, moves: list[Move]) -> None:
        self.happened.update(type(move).__name__ for move in moves)
        self._cache.carry_out(moves, self.schedule)

    def _write(self, live: Live, token: int) -> None:
        live.tokens.append(token)
        asked = self.asked[live.stream]
        if len(live.tokens) < live.prompt_tokens + asked.n_tokens:
            return
        prompt, written = live.tokens[: live.prompt_tokens], live.tokens[live.prompt_tokens :]
        assert written.tolist() == answer(prompt, asked.n_tokens), f"stream {live.stream} has another answer than alone"
        self.end(live, "finished")

    def check(self) -> None:
        """What holds between any two steps."""
        schedule, seated = self.schedule, self.schedule.seated
        assert schedule.cells.total - schedule.cells.free == self.model.used <= self.room.cells
        assert len(seated) <= self.room.slots
        assert len({live.seat for live in seated}) == len(seated)
        for live in seated:
            assert live.seat is not None
            assert live.shelved is None
            assert self.model.tokens(live.seat) == live.tokens[: live.cached].tolist()
        assert self.shelf.used_bytes <= self.room.shelf_bytes
        waits = [live for live in schedule if live.seat is None and not live.is_halted]
        if any(live.rank == VOICE for live in waits) and not any(
            live.rank == VOICE and live.is_reading for live in seated
        ):
            assert all(live.rank == VOICE and not live.is_halted for live in seated), "voice waits for a lower class"
        assert seated or not waits, "there is work, and nobody has a seat"
        if (
            any(live.is_writing for live in seated)
            and self.room.can_trim
            and all(live.rank != VOICE for live in seated)
        ):
            in_the_way = [seat for seat in self.resident_seats if schedule.cells.alone(seat) >= IDLE_TOKENS]
            most_bytes = self.room.shelf_bytes // SHELF_SHARE
            assert all(TOKEN_BYTES * schedule.cells.length(seat) > most_bytes for seat in in_the_way)

    @property
    def resident_seats(self) -> tuple[int, ...]:
        """Where prefixes of requests that have ended stand in the cache."""
        return tuple(self.schedule.past.residents)

    def answer_all(self, chance: random.Random) -> None:
        """Go on until all who are not halted are answered."""
        for _ in range(STEPS):
            if all(asked.live.is_halted for asked in self.asked.values()):
                return
            assert self.step(chance.choice((0.01, 0.2))), "there is work, and nothing is computed"
        raise AssertionError(f"after {STEPS} steps these are still asked: {sorted(self.asked)}")

    def check_empty(self) -> None:
        """What holds when everybody has ended: only the past is kept, and all of it is accounted for."""
        schedule = self.schedule
        assert not list(schedule)
        residents = {prefix.seat: prefix for prefix in schedule.past.residents.values()}
        for seat in range(self.room.slots + self.room.prefixes):
            kept = residents.get(seat)
            assert self.model.tokens(seat) == (kept.tokens.tolist() if kept else [])
        assert len(residents) <= self.room.prefixes
        assert self.model.recounted() == self.model.used
        assert set(self.shelf._kept) == set(schedule.past.shelved)


def prompts(chance: random.Random, longest: int) -> list[list[int]]:
    """Return prompts that begin alike at many places."""
    trunk = [chance.randrange(9) for _ in range(longest)]
    made = []
    for _ in range(4):
        at = chance.choice((0, 7, 8, 20, longest // 2, longest - 1))
        made.append(trunk[:at] + [chance.randrange(9) for _ in range(longest - at)])
    return [trunk, *made]


def go_through(seed: int) -> Counter[str]:
    """Run a schedule of chance to its end; return what it went through."""
    chance = random.Random(seed)  # noqa: S311 - a game, not a secret
    cells = chance.choice((40, 100, 160, 300))
    shelf_bytes = chance.choice((0, 16 * cells, 64 * cells))
    run = Run(Room(cells, chance.randint(1, 4), chance.randint(0, 3), shelf_bytes, chance.random() < 2 / 3))
    run.model.refuses = lambda: chance.random() < 0.05
    stock = prompts(chance, min(100, cells - 8))
    for _ in range(chance.randint(8, 24)):
        _disturb(run, chance, stock)
        run.step(chance.choice((0.01, 0.2, 3.0, 40.0)))
    run.answer_all(chance)
    for asked in run.asked.values():
        asked.live.is_halted = False
    run.answer_all(chance)
    run.check_empty()
    return run.happened


def _disturb(run: Run, chance: random.Random, stock: list[list[int]]) -> None:
    what = chance.random()
    if what < 0.5 or not run.asked:
        prompt = chance.choice(stock)
        prompt = prompt[: chance.choice((1, 9, len(prompt) // 2, len(prompt)))]
        n_tokens = chance.randint(1, min(10, run.room.cells - len(prompt)))
        salt, is_public = chance.choice("ab"), chance.random() < 1 / 3
        run.ask(prompt, n_tokens, rank=chance.randrange(4), salt=salt, is_public=is_public)
        return
    live = chance.choice(list(run.asked.values())).live
    if what < 0.6:
        run.end(live, "cancelled")
    elif what < 0.8:
        live.is_halted = not live.is_halted
