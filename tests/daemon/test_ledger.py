"""The ledger, told as stories: what happens to memory, and who may begin, waits, leaves or is refused for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_daemon import ledger as lg
from inferd_daemon.catalogue.names import ModelId
from inferd_daemon.ledger.holding import AGING_S, LEAST_TURN_S, PATIENCE_S
from inferd_daemon.ledger.leaving import LONG_IDLE_S
from inferd_daemon.ledger.machine import LOOK_S, SQUEEZED_S
from inferd_daemon.ledger.room import HARD_MARK
from inferd_daemon.ledger.story import MAX_RECORDS
from inferd_daemon.ledger.verdict import Books, Fits, FitsAfter, Squeezed, TooLarge, Waits, judge
from inferd_daemon.ledger.victims import Candidate

A, B, C, D = (ModelId("test", name, "x") for name in "abcd")
GPU = lg.GPU
ROOM = lg.Room(1_000, 900, 0)
TERMS = lg.Terms(100, 0)
VOICE, ORDINARY, BATCH, BACKGROUND = range(4)


class Story:
    """One ledger with room for 100, a clock that is set by hand, and the commands of the last step."""

    def __init__(self, terms: lg.Terms = TERMS, keep_alive_s: float = lg.NEVER_S) -> None:
        self.now_s = 1_000.0
        self.ledger = lg.Ledger({lg.RAM: terms, GPU: terms}, lg.KeepAlive(keep_alive_s))
        self.did: list[lg.Command] = []
        self.happens(lg.RoomRead(lg.RAM, ROOM), lg.RoomRead(GPU, ROOM))

    def happens(self, *events: lg.Event, after_s: float = 0.0) -> Story:
        self.now_s += after_s
        self.did = [command for event in events for command in self.ledger.step(event, self.now_s)]
        return self

    def asks(self, model: ModelId, need: int, rank: int = ORDINARY, *, after_s: float = 0.0) -> Story:
        return self.happens(lg.Asked(model, need, "notes", rank, load_s=1.0), after_s=after_s)

    def holds(self, model: ModelId, need: int, *, idle: bool = True) -> Story:
        """Have a model loaded and used once; in use still, or idle."""
        self.asks(model, need).happens(lg.Loaded(model, 1.0), lg.Used(model))
        return self.happens(lg.Rested(model)) if idle else self

    @property
    def orders(self) -> list[lg.Command]:
        """What was ordered, without what was only told."""
        return [command for command in self.did if not isinstance(command, lg.ShowWait)]

    @property
    def refusal(self) -> lg.Refuse:
        (refusal,) = (command for command in self.did if isinstance(command, lg.Refuse))
        return refusal


def test_two_loads_that_fit_together_begin_together_and_a_third_waits_for_neither() -> None:
    story = Story().asks(A, 60).asks(B, 40)
    assert story.orders == [lg.Grant(B)]
    assert story.asks(C, 1).orders == []
    assert story.happens(lg.Released(A)).orders == [lg.Grant(C)]


def test_a_reservation_counts_from_the_moment_of_the_decision() -> None:
    assert Story().asks(A, 60).asks(B, 60).orders == []


def test_what_is_measured_counts_once_it_is_more_than_what_was_reserved() -> None:
    story = Story().holds(A, 50, idle=False).happens(lg.Measured(A, 30))
    assert story.ledger.accounts.held_bytes(lg.RAM) == 50
    assert story.happens(lg.Measured(A, 70)).ledger.accounts.held_bytes(lg.RAM) == 70
    assert story.asks(B, 40).orders == []


def test_the_cheapest_idle_model_leaves_and_the_load_begins_when_it_is_gone() -> None:
    story = Story().holds(A, 50).holds(B, 50)
    for _ in range(3):
        story.happens(lg.Used(A), lg.Rested(A), after_s=20.0)
    assert story.asks(C, 50).orders == [lg.Evict(B)]
    assert story.happens(lg.Left(B)).orders == []
    assert story.happens(lg.Released(B)).orders == [lg.Grant(C)]


def test_nobody_leaves_if_all_who_could_are_not_enough() -> None:
    story = Story().holds(A, 60, idle=False).holds(B, 40)
    assert story.asks(C, 90).orders == []


def test_a_load_that_waits_for_one_that_leaves_already_evicts_nobody_else() -> None:
    story = Story().holds(A, 50).holds(B, 50).happens(lg.Left(A))
    assert story.asks(C, 50).orders == []


def test_two_waiting_loads_do_not_count_on_the_same_memory() -> None:
    story = Story().holds(A, 50).holds(B, 50)
    assert len(story.asks(C, 50).orders) == 1
    assert len(story.asks(D, 50).orders) == 1


def test_the_more_urgent_load_is_first_and_waiting_makes_a_load_more_urgent() -> None:
    story = Story().holds(A, 100, idle=False).asks(B, 100, BACKGROUND).asks(C, 100, ORDINARY)
    assert story.happens(lg.Rested(A), lg.Released(A)).orders[-1] == lg.Grant(C)

    story = Story().holds(A, 100, idle=False).asks(B, 100, BACKGROUND)
    story.asks(C, 100, ORDINARY, after_s=2 * AGING_S)
    assert story.happens(lg.Rested(A), lg.Released(A)).orders[-1] == lg.Grant(B)


def test_a_load_becomes_as_urgent_as_the_most_urgent_who_waits_for_it() -> None:
    story = Story().holds(A, 100, idle=False).asks(B, 100, BATCH).asks(C, 100, ORDINARY).asks(B, 100, VOICE)
    assert story.happens(lg.Released(A)).orders == [lg.Grant(B)]


def test_a_small_load_passes_a_large_patient_one_only_if_both_could_be_there() -> None:
    story = Story().holds(A, 70, idle=False).asks(B, 80, BATCH)
    assert story.asks(C, 20, BATCH).orders == [lg.Grant(C)]
    assert story.asks(D, 10, BATCH).orders == []


def test_nobody_passes_a_load_whose_patience_is_over() -> None:
    story = Story().holds(A, 70, idle=False).asks(B, 80, BATCH)
    assert story.asks(C, 25, BATCH, after_s=PATIENCE_S[BATCH]).orders == [lg.Evict(A)]

    story = Story().holds(A, 70, idle=False).asks(B, 80, BATCH)
    assert story.asks(D, 20, BATCH, after_s=PATIENCE_S[BATCH]).orders == [lg.Evict(A), lg.Grant(D)], "20 are left over"


def test_nobody_passes_a_voice_that_waits() -> None:
    assert Story().holds(A, 70, idle=False).asks(B, 80, VOICE).asks(C, 20, VOICE).orders == []


def test_a_pinned_model_is_nobodys_victim() -> None:
    story = Story().holds(A, 40).happens(lg.Pinned(A, is_pinned=True)).holds(B, 40)
    story.happens(lg.Used(B), lg.Rested(B), after_s=200.0)
    assert story.asks(C, 50).orders == [lg.Evict(B)]


def test_a_model_in_use_yields_after_its_turn_but_not_to_the_patient() -> None:
    story = Story().holds(A, 100, idle=False).asks(B, 50, BATCH, after_s=LEAST_TURN_S)
    assert story.orders == []
    assert story.happens(lg.Ticked(), after_s=PATIENCE_S[BATCH] - 0.1).orders == []
    assert story.happens(lg.Ticked(), after_s=0.2).orders == [lg.Evict(A)]


def test_a_model_in_use_has_its_turn_even_if_voice_waits() -> None:
    story = Story().holds(A, 100, idle=False).asks(B, 50, VOICE)
    assert story.happens(lg.Ticked(), after_s=LEAST_TURN_S - 0.1).orders == []
    due_s = story.ledger.next_timer_s()
    assert due_s is not None
    assert story.happens(lg.Ticked(), after_s=due_s - story.now_s).orders == [lg.Evict(A)]


def test_pinned_models_stay_and_what_they_leave_no_room_for_is_refused() -> None:
    story = Story(keep_alive_s=10.0).holds(A, 60).happens(lg.Pinned(A, is_pinned=True))
    assert story.happens(lg.Ticked(), after_s=100.0).orders == []
    refusal = story.asks(B, 50).refusal
    assert (refusal.numbers["pinned_bytes"], refusal.retry_after_s) == (60, None)
    assert "unpin" in refusal.message
    assert story.happens(lg.Pinned(A, is_pinned=False)).orders == [lg.Evict(A)]


def test_what_never_fits_is_refused_at_once_and_evicts_nobody() -> None:
    story = Story().holds(A, 60).asks(B, 101)
    assert isinstance(story.did[0], lg.Refuse)
    assert story.orders == [story.refusal]
    assert (story.refusal.numbers["need_bytes"], story.refusal.numbers["limit_bytes"]) == (101, 100)


def test_a_load_that_other_programs_leave_no_room_for_waits_a_little_and_is_refused_for_now() -> None:
    story = Story(lg.Terms(None, 0)).happens(lg.RoomRead(lg.RAM, lg.Room(1_000, 50, 0))).asks(A, 60)
    assert story.orders == []
    assert story.happens(lg.Ticked(), after_s=SQUEEZED_S).refusal.retry_after_s is not None
    story.asks(A, 60).happens(lg.RoomRead(lg.RAM, ROOM))
    assert story.orders == [lg.Grant(A)]


def test_idle_models_leave_when_memory_falls_below_what_is_held() -> None:
    story = Story(lg.Terms(None, 0)).holds(A, 400).holds(B, 400, idle=False)
    assert story.happens(lg.RoomRead(lg.RAM, lg.Room(1_000, 0, 800))).orders == [lg.Evict(A)]


def test_past_the_soft_mark_only_who_has_been_idle_for_long_leaves() -> None:
    story = Story(lg.Terms(None, 0)).holds(A, 400)
    story.now_s += LONG_IDLE_S
    story.holds(B, 400)
    above_soft = lg.Room(1_000, int(0.9 / HARD_MARK * 100), 800)
    assert story.happens(lg.RoomRead(lg.RAM, above_soft)).orders == [lg.Evict(A)]
    assert story.happens(lg.Left(A), lg.RoomRead(lg.RAM, above_soft)).orders == []


def test_while_programs_stand_still_for_memory_long_idle_models_leave_earlier_and_loads_begin_as_ever() -> None:
    story = Story(lg.Terms(None, 0)).holds(A, 500)
    story.now_s += LONG_IDLE_S
    assert story.happens(lg.RoomRead(lg.RAM, lg.Room(1_000, 500, 500))).orders == []
    stalled = lg.Room(1_000, 500, 500, stalled_share=0.5)
    assert story.happens(lg.RoomRead(lg.RAM, stalled)).orders == [lg.Evict(A)]
    assert story.asks(B, 400).orders == [lg.Grant(B)]


def test_an_idle_model_leaves_after_its_own_keep_alive() -> None:
    keep = lg.KeepAlive(100.0, {B: 10.0})
    story = Story()
    story.ledger = lg.Ledger({lg.RAM: TERMS}, keep)
    story.happens(lg.RoomRead(lg.RAM, ROOM)).holds(A, 10).holds(B, 10)
    assert story.ledger.next_timer_s() == story.now_s + 10.0
    assert story.happens(lg.Ticked(), after_s=10.0).orders == [lg.Evict(B)]
    story.happens(lg.Used(A), after_s=89.0)
    assert story.happens(lg.Ticked(), after_s=500.0).orders == []


def test_a_timer_that_passed_while_a_model_was_served_still_rings() -> None:
    story = Story(keep_alive_s=10.0).holds(A, 10).holds(B, 10, idle=False)
    story.happens(lg.Used(B), after_s=11.0)
    due_s = story.ledger.next_timer_s()
    assert due_s is not None
    assert due_s <= story.now_s
    assert story.happens(lg.Ticked()).orders == [lg.Evict(A)]


def test_each_memory_has_books_of_its_own() -> None:
    story = Story().holds(A, 100, idle=False)
    story.happens(lg.Asked(B, 0, "notes", ORDINARY, 1.0, gpu_bytes=100))
    assert story.orders == [lg.Grant(B)]
    assert (story.ledger.accounts.held_bytes(lg.RAM), story.ledger.accounts.held_bytes(GPU)) == (100, 100)


def on_gpu(story: Story, model: ModelId, ram: int, gpu: int, *, idle: bool = True) -> Story:
    """Have a model loaded and used once that lies in both memories."""
    story.happens(lg.Asked(model, ram, "notes", ORDINARY, 1.0, gpu), lg.Loaded(model, 1.0), lg.Used(model))
    return story.happens(lg.Rested(model)) if idle else story


def asks_gpu(story: Story, model: ModelId, ram: int, gpu: int) -> Story:
    return story.happens(lg.Asked(model, ram, "notes", ORDINARY, 1.0, gpu))


def test_a_load_that_needs_two_memories_begins_once_it_fits_into_both() -> None:
    assert asks_gpu(on_gpu(Story(), A, 10, 60, idle=False), B, 10, 50).orders == []
    assert asks_gpu(Story().holds(A, 60, idle=False), B, 50, 10).orders == []
    story = asks_gpu(on_gpu(Story(), A, 10, 60, idle=False), B, 10, 40)
    assert story.orders == [lg.Grant(B)]
    assert {one.device for one in story.ledger.story.of(B)} == {lg.RAM, GPU}


def test_for_a_short_gpu_only_those_leave_that_hold_some_of_it() -> None:
    story = on_gpu(Story().holds(A, 30), B, 10, 80)
    assert asks_gpu(story, C, 10, 50).orders == [lg.Evict(B)]
    assert "GPU" in story.ledger.story.of(B)[-1].rule
    assert story.happens(lg.Released(B)).orders == [lg.Grant(C)]


def test_who_leaves_for_one_memory_is_counted_on_in_the_other() -> None:
    """B leaves the GPU, and with it enough of the machine's memory: A, which would free that, too, stays."""
    story = on_gpu(Story().holds(A, 40), B, 40, 80)
    assert asks_gpu(story, C, 50, 50).orders == [lg.Evict(B)]


def test_nobody_leaves_one_memory_for_a_load_that_does_not_fit_into_the_other() -> None:
    story = on_gpu(Story().holds(A, 90, idle=False), B, 1, 80)
    assert asks_gpu(story, C, 50, 50).orders == []


def test_what_never_fits_on_a_gpu_is_refused_with_the_gpus_numbers() -> None:
    story = asks_gpu(Story(), A, 10, 101)
    assert (story.refusal.device, story.refusal.numbers["need_bytes"], story.refusal.numbers["limit_bytes"]) == (
        GPU,
        101,
        100,
    )
    assert "gpu_layers" in story.refusal.message


def test_a_load_that_waits_for_a_gpu_keeps_nobody_from_the_machines_memory_but_what_it_will_need() -> None:
    story = asks_gpu(on_gpu(Story(), A, 10, 90, idle=False), B, 30, 50)
    assert story.asks(C, 60).orders == [lg.Grant(C)]
    assert story.asks(D, 20).orders == []


def test_a_hold_has_both_memories_of_its_models_or_none() -> None:
    needs = {A: lg.Need(10, 1.0, 60), B: lg.Need(10, 1.0, 60)}
    assert isinstance(Story().happens(lg.HoldAsked(ONE, needs, "voice", VOICE)).did[0], lg.Refuse)
    needs = {A: lg.Need(10, 1.0, 60), B: lg.Need(10, 1.0, 40)}
    story = Story().happens(lg.HoldAsked(ONE, needs, "voice", VOICE))
    assert story.orders == [lg.GrantHold(ONE)]
    assert (story.ledger.accounts.held_bytes(lg.RAM), story.ledger.accounts.held_bytes(GPU)) == (20, 100)


def test_idle_models_leave_a_gpu_that_others_fill_and_those_that_hold_none_of_it_stay() -> None:
    story = on_gpu(Story(lg.Terms(None, 0)).holds(A, 30), B, 10, 80)
    assert story.happens(lg.RoomRead(GPU, lg.Room(1_000, 0, 40))).orders == [lg.Evict(B)]


def test_one_model_may_fill_a_gpu_for_as_long_as_nobody_wants_its_memory() -> None:
    story = on_gpu(Story(lg.Terms(None, 0), keep_alive_s=900.0), A, 10, 940)
    story.happens(lg.Ticked(), after_s=LONG_IDLE_S + 1)
    assert story.happens(lg.RoomRead(GPU, lg.Room(1_000, 60, 940))).orders == []


def test_a_preview_has_nobody_leave_who_is_in_use() -> None:
    story = Story().holds(A, 100, idle=False).happens(lg.Ticked(), after_s=1_000.0)
    (judged,) = story.ledger.preview(B, lg.Need(50, 1.0), story.now_s)
    assert isinstance(judged.verdict, Waits)


def test_what_is_measured_on_a_gpu_counts_once_it_is_more_than_what_was_reserved() -> None:
    story = on_gpu(Story(), A, 10, 50, idle=False).happens(lg.Measured(A, 10, 70))
    assert story.ledger.accounts.held_bytes(GPU) == 70


def test_news_of_models_that_hold_nothing_changes_nothing() -> None:
    story = Story()
    for event in (lg.Loaded(A, 1.0), lg.Used(A), lg.Rested(A), lg.Left(A), lg.Measured(A, 5), lg.Released(A)):
        assert story.happens(event).did == []
    assert not story.ledger.accounts.holdings


def test_every_decision_has_a_record_with_who_asked_and_the_numbers() -> None:
    story = Story().holds(A, 60).asks(B, 60).happens(lg.Released(A))
    (load, eviction), (wait, begun) = story.ledger.story.of(A), story.ledger.story.of(B)
    assert [one.kind for one in (load, eviction, wait, begun)] == ["load", "eviction", "wait", "load"]
    assert (load.before_bytes, load.after_bytes, load.limit_bytes) == (0, 60, 100)
    assert (eviction.app, eviction.before_bytes, eviction.after_bytes) == ("notes", 60, 0)
    assert str(B) in eviction.rule
    assert {one.device for one in (load, eviction, wait, begun)} == {lg.RAM}
    assert wait.help


def test_records_are_bounded() -> None:
    story = Story()
    for _ in range(MAX_RECORDS):
        story.asks(A, 10).happens(lg.Released(A)).asks(B, 10).happens(lg.Released(B))
    assert len(story.ledger.story.of(A)) + len(story.ledger.story.of(B)) == MAX_RECORDS


# --- one load's verdict

amounts = st.integers(0, 200)
candidates = st.lists(st.tuples(st.integers(1, 80), st.floats(0.0, 9.0)), max_size=5).map(
    lambda rows: [Candidate(ModelId("c", f"m{n}", "x"), size, cost) for n, (size, cost) in enumerate(rows)]
)


@given(
    need=st.integers(1, 200),
    limit=amounts,
    pinned=amounts,
    free=st.integers(-50, 200),
    passes=st.booleans(),
    idle=candidates,
    busy=candidates,
)
def test_a_verdict_never_takes_what_is_not_there(
    need: int, limit: int, pinned: int, free: int, idle: list[Candidate], busy: list[Candidate], *, passes: bool
) -> None:
    books = Books(200, limit, pinned, free, free, passes)
    verdict = judge(need, books, idle, busy)
    match verdict:
        case Fits():
            assert need <= free
        case FitsAfter(victims):
            assert sum(one.frees_bytes for one in victims) + free >= need
            assert set(victims) <= {*idle, *busy}
            if sum(one.frees_bytes for one in idle) + free >= need:
                assert set(victims) <= set(idle), "a model in use yields although idle ones are enough"
        case TooLarge():
            assert need > 200 - pinned
        case Squeezed():
            assert need > limit - pinned
        case Waits():
            assert sum(one.frees_bytes for one in (*idle, *busy)) + free < need


@pytest.mark.parametrize(("total", "kept"), [(64 * 2**30, int(6.4 * 2**30)), (8 * 2**30, 2 * 2**30)])
def test_a_tenth_is_kept_free_and_at_least_two_gib(total: int, kept: int) -> None:
    assert lg.Terms().reserve_of(lg.Room(total, total, 0)) == pytest.approx(kept, abs=1)


@given(amounts, amounts, amounts, st.none() | amounts)
def test_a_limit_is_within_the_budget_and_within_what_is_there(
    available: int, held: int, reserve: int, budget: int | None
) -> None:
    limit = lg.Terms(budget, reserve).limit_bytes(lg.Room(1_000, available, held))
    assert 0 <= limit <= max(0, available + held - reserve)
    assert budget is None or limit <= budget


# --- holds


def need(peak_bytes: int) -> lg.Need:
    return lg.Need(peak_bytes, 1.0)


ONE, TWO = lg.HoldNo(1), lg.HoldNo(2)


def hold(story: Story, number: lg.HoldNo, rank: int = VOICE, **needs: int) -> Story:
    """Have an app hold models, by their letters."""
    models = {ModelId("test", letter, "x"): need(size) for letter, size in needs.items()}
    return story.happens(lg.HoldAsked(number, models, "voice", rank))


def test_a_hold_has_the_memory_of_all_its_models_at_once() -> None:
    story = hold(Story(), ONE, a=30, b=30, c=30)
    assert story.orders == [lg.GrantHold(ONE)]
    assert story.ledger.accounts.held_bytes(lg.RAM) == 90
    assert story.asks(D, 20).orders == []
    assert story.asks(A, 30).orders == [lg.Grant(A)], "its load asks, and has what was promised"


def test_a_hold_that_does_not_fit_takes_nothing_and_says_what_each_part_needs() -> None:
    story = hold(Story().holds(D, 50), ONE, a=60, b=50)
    assert story.refusal.retry_after_s is None
    assert story.refusal.numbers["need_bytes"] == 110
    assert story.refusal.numbers[f"need_bytes of {B}"] == 50
    assert story.refusal.numbers["limit_bytes"] == 100
    assert story.ledger.accounts.held_bytes(lg.RAM) == 50, "somebody left for a hold that is not to be had"


def test_what_is_there_already_counts_for_a_hold_and_does_not_leave_for_it() -> None:
    story = hold(Story().holds(A, 60).holds(B, 30), ONE, a=60, c=40)
    assert story.orders == [lg.Evict(B)]
    assert story.happens(lg.Left(B), lg.Released(B)).orders == [lg.GrantHold(ONE)]


def test_a_hold_waits_for_the_end_of_a_life_of_its_own_model() -> None:
    story = Story().holds(A, 40).happens(lg.Left(A))
    assert hold(story, ONE, a=40).orders == []
    assert story.happens(lg.Released(A)).orders == [lg.GrantHold(ONE)]


def test_held_models_neither_leave_nor_yield_nor_grow_old() -> None:
    story = hold(Story(keep_alive_s=10.0).holds(A, 60).holds(B, 30, idle=False), ONE, a=60, b=30)
    story.asks(C, 50).happens(lg.Ticked(), after_s=3_600.0)
    assert story.orders == []
    assert any("held" in one.rule for one in story.ledger.story.of(C))
    story.happens(lg.Released(C), lg.RoomRead(lg.RAM, lg.Room(1_000, 0, 10)))
    assert story.orders == [], "a held model left because other programs took the memory"
    assert story.happens(lg.HoldEnded(ONE), lg.RoomRead(lg.RAM, lg.Room(1_000, 0, 10))).orders == [lg.Evict(A)]


def test_after_a_hold_its_models_stay_for_their_keep_alive() -> None:
    story = hold(Story(keep_alive_s=10.0).holds(A, 60), ONE, a=60)
    story.happens(lg.HoldEnded(ONE), after_s=3_600.0)
    assert story.orders == []
    assert story.happens(lg.Ticked(), after_s=10.0).orders == [lg.Evict(A)]


def test_a_hold_does_not_wait_for_the_end_of_another_and_says_so() -> None:
    story = hold(hold(Story(), ONE, a=60), TWO, b=50)
    assert story.refusal.numbers["leased_bytes"] == 60
    assert story.refusal.retry_after_s is not None
    assert "other holds leave" in story.refusal.message
    assert hold(story, TWO, a=60, c=40).orders == [lg.GrantHold(TWO)], "models are shared"


def test_what_a_held_model_had_stays_promised_to_its_next_life() -> None:
    story = hold(Story(), ONE, a=60).asks(A, 60).happens(lg.Loaded(A, 1.0))
    story.asks(B, 50).happens(lg.Released(A))
    assert story.orders == []
    assert story.asks(A, 60).orders == [lg.Grant(A)]


def test_what_was_only_promised_is_free_when_the_hold_ends() -> None:
    story = hold(Story(), ONE, a=60, b=30).asks(A, 60).asks(C, 40)
    assert story.orders == []
    assert story.happens(lg.HoldEnded(ONE)).orders == [lg.Grant(C)]
    assert story.ledger.accounts.held_bytes(lg.RAM) == 100


def test_a_hold_takes_a_load_along_that_waits_for_one_of_its_models() -> None:
    story = Story().holds(D, 60, idle=False).asks(A, 50)
    assert hold(story, ONE, a=50, b=50).orders == []
    story.happens(lg.Released(D))
    assert story.orders in ([lg.Grant(A), lg.GrantHold(ONE)], [lg.Grant(A)])
    assert story.happens(lg.Ticked()).ledger.accounts.held == {ONE: frozenset({A, B})}


# --- how long models stay


def test_a_model_stays_for_the_longest_wish_that_still_runs() -> None:
    story = Story(keep_alive_s=100.0).asks(A, 10).happens(lg.Loaded(A, 1.0), lg.Used(A), lg.Kept(A, 30.0))
    story.happens(lg.Rested(A)).happens(lg.Used(A), lg.Kept(A, 5.0), lg.Rested(A), after_s=10.0)
    assert story.happens(lg.Ticked(), after_s=19.0).orders == []
    assert story.happens(lg.Ticked(), after_s=1.0).orders == [lg.Evict(A)]


def test_a_wish_of_nothing_unloads_at_once_and_none_means_as_configured() -> None:
    story = Story(keep_alive_s=100.0).asks(A, 10).happens(lg.Loaded(A, 1.0), lg.Used(A), lg.Kept(A, 0.0))
    assert story.happens(lg.Rested(A)).orders == [lg.Evict(A)]
    story = Story(keep_alive_s=100.0).asks(A, 10).happens(lg.Loaded(A, 1.0), lg.Used(A), lg.Kept(A, None))
    story.happens(lg.Rested(A)).happens(lg.Used(A), lg.Kept(A, 0.0), lg.Rested(A), after_s=1.0)
    assert story.happens(lg.Ticked(), after_s=98.0).orders == []
    assert story.happens(lg.Ticked(), after_s=1.0).orders == [lg.Evict(A)]


def test_while_other_programs_have_the_memory_the_machine_is_looked_at_again_soon() -> None:
    story = Story(lg.Terms(None, 0)).happens(lg.RoomRead(lg.RAM, lg.Room(1_000, 10, 0)))
    story.asks(A, 50, VOICE)
    due_s = story.ledger.next_timer_s()
    assert due_s is not None
    assert due_s - story.now_s <= LOOK_S
    story.happens(lg.RoomRead(lg.RAM, ROOM), lg.Ticked(), after_s=LOOK_S)
    assert story.ledger.accounts.holdings.keys() == {A}


def test_who_joins_a_waiting_load_in_a_lower_class_changes_nothing() -> None:
    story = Story().holds(D, 100, idle=False).asks(A, 50, ORDINARY)
    assert story.asks(A, 50, BATCH, after_s=1.0).did == []
    assert story.asks(A, 50, VOICE).ledger.accounts.waiting[A].rank == VOICE
