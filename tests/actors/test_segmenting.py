"""In which pieces a text is spoken."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_actors.engines.piper.segmenting import MAX_CHARS, MAX_WORDS, Piece, Segmenter
from inferd_actors.engines.piper.speakable import Said, Speakable

sentences = pytest.importorskip("inferd_actors.engines.piper.sentences", exc_type=ImportError)

PROSE = st.lists(
    st.sampled_from(
        (
            "Hello",
            "Dr. Smith",
            "there,",
            "you",
            "e.g.",
            "No.",
            "Yes!",
            "1,000",
            "3.5",
            "so:",
            "—",
            "\n\n",
            "\n",
            "“Go.”",
            "一个人。",
            "(ok)",
            "a;",
        )
    )
    | st.text("abc", min_size=1, max_size=9),
    max_size=90,
).map(" ".join)
NOISE = st.text("ab c,;:.!?\n12“”')—。", max_size=400)


def segmenter() -> Segmenter:
    return Segmenter(lambda text: list(sentences.ends("en", text)))


def pieces(parts: list[str]) -> list[Piece]:
    cut, found, read = segmenter(), list[Piece](), 0
    for part in parts:
        found += cut.feed(Said(part, range(read, read + len(part))))
        read += len(part)
    return [*found, *cut.finish()]


def texts(*parts: str) -> list[str]:
    return [one.text for one in pieces(list(parts))]


def parts_of(source: str, cuts: list[int]) -> list[str]:
    borders = [0, *sorted(cut % (len(source) + 1) for cut in cuts), len(source)]
    return [source[begin:end] for begin, end in pairwise(borders)]


def test_the_first_clause_is_spoken_before_the_second_is_known() -> None:
    found = segmenter().feed(Said("I would like to tell you a story,", range(33)))
    assert [one.text for one in found] == ["I would like to tell you a story,"]


def test_a_clause_is_a_piece_only_at_the_beginning() -> None:
    assert texts(
        "I would like to tell you a story, and it is a long one, so listen. Once there was a king, and a queen."
    ) == [
        "I would like to tell you a story,",
        " and it is a long one, so listen. ",
        "Once there was a king, and a queen.",
    ]


@pytest.mark.parametrize("blank", [" ", "\n", "\u2028"])
def test_blanks_without_end_are_not_kept(blank: str) -> None:
    cut = segmenter()
    given = Said(blank * 10_000, range(10_000))
    assert sum(len(one.text) for one in cut.feed(given)) > 10_000 - 2 * MAX_CHARS


@pytest.mark.parametrize("blank", ["\u00a0", "\u2028", "\u3000"])
def test_a_wide_blank_in_front_of_a_full_stop_is_a_blank(blank: str) -> None:
    """Behind a single letter it made the library panic, and with it every voice of the process end."""
    text = f"So it was I{blank}. Then we went home."
    assert "".join(texts(text)) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Dr. Smith met Mr. Jones at 10:30 a.m. on Monday. Then he left.", 2),
        ("Version 3.5 costs 1,000 dollars e.g. in the shop. It is new.", 2),
        ("He was asked to go away at once! He did not move at all? No, he did.", 3),
        ("A line without an end\nand the rest of it", 1),
        ("A paragraph without an end\n\nand the next one", 2),
        ("What there is on the list:\nfirst an apple.\nthen a pear of this year.\n", 3),
        ("Hier steht der Satz。这是第二个句子。", 2),
        ("Yes. No. Well. I do not know it.", 2),
    ],
)
def test_sentences_are_pieces(text: str, count: int) -> None:
    assert len(texts(text)) == count


def test_a_sentence_that_does_not_end_is_cut_at_a_clause_or_between_words() -> None:
    first, *rest = texts("word " * 200)
    assert len(first.split()) == 12
    assert {len(one.split()) for one in rest[:-1]} == {MAX_WORDS}
    opening = "Now we begin at last. "
    clause = "three of them go this way,"
    assert texts(opening + clause + " word" * 40)[1] == clause


def test_a_text_without_blanks_is_cut_too() -> None:
    assert all(len(one) <= MAX_CHARS for one in texts("x" * 1_000))


def test_who_waits_hears_what_there_is_up_to_the_last_whole_word() -> None:
    cut = segmenter()
    assert cut.feed(Said("Well I thin", range(11))) == []
    assert [one.text for one in cut.press(is_idle=True)] == ["Well I "]
    assert cut.press(is_idle=True) == []
    cut.feed(Said("k so.", range(11, 16)))
    assert [one.text for one in cut.press(is_idle=True)] == ["think so."]


def test_while_somebody_writes_only_a_whole_clause_is_taken() -> None:
    cut = segmenter()
    cut.feed(Said("This is the first. ", range(19)))
    cut.feed(Said("And then we went home, because it ra", range(19, 55)))
    taken = cut.press(is_idle=False)
    assert taken[-1].text == "And then we went home,"
    assert cut.press(is_idle=False) == []


@given(PROSE | NOISE, st.lists(st.integers(0, 2_000), max_size=40))
def test_pieces_are_the_same_however_the_text_came(text: str, cuts: list[int]) -> None:
    assert pieces(parts_of(text, cuts)) == pieces([text])
    assert pieces(list(text)) == pieces([text])


@given(PROSE | NOISE, st.lists(st.tuples(st.integers(1, 60), st.sampled_from((None, True, False))), max_size=40))
def test_pieces_together_are_the_text_whenever_it_is_pressed(text: str, events: list[tuple[int, bool | None]]) -> None:
    cut, found, at = segmenter(), list[Piece](), 0
    for length, press in [*events, (len(text), None)]:
        part = text[at : at + length]
        found += cut.feed(Said(part, range(at, at + len(part))))
        at += len(part)
        if press is not None:
            found += cut.press(is_idle=press)
    found += cut.finish()
    together = "".join(one.text for one in found)
    assert text.startswith(together)
    assert not any(map(str.isalnum, text[len(together) :]))
    assert [at for one in found for at in one.origins] == list(range(len(together)))
    assert all(any(map(str.isalnum, one.text)) for one in found)


@given(PROSE, st.lists(st.integers(0, 2_000), max_size=40))
def test_pieces_of_what_is_said_point_into_the_source(text: str, cuts: list[int]) -> None:
    source = text.replace("Hello", "**Hello**").replace("you", "[you](http://x.y/z)")
    speakable, cut = Speakable(), segmenter()
    found = [piece for part in parts_of(source, cuts) for piece in cut.feed(speakable.feed(part))]
    found += [*cut.feed(speakable.finish()), *cut.finish()]
    for piece in found:
        assert all(source[at] == one for one, at in zip(piece.text, piece.origins, strict=True) if one.isalnum())
