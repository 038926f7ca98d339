"""How far ahead of a listener a voice is, whose turn it is to be computed, and what a request asks of a voice."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import InvalidRequest
from inferd.messages.speech import Synthesize
from inferd_actors.engine import StreamId, Submission
from inferd_actors.engines.piper import request, turns
from inferd_actors.engines.piper.jobs import Manner
from inferd_actors.engines.piper.options import Options
from inferd_actors.engines.piper.playhead import AHEAD_MS, Playhead
from inferd_actors.engines.piper.request import Speakers
from inferd_actors.engines.piper.turns import Claim

SPEAKERS = Speakers(3, 1, {"anna": 0, "bertha": 1})


def sent(playhead: Playhead, now_s: float) -> None:
    while playhead.wait_s(now_s) == 0:
        playhead.send(50, now_s)


def test_without_a_word_of_the_app_a_second_goes_ahead_of_the_clock() -> None:
    playhead = Playhead(is_paced=True)
    sent(playhead, 10.0)
    assert AHEAD_MS < playhead.sent_ms <= AHEAD_MS + 50
    assert playhead.wait_s(10.0) == pytest.approx(0.05)
    sent(playhead, 10.5)
    assert playhead.sent_ms == pytest.approx(1_550, abs=51)


def test_an_app_that_reports_is_kept_a_second_ahead_of_what_it_played() -> None:
    playhead = Playhead(is_paced=True)
    sent(playhead, 0.0)
    playhead.report(100)
    sent(playhead, 60.0)
    assert AHEAD_MS <= playhead.sent_ms - 100 < AHEAD_MS + 50
    assert playhead.wait_s(1e9) is None
    playhead.report(50)
    assert playhead.wait_s(1e9) is None
    playhead.report(500)
    assert playhead.wait_s(60.0) == 0


def test_a_listener_who_ran_dry_begins_again_with_the_next_sound() -> None:
    playhead = Playhead(is_paced=True)
    playhead.send(100, 0.0)
    assert playhead.ahead_ms(5.0) == 0
    playhead.send(100, 5.0)
    assert playhead.ahead_ms(5.0) == pytest.approx(100)
    assert playhead.ahead_ms(5.05) == pytest.approx(50)


def test_a_listener_who_is_held_uses_up_nothing() -> None:
    playhead = Playhead(is_paced=True)
    playhead.send(500, 0.0)
    playhead.hold(0.1)
    playhead.hold(0.2)
    assert playhead.ahead_ms(9.0) == pytest.approx(400)
    playhead.release(9.0)
    assert playhead.ahead_ms(9.1) == pytest.approx(300)


def test_a_whole_text_is_not_paced_until_somebody_plays_it() -> None:
    playhead = Playhead(is_paced=False)
    playhead.send(100_000, 0.0)
    assert playhead.wait_s(0.0) == 0
    playhead.report(0)
    assert playhead.wait_s(0.0) is None


@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.sampled_from(("send", "report", "hold", "release", "look")), st.floats(0, 2_000))
    )
)
def test_nobody_is_ahead_of_what_was_sent_nor_ever_owes_sound(events: list[tuple[float, str, float]]) -> None:
    playhead, now_s = Playhead(is_paced=True), 0.0
    for passed_s, what, ms in events:
        now_s += passed_s
        match what:
            case "send":
                playhead.send(ms, now_s)
            case "report":
                playhead.report(ms)
            case "hold":
                playhead.hold(now_s)
            case "release":
                playhead.release(now_s)
        assert 0 <= playhead.ahead_ms(now_s) <= playhead.sent_ms + 1e-6
        wait_s = playhead.wait_s(now_s)
        assert wait_s is None or wait_s >= 0


def claim(rank: int, ahead_ms: float, order: int) -> Claim:
    return Claim(rank, ahead_ms, order, StreamId(order))


def test_the_most_urgent_class_goes_first_then_who_runs_out_first_then_who_came_first() -> None:
    voice, dry, early, late = claim(0, 900, 9), claim(1, 0, 8), claim(1, 50, 1), claim(1, 50, 2)
    assert sorted([late, early, dry, voice]) == [voice, dry, early, late]
    assert turns.first([late, dry]) == dry
    assert turns.first([]) is None


@pytest.mark.parametrize(
    ("working", "waiting", "makes_way"),
    [
        (claim(1, 0, 1), claim(0, 5_000, 2), True),
        (claim(0, 9_000, 1), claim(1, 0, 2), False),
        (claim(0, 2_000, 1), claim(0, 0, 2), True),
        (claim(0, 500, 1), claim(0, 0, 2), False),
        (claim(0, 2_000, 1), claim(0, 10, 2), False),
    ],
)
def test_who_is_computed_makes_way_for_the_more_urgent_and_for_the_silent(
    working: Claim, waiting: Claim, *, makes_way: bool
) -> None:
    assert turns.makes_way(working, waiting) is makes_way


@pytest.mark.parametrize(
    ("claim", "can_wait"),
    [
        (Claim(0, 0.0, 1, StreamId(1)), False),
        (Claim(0, turns.FAR_MS - 1, 1, StreamId(1)), False),
        (Claim(0, turns.FAR_MS, 1, StreamId(1)), True),
        (Claim(1, turns.FAR_MS, 1, StreamId(1)), False),
        (Claim(2, 0.0, 1, StreamId(1)), True),
        (Claim(3, 0.0, 1, StreamId(1)), True),
    ],
)
def test_who_steps_aside_for_voice_work_elsewhere(claim: Claim, *, can_wait: bool) -> None:
    assert turns.can_wait(claim) is can_wait


def asked(**fields: Any) -> Synthesize:  # noqa: ANN401 - fields of the case
    operation = request.asked(
        Submission(StreamId(1), "m", Synthesize(**{"text": "a", **fields}), "voice", "", 0.0, 0.0)
    )
    assert isinstance(operation, Synthesize)
    return operation


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate", math.nan),
        ("rate", 0.2),
        ("rate", math.inf),
        ("volume", -1.0),
        ("volume", math.nan),
        ("volume", 5.0),
        ("text", " \n"),
    ],
)
def test_what_no_voice_can_do_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=field) as refused:
        asked(**{field: value})
    assert refused.value.details["field"] == f"body.{field}"


@pytest.mark.parametrize(("voice", "number"), [(None, 1), ("anna", 0), ("bertha", 1), ("2", 2), ("0", 0)])
def test_a_speaker_is_found_by_name_or_number(voice: str | None, number: int) -> None:
    assert SPEAKERS.find(voice) == number


@pytest.mark.parametrize("voice", ["Anna!", "3", "-1", "²", "", "9" * 30])
def test_a_speaker_who_is_not_there_is_refused_with_near_matches(voice: str) -> None:
    with pytest.raises(InvalidRequest, match="speakers 0 to 2") as refused:
        SPEAKERS.find(voice)
    assert refused.value.details["field"] == "body.voice"
    assert refused.value.details["near"] == (("anna",) if voice == "Anna!" else ())


def test_rate_and_volume_become_the_networks_numbers() -> None:
    manner = request.manner(asked(rate=2.0, volume=0.5), SPEAKERS, (0.6, 1.2, 0.8), 1.5, Options(noise_scale=0.0))
    assert manner == Manner(1, (0.0, 0.6, 0.8), 0.75)
