"""What of a text is said, and where each character of it comes from."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_actors.engines.piper.speakable import Said, Speakable

MARKUP = st.text("ab 1.,:!?*_`~#>-+|<>[]()\\/\n\t\"'hw😀é", max_size=200)
LONG_RUNS = st.builds(
    lambda mark, times, rest: mark * times + rest, st.sampled_from("-*_~`|#<w1 ["), st.integers(30, 130), MARKUP
)
SNIPPETS = st.lists(
    st.sampled_from(
        (
            "https://a.b/c",
            "[x](http://y)",
            "```\n",
            "\n- ",
            "\n| a | b |\n",
            "|--|--|\n",
            "**",
            "# ",
            "<br>",
            "\n1. ",
            "www.x.org ",
            "[[ ",
            "]]",
        )
    )
    | st.text("ab \n", max_size=5),
    max_size=20,
).map("".join)
SOURCES = MARKUP | LONG_RUNS | SNIPPETS


def said(source: str, *, markdown: bool = True, code: str = "") -> str:
    return whole(Speakable(markdown, code), [source]).text


def whole(speakable: Speakable, parts: list[str]) -> Said:
    heard = [*(speakable.feed(part) for part in parts), speakable.finish()]
    return Said("".join(one.text for one in heard), [at for one in heard for at in one.origins])


def parts_of(source: str, cuts: list[int]) -> list[str]:
    borders = [0, *sorted(cut % (len(source) + 1) for cut in cuts), len(source)]
    return [source[begin:end] for begin, end in pairwise(borders)]


@pytest.mark.parametrize(
    ("source", "spoken"),
    [
        ("plain text, and (more) of it: 10:30.", "plain text, and (more) of it: 10:30."),
        ("**bold** and *it* and __x__ ~~gone~~", "bold and it and x gone"),
        ("2*3*4 is a * b", "2*3*4 is a * b"),
        ("call `do_it()` now", "call do it() now"),
        ("see [the docs](https://x.y/z_(a)) here", "see the docs here"),
        ("![a cat](cat.png)", "a cat"),
        ("Wow! [sic]", "Wow! sic"),
        ("at https://www.example.com/a?b=c.", "at example.com."),
        ("at <https://foo.org/x>!", "at foo.org!"),
        ("a<br/>b <i>c</i>", "ab c"),
        ("a < b and b > c", "a < b and b > c"),
        ("arr[0]", "arr 0"),
        ("say [[ həloʊ ]] now", "say  həloʊ  now"),
        ("hi 😀👍🏽 done ❤️", "hi  done "),
        ("100 % © 5°", "100 % © 5°"),
        (r"\*not emphasis\*", "*not emphasis*"),
        ("# Title\ntext", " Title.\ntext"),
        ("> quoted\n> more", "quoted\nmore"),
        ("- one\n- [ ] two\n* three!\n", "one.\ntwo.\nthree!\n"),
        ("1. one\n2) two\n", "1. one.\n2) two.\n"),
        ("a\n---\nb", "a\n\nb"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |\n", " a , b .\n\n 1 , 2 .\n"),
        ("so:\n```python\nprint('x')\n```\nend", "so:\nend"),
        ("```x``` begins a line", "x begins a line"),
        ("a\x00b\x1bc\u200d\ud800", "abc"),
        ("", ""),
        ("😀 **", " "),
    ],
)
def test_markup_is_not_said(source: str, spoken: str) -> None:
    assert said(source) == spoken


def test_a_block_of_code_is_announced_where_that_is_asked_for() -> None:
    assert said("so:\n```\nx = 1\n```\nend", code="Some code.") == "so:\nSome code.\nend"


def test_a_text_that_is_no_markdown_is_said_as_it_stands() -> None:
    source = "# 2 * 3 [x](y) `z` 😀\n"
    assert said(source, markdown=False) == source


def test_what_is_certain_is_not_held_back() -> None:
    speakable = Speakable()
    assert [speakable.feed(part).text for part in ("It **is", "** [a li", "nk](http://x", ".y) a", " bit")] == [
        "It is",
        " a li",
        "nk",
        " a",
        " bit",
    ]


def test_an_open_tag_is_held_back_for_forty_characters_and_no_longer() -> None:
    speakable = Speakable()
    assert speakable.feed("a <" + "b" * 38).text == "a "
    assert speakable.feed("bb").text == "<" + "b" * 40


@given(source=SOURCES, cuts=st.lists(st.integers(0, 300), max_size=40), markdown=st.booleans())
def test_the_same_is_said_however_the_text_was_cut(source: str, cuts: list[int], *, markdown: bool) -> None:
    assert whole(Speakable(markdown), parts_of(source, cuts)) == whole(Speakable(markdown), [source])


@given(SOURCES)
def test_the_same_is_said_of_a_text_that_comes_in_single_characters(source: str) -> None:
    assert whole(Speakable(), list(source)) == whole(Speakable(), [source])


@given(source=SOURCES, markdown=st.booleans())
def test_every_character_that_is_said_has_a_place_in_the_source_and_places_never_go_back(
    source: str, *, markdown: bool
) -> None:
    heard = whole(Speakable(markdown), [source])
    assert len(heard.text) == len(heard.origins)
    assert list(heard.origins) == sorted(heard.origins)
    assert all(0 <= at < len(source) for at in heard.origins)
    assert all(source[at] == one for one, at in zip(heard.text, heard.origins, strict=True) if one.isalnum())
