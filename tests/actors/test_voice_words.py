"""Which phonemes say which word, and the output that tells how long each takes."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_actors.engines.piper.graph import durations_output
from inferd_actors.engines.piper.words import SourceWord, place, words_of

ALONE = {"one": "wˈʌn", "of": "ʌv", "the": "ðə", "sea": "sˈiː", "2024": "tˈuː θˈaʊzənd twˈɛnti fˈɔːɹ", "st": "sənt."}


def placed(text: str, phonemes: str) -> list[tuple[str, str, bool]]:
    """Return each word with the phonemes that were found for it, and whether it shares them."""
    words = words_of(text, range(len(text)))
    found = place(words, list(phonemes), lambda word: ALONE[word.strip(".,").lower()])
    return [(one.word.text, phonemes[one.begin : one.end].strip(), one.shared) for one in found]


def test_words_stand_where_they_are_in_the_source_with_their_marks() -> None:
    text, origins = "a bold, — «word».", [0, 1, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
    assert words_of(text, origins) == [
        SourceWord("a", 0, 1),
        SourceWord("bold,", 4, 11),
        SourceWord("«word».", 14, 21),
    ]


def test_as_many_words_as_groups_belong_together_in_order() -> None:
    assert placed("one, sea", "wˈʌn, sˈiː.") == [("one,", "wˈʌn,", False), ("sea", "sˈiː.", False)]


def test_words_said_in_one_breath_share_it_by_their_length() -> None:
    assert placed("one of the sea", "wˈʌn ʌvðə sˈiː") == [
        ("one", "wˈʌn", False),
        ("of", "ʌv", True),
        ("the", "ðə", True),
        ("sea", "sˈiː", False),
    ]


def test_a_number_is_said_in_several_groups() -> None:
    assert placed("One 2024 sea.", "wˈʌn tˈuː θˈaʊzənd twˈɛnti fˈɔːɹ sˈiː.") == [
        ("One", "wˈʌn", False),
        ("2024", "tˈuː θˈaʊzənd twˈɛnti fˈɔːɹ", False),
        ("sea.", "sˈiː.", False),
    ]


def test_a_mark_ends_a_group_though_no_blank_follows() -> None:
    assert placed("St. one", "sənt.wˈʌn") == [("St.", "sənt.", False), ("one", "wˈʌn", False)]


@given(st.lists(st.sampled_from(sorted(ALONE)), max_size=12), st.text("ab .,ˈ", max_size=60))
def test_words_never_overlap_and_leave_nothing_out(words: list[str], phonemes: str) -> None:
    text = " ".join(words)
    found = place(words_of(text, range(len(text))), list(phonemes), ALONE.__getitem__)
    assert [one.word.text for one in found] == (words if any(map(str.isalpha, phonemes)) else [])
    assert all(one.begin <= one.end for one in found)
    assert all(one.end == two.begin for one, two in pairwise(found))


def wrapped(number: int, content: bytes) -> bytes:
    assert len(content) < 0x80
    return bytes([number << 3 | 2, len(content)]) + content


def node(operation: bytes, output: bytes) -> bytes:
    return wrapped(1, wrapped(1, b"in") + wrapped(2, output) + wrapped(4, operation))


def test_the_one_ceil_of_a_graph_becomes_an_output() -> None:
    model = b"\x08\x08" + wrapped(7, node(b"Exp", b"w") + node(b"Ceil", b"w_ceil")) + b"\x09" + bytes(8)
    assert durations_output(model) == wrapped(7, wrapped(12, wrapped(1, b"w_ceil")))


@pytest.mark.parametrize(
    "graph", [b"", node(b"Exp", b"w"), node(b"Ceil", b"a") + node(b"Ceil", b"b"), node(b"Ceil", b"x" * 101)]
)
def test_a_graph_without_one_place_for_durations_stays_as_it_is(graph: bytes) -> None:
    assert durations_output(wrapped(7, graph)) == b""


@given(st.binary(max_size=200))
def test_bytes_that_are_no_model_are_refused_or_left_alone(model: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(durations_output(model), bytes)
