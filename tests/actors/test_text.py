"""Detokenizing: whole characters, and stop sequences that never leak, however the bytes are cut."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferd_actors.engines.text import StopScanner, TextStream

LETTERS = "abé€😀"
TEXTS = st.text(LETTERS, max_size=30)
STOPS = st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=4)
CUTS = st.lists(st.integers(0, 200), max_size=12)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Return the data in pieces."""
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(edges)]


def run(stream: TextStream, pieces: Sequence[bytes]) -> tuple[list[str], bool]:
    """Return what was shown piece by piece, and whether a stop sequence ended it."""
    shown: list[str] = []
    for piece in pieces:
        result = stream.feed(piece)
        shown.append(result.text)
        if result.stopped:
            return shown, True
    return [*shown, stream.flush()], False


def naive(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """Return the text before the stop sequence that is complete first; of those ending together the longest counts."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))], True
    return text, False


@given(TEXTS, STOPS, CUTS)
@example("ababac", ["abac"], [1, 2, 3, 4, 5])
@example("aab", ["ab", "b"], [])
def test_the_text_is_what_a_search_of_the_whole_finds(text: str, stops: list[str], places: list[int]) -> None:
    shown, stopped = run(TextStream(stops), cut(text.encode(), places))
    assert ("".join(shown), stopped) == naive(text, stops)


@given(TEXTS, STOPS, CUTS)
def test_nothing_is_shown_that_a_later_piece_takes_back(text: str, stops: list[str], places: list[int]) -> None:
    whole, _ = naive(text, stops)
    shown, _ = run(TextStream(stops), cut(text.encode(), places))
    assert all(whole.startswith("".join(shown[:end])) for end in range(len(shown) + 1))


@given(TEXTS, CUTS)
def test_without_stop_sequences_nothing_is_kept_back_but_half_a_character(text: str, places: list[int]) -> None:
    stream, fed = TextStream(), b""
    shown = ""
    for piece in cut(text.encode(), places):
        fed += piece
        shown += stream.feed(piece).text
        assert shown == fed.decode(errors="ignore")


@given(st.binary(max_size=40), CUTS)
def test_bytes_that_are_no_text_are_replaced_and_a_cut_off_character_is_not_shown(
    data: bytes, places: list[int]
) -> None:
    whole, used = codecs.utf_8_decode(data, "replace", False)
    shown, _ = run(TextStream(), cut(data, places))
    assert "".join(shown) == whole
    assert used > len(data) - 4


@pytest.mark.parametrize("number", [1, 64])
def test_the_longest_stop_sequences_are_followed_character_by_character(number: int) -> None:
    stops = ["a" * 1023 + chr(0x100 + which) for which in range(number)]
    scanner = StopScanner(stops)
    shown = "".join(scanner.feed("a").text for _ in range(3_000))
    assert len(shown) == 3_000 - 1_023
    assert scanner.feed(stops[-1][-1]).stopped
