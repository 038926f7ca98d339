"""The ledger in a simulated machine: budgets hold, nothing in use ends, and every load has its turn.

That the limit holds at every grant, that no model has two lives and that none ends in use is asserted in `MemoryWorld`.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from memory_world import Asked, Kind, MemoryWorld

from inferd_daemon import ledger as lg
from inferd_daemon.catalogue.names import ModelId

GB = 10**9
ROOM = lg.Room(64 * GB, 60 * GB, 0)
BUDGET = 10 * GB
NAMES = ("tiny", "small", "middle", "large", "larger", "huge")
KINDS = {
    ModelId("sim", name, "x"): Kind(size * GB, load_s)
    for name, size, load_s in zip(NAMES, (1, 2, 3, 5, 7, 10), (0.5, 1.0, 2.0, 3.0, 5.0, 8.0), strict=True)
}
MODELS = tuple(KINDS)
GPU_SHARES = (0.0, 0.9, 0.5, 0.9, 0.0, 0.8)
"""How much of each kind lies on a GPU where there is one."""


def world(budget_bytes: int = BUDGET, keep_alive_s: float = 300.0) -> MemoryWorld:
    terms = {lg.RAM: lg.Terms(budget_bytes)}
    return MemoryWorld(KINDS, lg.Ledger(terms, lg.KeepAlive(keep_alive_s)), ROOM)


def world_with_gpu() -> MemoryWorld:
    """Return a machine where most models lie in two memories, of which now one is short and now the other."""
    kinds = {
        model: Kind(int((1 - share) * kind.need_bytes) + GB // 2, kind.load_s, int(share * kind.need_bytes))
        for (model, kind), share in zip(KINDS.items(), GPU_SHARES, strict=True)
    }
    terms = {lg.RAM: lg.Terms(8 * GB), lg.GPU: lg.Terms(8 * GB, 0)}
    sim = MemoryWorld(kinds, lg.Ledger(terms, lg.KeepAlive(300.0)), ROOM)
    sim.room_is(lg.Room(24 * GB, 24 * GB, 0), lg.GPU)
    return sim


def deeds(sim: MemoryWorld, dice: random.Random) -> list[tuple[float, Callable[[], None]]]:
    """Return what may happen, each with its weight."""

    def ask() -> None:
        if sum(map(len, sim.waiting.values())) < 200:
            sim.ask(dice.choice(MODELS), dice.randrange(4), dice.expovariate(0.5))

    def withdraw() -> None:
        waiting = [asked for asked in sim.all[-50:] if asked.began_s is None and not asked.refused]
        if waiting:
            sim.withdraw(dice.choice(waiting))

    def other_programs_move() -> None:
        device = dice.choice(list(sim.ledger.accounts.rooms))
        sim.room_is(lg.Room(64 * GB, dice.choice((9, 20, 60)) * GB, sim.ledger.accounts.held_bytes(device)), device)

    def hold() -> None:
        if len(sim.holds) < 3:
            sim.hold(tuple(dice.sample(MODELS, dice.choice((1, 2, 3)))), dice.randrange(2))

    def release() -> None:
        if sim.holds:
            sim.release(dice.choice(list(sim.holds)))

    return [
        (10, ask),
        (1, withdraw),
        (10, lambda: sim.until(sim.now_s + dice.expovariate(2.0))),
        (0.2, lambda: sim.until(sim.now_s + dice.expovariate(0.01))),
        (0.3, lambda: sim.die(dice.choice(MODELS))),
        (0.2, other_programs_move),
        (0.4, hold),
        (0.6, release),
    ]


@pytest.mark.parametrize("make", [world, world_with_gpu])
def test_100_000_events_of_a_busy_machine_keep_every_promise(make: Callable[[], MemoryWorld]) -> None:
    dice = random.Random(20_261_126)  # noqa: S311 - a repeatable story, not a secret
    sim = make()
    chosen = deeds(sim, dice)
    while sim.events < 100_000:
        for _, deed in dice.choices(chosen, [weight for weight, _ in chosen], k=100):
            deed()
    assert not sim.ledger.accounts.waiting.keys() - {*sim.holds, *(m for m, asked in sim.waiting.items() if asked)}
    for hold in list(sim.holds):
        sim.release(hold)
    for device in list(sim.ledger.accounts.rooms):
        sim.room_is(ROOM, device)
    sim.until(sim.now_s + 3_600.0)
    assert not sim.ledger.accounts.held
    assert min(sim.loads.values()) > 10
    assert not any(sim.waiting.values())
    assert not sim.ledger.accounts.waiting
    assert not sim.ledger.accounts.holdings, "idle models stayed past their keep-alive"
    assert sim.ledger.next_timer_s() is None


def waits_s(asked: list[Asked], model: ModelId) -> list[float]:
    return [one.began_s - one.asked_s for one in asked if one.model == model and one.began_s is not None]


@pytest.mark.parametrize("rank", [1, 3])
def test_a_model_gets_its_turn_although_others_are_in_use_without_pause(rank: int) -> None:
    """Two models fill the memory and always have a request running; a third one of a lower class is wanted, too."""
    sim = world()
    large, middle, small = MODELS[3], MODELS[4], MODELS[1]
    for second in range(600):
        for model in (large, small):
            sim.ask(model, 0, 1.5)
        if second % 100 == 50:
            sim.ask(middle, rank, 1.0)
        sim.until(float(second + 1))
    sim.until(700.0)
    waited_s = waits_s(sim.all, middle)
    assert len(waited_s) == 6
    assert max(waited_s) < 100.0
    assert max(waits_s(sim.all, large)) < 100.0


def test_when_more_is_wanted_all_the_time_than_fits_loading_takes_a_bounded_part() -> None:
    sim = world(7 * GB)
    two = MODELS[3], MODELS[2]
    for second in range(2_000):
        for model in two:
            sim.ask(model, 1, 1.5)
        sim.until(float(second + 1))
    loading_s = sum(sim.loads[model] * KINDS[model].load_s for model in two)
    assert all(sim.loads[model] > 5 for model in two)
    assert loading_s < 0.25 * 2_000


def test_a_large_load_is_not_kept_out_by_a_stream_of_small_ones() -> None:
    sim = world()
    huge = MODELS[5]
    for second in range(120):
        sim.ask(MODELS[second % 3], 1, 4.0)
        if second == 20:
            sim.ask(huge, 1, 1.0)
        sim.until(float(second + 1))
    sim.until(200.0)
    assert max(waits_s(sim.all, huge)) < 40.0
