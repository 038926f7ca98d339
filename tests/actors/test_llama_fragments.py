"""Prompts cut in front of marks have the tokens that they have uncut, and known parts are not tokenized again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import MARKS

from inferd_actors import engines

if not engines.missing("llama_cpp"):
    from inferd_actors.engines.llama_cpp.fragments import KEPT_CHARS, LEAST_CHARS, Fragments
    from inferd_actors.engines.llama_cpp.library import Tokens, Vocabulary, VocabularyFile

    class Counting(Vocabulary):
        """Knows how many characters it was given."""

        given_chars = 0

        def tokenize(self, text: str, *, add_begin: bool, marks: bool) -> Tokens:
            self.given_chars += len(text)
            return super().tokenize(text, add_begin=add_begin, marks=marks)


pytestmark = pytest.mark.skipif(
    bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"
)

LONG = "a word \t of\n\n many " * 40
WORDS = st.sampled_from(
    [*MARKS, *(mark[:-1] for mark in MARKS), "<|", "|>", " ", "\n", "  \n", "é", "don't", "a b", LONG]
)
TEXTS = st.lists(st.lists(WORDS | st.text(max_size=5), max_size=12).map("".join), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def file(tiny_models: Mapping[str, Path]) -> Iterator[VocabularyFile]:
    with VocabularyFile(str(tiny_models["chat"])) as file:
        yield file


@pytest.fixture
def words(file: VocabularyFile) -> Counting:
    return Counting(file._model)


def turn(text: str) -> str:
    return f"<|im_start|>user\n{text}<|im_end|>\n"


@given(TEXTS)
@settings(deadline=None)
def test_every_text_has_the_tokens_that_it_has_uncut(file: VocabularyFile, texts: list[str]) -> None:
    fragments = Fragments(file.vocabulary)
    for text in [turn(LONG), *texts, *texts]:
        assert fragments.tokens_of_prompt(text, owner="a").tolist() == file.vocabulary.tokens_of_prompt(text).tolist()


def test_a_conversation_s_earlier_turns_are_tokenized_once(words: Counting) -> None:
    fragments = Fragments(words)
    said = turn("At first." + LONG)
    fragments.tokens_of_prompt(said, owner="a")  # marks are known from now on
    fragments.tokens_of_prompt(said, owner="a")
    words.given_chars = 0
    fragments.tokens_of_prompt(said + turn("And now?"), owner="a")
    assert words.given_chars < LEAST_CHARS


def test_nobody_learns_by_the_time_it_takes_what_another_app_has_asked(words: Counting) -> None:
    fragments = Fragments(words)
    for _ in range(3):
        fragments.tokens_of_prompt(turn(LONG), owner="a")
    words.given_chars = 0
    fragments.tokens_of_prompt(turn(LONG), owner="b")
    assert words.given_chars >= len(LONG)


def test_what_is_kept_has_a_bound(words: Counting) -> None:
    fragments = Fragments(words)
    texts = [turn(f"{number}. {LONG * 100}") for number in range(2 * KEPT_CHARS // (100 * len(LONG)))]
    for text in (texts[0], *texts):
        fragments.tokens_of_prompt(text, owner="a")
    words.given_chars = 0
    fragments.tokens_of_prompt(texts[-1], owner="a")
    assert words.given_chars < LEAST_CHARS
    fragments.tokens_of_prompt(texts[0], owner="a")
    assert words.given_chars >= len(texts[0]) - LEAST_CHARS
