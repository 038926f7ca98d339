"""The command's words: amounts, cleaned text, exit codes and advice."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferd.errors import BY_CODE, ConnectionLost, InferenceError, ModelFailed, ModelNotFound, QueueFull, from_code
from inferd.messages.control import PRIORITIES
from inferd_cli import amounts
from inferd_cli.advice import NOT_RUNNING, next_step
from inferd_cli.cleaning import clean_line, clean_text
from inferd_cli.exit_codes import MEANINGS, ExitCode, exit_code
from inferd_cli.run import Urgency


@pytest.mark.parametrize(
    ("amount_bytes", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (98_362_432, "98.4 MB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (2**53, "9007 TB"),
    ],
)
def test_sizes_have_three_figures_and_the_unit_that_fits(amount_bytes: int, shown: str) -> None:
    assert amounts.size(amount_bytes) == shown


@given(st.integers(1000, 999 * 10**12))
def test_a_shown_size_is_within_half_a_percent_of_the_true_one(amount_bytes: int) -> None:
    number, unit = amounts.size(amount_bytes).split(" ")
    scale = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert float(number) * scale == pytest.approx(amount_bytes, rel=0.005)


@pytest.mark.parametrize(
    ("time_s", "shown"),
    [
        (0, "0.0 s"),
        (0.42, "0.4 s"),
        (9.94, "9.9 s"),
        (9.97, "10 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (3599.7, "1 h"),
        (7800, "2 h 10 min"),
        (86_400, "1 d"),
        (350_000, "4 d 1 h"),
    ],
)
def test_spans_use_at_most_two_units(time_s: float, shown: str) -> None:
    assert amounts.span(time_s) == shown


def test_a_hundred_percent_is_shown_only_when_all_is_done() -> None:
    assert [amounts.percent(share) for share in (0, 0.431, 0.999, 1)] == ["0 %", "43 %", "99 %", "100 %"]


@given(st.text())
@example("\x1b[2J\x1b]0;title\x07")
@example("\x9b31m")
@example("evil\u202egnp.exe")
@example("\ud800")
def test_a_cleaned_line_cannot_act_on_a_terminal(text: str) -> None:
    shown = clean_line(text)
    assert shown.isprintable()
    assert "  " not in shown
    assert clean_line(shown) == shown


@given(st.text())
@example("a\x1b[31mb\rc\x08d\x7f\x85")
def test_a_cleaned_answer_keeps_everything_but_control_characters(text: str) -> None:
    shown = clean_text(text)
    assert {letter for letter in shown if unicodedata.category(letter) in ("Cc", "Cs")} <= {"\n", "\t"}
    assert [letter for letter in text if unicodedata.category(letter) not in ("Cc", "Cs")] == [
        letter for letter in shown if letter not in "\n\t"
    ]


def test_an_emoji_family_survives_cleaning() -> None:
    assert clean_text("👩‍👩‍👧") == "👩‍👩‍👧"


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_error_has_a_next_step_and_a_documented_exit_code(code: str) -> None:
    error = from_code(code, "it failed")
    assert next_step(error)
    assert exit_code(error) in MEANINGS
    assert exit_code(error) is not ExitCode.OK


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConnectionLost("nobody answers", details={"started": False}), 3),
        (ConnectionLost("broke off", details={"started": True}), 1),
        (ModelNotFound("no such model"), 4),
        (QueueFull("full"), 5),
        (ModelFailed("died"), 1),
        (from_code("of_a_newer_daemon", "?"), 1),
    ],
)
def test_exit_codes_are_the_documented_numbers(error: InferenceError, status: int) -> None:
    assert exit_code(error) == status


def test_the_advice_for_a_missing_daemon_is_how_to_start_one() -> None:
    assert next_step(ConnectionLost("nobody answers", details={"started": False})) == NOT_RUNNING
    assert next_step(ConnectionLost("broke off", details={"started": True})) != NOT_RUNNING


def test_advice_tells_when_the_daemon_knows_when() -> None:
    assert next_step(QueueFull("full", retry_after_s=20)).startswith("try again in 20 s; ")
    assert next_step(QueueFull("full")).startswith("try again; ")
    assert "try again" not in next_step(QueueFull("full", retryable=False))


def test_urgencies_are_the_classes_of_the_protocol() -> None:
    assert tuple(Urgency) == PRIORITIES
