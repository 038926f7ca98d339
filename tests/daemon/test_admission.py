"""Who is turned away at the door, why, and what would help."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import BY_CODE
from inferd.messages.bounds import Blob
from inferd.messages.control import PRIORITIES, Limits, Priority
from inferd.messages.operations import Generate, ImageBlock, Message, TextBlock
from inferd_daemon.admission import (
    MAX_WAITING_BYTES,
    MAX_WAITING_BYTES_PER_APP,
    MAX_WAITING_PER_APP,
    MAX_WAITING_PER_MODEL,
    Arrival,
    Crowd,
    Terms,
    least_tokens,
    refuse,
)
from inferd_daemon.catalogue.names import VOCAB, ModelId
from inferd_daemon.ids import AppKey

if TYPE_CHECKING:
    from inferd.messages.events import Error

NOW_S = 5_000.0
MODEL = ModelId.parse("house/small:q4")
GENERATE = Arrival(
    app=AppKey(1000, "notes"),
    op="generate",
    named_model=str(MODEL),
    model=MODEL,
    capabilities=("generate",),
    priority="interactive",
    timeout_ms=30_000,
    sent_s=NOW_S - 0.001,
    size_bytes=2_000,
)
STATUS = replace(GENERATE, op="status", named_model=None, model=None, capabilities=())
TERMS = Terms(inflight=Limits().inflight)


def refused(arrival: Arrival, crowd: Crowd = Crowd(), terms: Terms = TERMS) -> Error:  # noqa: B008 - frozen
    error = refuse(arrival, crowd, terms, NOW_S)
    assert error is not None
    return error


def test_an_ordinary_request_is_taken() -> None:
    assert refuse(GENERATE, Crowd(), TERMS, NOW_S) is None
    assert refuse(STATUS, Crowd(), TERMS, NOW_S) is None


@pytest.mark.parametrize("op", ["generate", "pull"])
def test_a_daemon_that_stops_begins_no_work_and_says_when_to_come_back(op: str) -> None:
    error = refused(replace(GENERATE, op=op, named_model=None), terms=replace(TERMS, back_in_s=12.0))
    assert (error.code, error.retryable, error.retry_after_s) == ("queue_full", True, 12.0)


@pytest.mark.parametrize("op", ["status", "list_models", "unload", "stop"])
def test_a_daemon_that_stops_still_answers_for_itself(op: str) -> None:
    assert refuse(replace(STATUS, op=op), Crowd(), replace(TERMS, back_in_s=12.0), NOW_S) is None


def test_an_app_has_a_bound_on_unfinished_requests() -> None:
    assert refuse(GENERATE, Crowd(unfinished_of_app=255), TERMS, NOW_S) is None
    error = refused(GENERATE, Crowd(unfinished_of_app=256))
    assert (error.code, error.details) == ("queue_full", {"unfinished": 256, "limit": 256})


def test_time_spent_on_the_way_counts() -> None:
    late = replace(GENERATE, timeout_ms=500, sent_s=NOW_S - 0.75)
    error = refused(late)
    assert (error.code, error.details) == ("deadline_exceeded", {"spent_ms": 750, "timeout_ms": 500})
    assert refuse(replace(late, timeout_ms=800), Crowd(), TERMS, NOW_S) is None


def test_a_sender_without_a_clock_or_ahead_of_ours_has_spent_nothing() -> None:
    for sent_s in (0.0, NOW_S + 60.0):
        assert refuse(replace(GENERATE, timeout_ms=1, sent_s=sent_s), Crowd(), TERMS, NOW_S) is None


def test_no_time_at_all_is_too_little() -> None:
    assert refused(replace(GENERATE, timeout_ms=0, sent_s=0.0)).code == "deadline_exceeded"


@given(asked=st.sampled_from(PRIORITIES), allowed=st.sampled_from(PRIORITIES))
def test_a_class_above_the_cap_is_denied_by_the_name_of_the_setting(asked: Priority, allowed: Priority) -> None:
    error = refuse(replace(GENERATE, priority=asked), Crowd(), replace(TERMS, max_class=allowed), NOW_S)
    if PRIORITIES.index(asked) >= PRIORITIES.index(allowed):
        assert error is None
    else:
        assert error is not None
        assert error.code == "permission_denied"
        assert "apps.notes.max_class" in error.message


def test_what_the_daemon_answers_itself_takes_no_model() -> None:
    error = refused(replace(STATUS, named_model="house/small"))
    assert (error.code, error.details) == ("invalid_request", {"field": "model"})


def test_a_request_that_no_model_can_serve_is_not_kept_waiting() -> None:
    assert refused(replace(GENERATE, model=None, named_model=None, capabilities=())).code == "no_eligible_model"
    error = refused(replace(GENERATE, capabilities=("loopback",)))
    assert (error.code, error.details) == ("unsupported_mode", {"op": "generate", "serves": ("loopback",)})


FULL = {
    "model": Crowd(waiting_for_model=MAX_WAITING_PER_MODEL),
    "app": Crowd(waiting_for_model_of_app=MAX_WAITING_PER_APP),
    "bytes": Crowd(waiting_bytes=MAX_WAITING_BYTES - 1_999),
    "bytes of app": Crowd(waiting_bytes_of_app=MAX_WAITING_BYTES_PER_APP - 1_999),
}


@pytest.mark.parametrize("crowd", FULL.values(), ids=FULL)
def test_every_bound_on_waiting_is_kept_and_named_with_its_numbers(crowd: Crowd) -> None:
    error = refused(GENERATE, crowd)
    assert (error.code, error.retryable) == ("queue_full", True)
    assert error.retry_after_s is not None
    assert error.details is not None
    assert str(error.details["limit"]) in error.message
    assert str(error.details["waiting"]) in error.message


def test_the_last_place_of_every_bound_can_be_taken() -> None:
    crowd = Crowd(
        unfinished_of_app=TERMS.inflight - 1,
        waiting_for_model=MAX_WAITING_PER_MODEL - 1,
        waiting_for_model_of_app=MAX_WAITING_PER_APP - 1,
        waiting_bytes=MAX_WAITING_BYTES - 2_000,
        waiting_bytes_of_app=MAX_WAITING_BYTES_PER_APP - 2_000,
    )
    assert refuse(GENERATE, crowd, TERMS, NOW_S) is None


def test_the_largest_message_finds_room_when_nothing_else_waits() -> None:
    assert refuse(replace(GENERATE, size_bytes=Limits().message_bytes), Crowd(), TERMS, NOW_S) is None


@given(
    op=st.sampled_from(["generate", "loopback", "status", "list_models", "pull", "unload", "stop"]),
    timeout_ms=st.integers(0, 10**9),
    sent_s=st.floats(0.0, 2**53, allow_nan=False),
    size_bytes=st.integers(0, Limits().message_bytes),
    numbers=st.tuples(*(st.integers(0, 2**40) for _ in range(5))),
    back_in_s=st.none() | st.floats(0.0, 600.0),
)
def test_whatever_arrives_is_taken_or_refused_with_a_code_of_the_tree(
    op: str, timeout_ms: int, sent_s: float, size_bytes: int, numbers: tuple[int, ...], back_in_s: float | None
) -> None:
    arrival = replace(GENERATE, op=op, timeout_ms=timeout_ms, sent_s=sent_s, size_bytes=size_bytes)
    error = refuse(arrival, Crowd(*numbers), replace(TERMS, back_in_s=back_in_s), NOW_S)
    if error is not None:
        assert error.code in BY_CODE
        assert 0 < len(error.message) <= 4096


# --- prompts that cannot fit


def test_a_prompt_that_cannot_fit_is_refused_with_both_numbers() -> None:
    error = refused(replace(GENERATE, least_tokens=4_096, context_tokens=4_096))
    assert (error.code, error.retryable) == ("context_overflow", False)
    assert error.details == {"input_tokens": 4_096, "context_tokens": 4_096}


def test_one_that_might_fit_is_the_engines_to_count() -> None:
    for least, room in ((4_095, 4_096), (10**9, 0), (0, 1)):
        arrival = replace(GENERATE, least_tokens=least, context_tokens=room)
        assert refuse(arrival, Crowd(), TERMS, NOW_S) is None


LONG = "x" * 10_240


@pytest.mark.parametrize(
    ("messages", "tokens"),
    [
        ((Message("user", LONG),), 10),
        ((Message("system", LONG), Message("user", LONG)), 20),
        ((Message("user", " " * 10_240),), 0),
        ((Message("user", f"{' ' * 5_000}{LONG}\n"),), 10),
        ((Message("assistant", LONG), Message("user", "and?")), 0),
        ((Message("user", (TextBlock(LONG), ImageBlock(Blob(b"x" * 99_999)))),), 10),
    ],
)
def test_the_least_that_a_prompt_has_counts_what_no_template_drops(messages: tuple[Message, ...], tokens: int) -> None:
    assert least_tokens(Generate(messages)) == tokens
    assert least_tokens(Generate(messages, truncate="oldest")) == 0


def test_questions_about_files_wait_in_one_line_of_their_own() -> None:
    asked = replace(GENERATE, op="tokenize", capabilities=("generate", "tokenize"))
    assert (asked.line, GENERATE.line, STATUS.line) == (VOCAB, MODEL, None)
    assert refuse(asked, Crowd(), TERMS, NOW_S) is None
    assert str(VOCAB) in refused(asked, Crowd(waiting_for_model=MAX_WAITING_PER_MODEL)).message
    assert refused(replace(asked, capabilities=("generate",))).code == "unsupported_mode"
