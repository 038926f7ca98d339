"""An answer on a terminal: state lines vanish, thinking is apart, the summary stands under it."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from scripted_client import ECHO, answer

from inferd import Done, Loading, Parked, PullProgress, Queued, Reply, Resumed, TextDelta, ThinkingDelta, Usage
from inferd_cli.progress import PlainProgress
from inferd_cli.screen import TextScreen, state_words
from inferd_cli.summary import summary, tokens_per_s
from inferd_cli.terminal import DimText, TerminalProgress

ERASE_LINE = "\x1b[2K"


def screen_on(shown: io.StringIO, *, stats: bool = True) -> TextScreen:
    """Return a screen whose stdout and stderr are one terminal, 80 columns wide."""
    console = Console(file=shown, force_terminal=True, width=80)
    return TextScreen(shown, TerminalProgress(console), DimText(console), stats=stats)


def plain(drawn: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn)


def test_a_state_line_is_erased_before_the_text_comes() -> None:
    shown = io.StringIO()
    screen = screen_on(shown)
    for event in (Queued(2, "one slot"), Loading(ECHO.id, 0.43), TextDelta("The sea.")):
        screen.show(event)
    screen.close()
    before, text, after = shown.getvalue().partition("The sea.")
    assert "loading inferd/echo:default 43 %" in before
    assert before.rindex(ERASE_LINE) > before.rindex("43 %")
    assert (text, after) == ("The sea.", "\n")


def test_a_bar_shows_share_amount_rate_and_time_left_within_80_columns() -> None:
    shown = io.StringIO()
    screen = screen_on(shown)
    screen.show(PullProgress("downloading", 88_888_888_888, 100_000_000_000, 12_100_000.0, 918.0))
    screen.close()
    lines = [line for line in plain(shown.getvalue()).splitlines() if "downloading" in line]
    assert lines[-1].rstrip().endswith("88 %  88.9 GB of 100 GB  12.1 MB/s  15 min 18 s left")
    assert len(lines[-1]) <= 80
    assert shown.getvalue().endswith(ERASE_LINE)


def test_thinking_is_dim_and_a_blank_line_away_from_the_answer() -> None:
    shown = io.StringIO()
    screen = screen_on(shown, stats=False)
    for event in (ThinkingDelta("Let me"), ThinkingDelta(" see.\x1b[5m"), *answer("Done.")):
        screen.show(event)
    assert plain(shown.getvalue()).endswith("Let me see.[5m\n\nDone.\n")
    assert "\x1b[2m see.[5m\x1b[0m" in shown.getvalue()


def test_a_summary_stands_under_the_answer() -> None:
    shown = io.StringIO()
    screen = screen_on(shown)
    for event in answer("One ", "two."):
        screen.show(event)
    assert plain(shown.getvalue()) == "One two.\nfirst token after 200 ms, 1.0 tokens/s, 2 tokens\n"


def test_states_in_the_middle_of_an_answer_do_not_touch_it() -> None:
    shown = io.StringIO()
    screen = screen_on(shown, stats=False)
    for event in (TextDelta("One "), Parked(), Queued(1), Resumed(), Usage(1, 2), *answer("two.")):
        screen.show(event)
    assert shown.getvalue() == "One two.\n"


def test_a_screen_can_show_one_answer_after_the_other() -> None:
    shown = io.StringIO()
    screen = screen_on(shown, stats=False)
    for event in (*answer("a"), *answer("b\n"), *answer("c")):
        screen.show(event)
    assert shown.getvalue() == "a\nb\nc\n"


def test_plain_progress_is_silent_about_states_and_starts_anew_for_each_download() -> None:
    shown = io.StringIO()
    progress = PlainProgress(shown)
    progress.state("waiting")
    for done_bytes in (0, 60_000_000, 70_000_000, 110_000_000):
        progress.pull(PullProgress("downloading", done_bytes))
    progress.clear()
    progress.pull(PullProgress("downloading", 110_000_000))
    assert shown.getvalue().splitlines() == [
        "downloading: 0 B",
        "downloading: 60.0 MB",
        "downloading: 110 MB",
        "downloading: 110 MB",
    ]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Queued(3, eta_s=12.0), "queued, position 3, about 12 s"),
        (Loading("m", 1.0, "warming up"), "loading m 100 % (warming up)"),
        (Parked(), "set aside for a more urgent request"),
    ],
)
def test_states_in_words(event: Queued | Loading | Parked, words: str) -> None:
    assert state_words(event) == words


def test_a_speed_is_told_only_when_there_is_one() -> None:
    assert tokens_per_s(11, 0.5) == 20.0
    assert tokens_per_s(1, 0.5) is None
    assert tokens_per_s(5, 0.0) is None
    assert summary(Reply("", usage=Usage())) == "0 tokens"


def test_done_alone_leaves_no_blank_line() -> None:
    shown = io.StringIO()
    screen_on(shown, stats=False).show(Done(Reply("")))
    assert shown.getvalue() == ""
