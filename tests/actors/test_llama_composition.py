"""What a step computes, how long it may take, and with how many threads."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_actors.engine import StreamId
from inferd_actors.engines.aside import VOICE
from inferd_actors.engines.llama_cpp.composition import compose
from inferd_actors.engines.llama_cpp.pace import GAP_S, LEAST_TOKENS, MEASURED_TOKENS, VOICE_GAP_S, Pace
from inferd_actors.engines.llama_cpp.sequences import AHEAD_TOKENS, FIRST_TOKENS, SPOKEN_TOKENS_PER_S, Live
from inferd_actors.engines.llama_cpp.threads import Reading, choose, for_step

DESCRIBED = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 200), st.integers(0, 199), st.integers(0, 3), st.booleans()), max_size=8
)
STEPS = st.lists(st.tuples(st.integers(0, 600), st.integers(0, 8), st.floats(0, 3)), max_size=12)


def lives(described: list[tuple[int, int, int, int, bool]]) -> list[Live]:
    """Return seated requests: class, tokens of the prompt, how many are computed, and of the answer, and whether they halt."""
    made = []
    for order, (rank, prompt, cached, written, is_halted) in enumerate(described):
        tokens = array("i", range(prompt + written))
        computed = len(tokens) - 1 if written else min(cached, prompt - 1)
        live = Live(StreamId(order), rank, "a", False, tokens, prompt, order, 0.0, seat=order, cached=computed)
        live.is_halted, live.seated_class = is_halted, rank
        live.added_s, live.begun_s = 2.0, 1.0 if written else 0.0  # every prompt came after the answers had begun
        made.append(live)
    return made


def measured(steps: list[tuple[int, int, float]]) -> Pace:
    pace = Pace()
    for read, written, step_s in steps:
        pace.measured(read_tokens=read, written_tokens=written, step_s=step_s)
    return pace


@given(DESCRIBED, STEPS, st.integers(1, 512), st.integers(1, 512))
def test_a_step_fits_leaves_no_writer_out_and_is_voice_s_alone_while_voice_reads(
    described: list[tuple[int, int, int, int, bool]], steps: list[tuple[int, int, float]], batch: int, free: int
) -> None:
    seated = lives(described)
    parts = compose(seated, measured(steps), batch_tokens=batch, free_cells=free, now_s=0.0)
    counts = {part.live.stream: part.n_tokens for part in parts}
    assert len(counts) == len(parts)
    assert sum(counts.values()) <= min(batch, free)
    assert all(0 < part.n_tokens <= part.live.pending and not part.live.is_halted for part in parts)
    active = [live for live in seated if not live.is_halted]
    assert bool(parts) == bool(active)
    voice_reads = any(live.rank == VOICE and live.is_reading for live in active)
    if voice_reads:
        active = [live for live in active if live.rank == VOICE]
        assert {part.live.rank for part in parts} == {VOICE}
    writers = [live for live in active if not live.is_reading]
    readers = [live for live in active if live.is_reading]
    written = [live for live in writers if live.stream in counts]
    assert len(written) == min(len(writers), batch, free)
    room = min(batch, free) - len(writers)
    if readers and room > 0:
        first = min(readers, key=lambda live: live.urgency(0.0))
        tile = max(1, LEAST_TOKENS - len(written))
        assert counts[first.stream] >= min(first.pending, room, sum(one.pending for one in readers) % tile or tile)


def test_prompts_are_read_in_order_of_their_classes() -> None:
    seated = lives([(3, 187, 0, 0, False), (1, 5, 0, 0, False), (2, 192, 0, 0, False)])
    parts = compose(seated, Pace(), batch_tokens=100, free_cells=512, now_s=0.0)
    assert [(part.live.rank, part.n_tokens) for part in parts] == [(1, 5), (2, 59)]


@given(st.integers(1, 5_000), st.integers(0, 20), STEPS)
def test_a_long_prompt_is_read_so_that_rows_fill_tiles_after_what_is_odd(
    prompt: int, writers: int, steps: list[tuple[int, int, float]]
) -> None:
    seated = lives([(2, 10, 9, 1, False)] * writers + [(1, prompt, 0, 0, False)])
    pace, reader, rows, tile = measured(steps), seated[-1], [], LEAST_TOKENS - writers
    while reader.is_reading and reader.pending:
        parts = compose(seated, pace, batch_tokens=512, free_cells=9_000, now_s=0.0)
        rows.append(next(part.n_tokens for part in parts if part.live is reader))
        reader.cached += rows[-1]
    assert sum(rows) == prompt
    assert all(count % tile == 0 for count in rows[1:-1])
    assert len(rows) == 1 or rows[-1] >= min(tile, 512 - writers)


@given(DESCRIBED, STEPS)
def test_a_hurried_step_reads_no_more_than_a_step_beside_voice_may(
    described: list[tuple[int, int, int, int, bool]], steps: list[tuple[int, int, float]]
) -> None:
    seated, pace = [live for live in lives(described) if live.rank != VOICE], measured(steps)
    hurried = compose(seated, pace, batch_tokens=512, free_cells=512, is_hurried=True, now_s=0.0)
    writing = sum(not part.live.is_reading for part in hurried)
    read = sum(part.n_tokens for part in hurried if part.live.is_reading)
    assert read <= max(pace.chunk_tokens(VOICE_GAP_S, writing), LEAST_TOKENS)
    at_ease = compose(seated, pace, batch_tokens=512, free_cells=512, now_s=0.0)
    assert {part.live.stream for part in hurried} <= {part.live.stream for part in at_ease}


@pytest.mark.parametrize(
    ("rank", "written", "since_s", "can_wait"),
    [
        (VOICE, 0, 9.0, False),  # its prompt is read
        (VOICE, FIRST_TOKENS - 1, 0.0, False),
        (VOICE, FIRST_TOKENS, 0.0, True),
        (VOICE, AHEAD_TOKENS + int(SPOKEN_TOKENS_PER_S) + FIRST_TOKENS, 1.0, True),
        (VOICE, AHEAD_TOKENS + int(9 * SPOKEN_TOKENS_PER_S), 9.0, True),
        (VOICE, AHEAD_TOKENS + int(9 * SPOKEN_TOKENS_PER_S) - 1, 9.0, False),  # what it was ahead is spoken
        (1, 500, 0.0, False),
        (2, 0, 0.0, True),
        (3, 500, 0.0, True),
    ],
)
def test_a_voice_answer_that_is_far_ahead_of_its_listener_steps_aside_like_what_can_wait(
    rank: int, written: int, since_s: float, *, can_wait: bool
) -> None:
    (live,) = lives([(rank, 10, 9, written, False)])
    live.begun_s = 5.0 if written else 0.0
    assert live.can_wait(5.0 + since_s) is can_wait


def written_beside(writer: tuple[int, float], reader: tuple[int, float], pending: int) -> bool:
    """Tell whether an answer goes on beside a prompt. Writer: class, when it began; reader: class, when it came."""
    seated = lives([(writer[0], 10, 9, 1, False), (reader[0], pending, 0, 0, False)])
    seated[0].begun_s, seated[1].added_s = writer[1], reader[1]
    parts = compose(seated, Pace(), batch_tokens=512, free_cells=512, now_s=0.0)
    assert seated[1] in [part.live for part in parts]
    return seated[0] in [part.live for part in parts]


def test_an_answer_that_has_just_begun_waits_a_moment_for_prompts_that_came_with_its_own() -> None:
    assert not written_beside((1, 5.0), (1, 4.0), 100)
    assert written_beside((1, 5.0), (1, 6.0), 100), "it came later: an answer that runs is not held up"
    assert written_beside((1, 5.0), (1, 4.0), 5_000), "a long prompt holds nobody up"
    assert written_beside((1, 5.0), (2, 4.0), 100), "nor does one of a lower class"
    assert written_beside((VOICE, 5.0), (1, 4.0), 100), "and voice waits for nobody"


@given(STEPS, st.floats(0, 1), st.integers(0, 8))
def test_a_chunk_is_never_less_than_what_is_worth_a_step(
    steps: list[tuple[int, int, float]], gap_s: float, written: int
) -> None:
    assert measured(steps).chunk_tokens(gap_s, written) >= LEAST_TOKENS


def test_a_chunk_takes_as_long_as_the_gap_once_the_machine_is_known() -> None:
    pace = measured([(0, 4, 0.02)] * 40 + [(200, 4, 0.22)] * 40)
    assert pace.chunk_tokens(GAP_S, 0) in (299, 300)
    assert pace.chunk_tokens(GAP_S, 4) in (279, 280)
    assert pace.chunk_tokens(VOICE_GAP_S, 8) == LEAST_TOKENS


def test_steps_with_few_prompt_tokens_say_nothing_about_reading() -> None:
    before = Pace().chunk_tokens(2.0, 0)
    assert measured([(MEASURED_TOKENS - 1, 0, 9.0)] * 9).chunk_tokens(2.0, 0) == before
    assert measured([(MEASURED_TOKENS, 0, 9.0)] * 9).chunk_tokens(2.0, 0) < before


# --- threads


def reading(others: float) -> tuple[Reading, Reading]:
    """Return counters a second apart in which others used so many cores."""
    return Reading(10.0, 100.0, 50.0), Reading(11.0, 101.0 + others, 51.0)


@given(st.floats(0, 70), st.integers(1, 64), st.integers(1, 64))
def test_threads_are_at_least_one_and_at_most_the_cores(others: float, cores: int, current: int) -> None:
    chosen = choose(*reading(others), cores=cores, current=min(current, cores))
    assert 1 <= chosen <= cores
    assert choose(*reading(others), cores=cores, current=chosen) == chosen


def test_a_core_is_left_to_others_and_taken_back_with_a_gap_between() -> None:
    loads = (0.0, 0.4, 0.6, 0.4, 0.35, 0.2)
    chosen, current = [], 2
    for others in loads:
        current = choose(*reading(others), cores=2, current=current)
        chosen.append(current)
    assert chosen == [2, 2, 1, 1, 1, 2]


def test_counters_that_stand_still_or_run_back_change_nothing() -> None:
    at = Reading(10.0, 100.0, 50.0)
    assert choose(at, at, cores=4, current=3) == 3
    assert choose(at, Reading(9.0, 100.0, 50.0), cores=4, current=3) == 3
    assert choose(at, Reading(11.0, 100.0, 55.0), cores=4, current=3) == 4


def test_the_prompt_of_a_voice_request_is_read_by_all_cores_whatever_others_did_before() -> None:
    assert for_step(1, cores=4, reads_voice=True) == 4
    assert for_step(1, cores=4, reads_voice=False) == 1
