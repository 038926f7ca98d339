"""Tokenizers that are not the starter model's: what each promises, from files made here."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import tiny_gguf

from inferd.errors import InvalidRequest, UnsupportedMode
from inferd.messages.operations import EstimateTokens, Message
from inferd_actors import engines

if engines.missing("llama_cpp"):
    pytest.skip("llama-cpp-python or jinja2 is not installed", allow_module_level=True)

from inferd_actors.engines.llama_cpp.lexicon import Lexicon

MODEL = "me/model:1"
CHANGING = pytest.mark.parametrize("write", [partial(tiny_gguf.sentencepiece, prefix=True), tiny_gguf.wordpiece])
Write = Callable[[Path], str]


@contextmanager
def opened(path: str) -> Iterator[Lexicon]:
    lexicon = Lexicon(path)
    try:
        yield lexicon
    finally:
        lexicon.close()


@CHANGING
def test_a_tokenizer_that_changes_texts_answers_only_if_that_is_accepted(tmp_path: Path, write: Write) -> None:
    with opened(write(tmp_path / "a.gguf")) as words:
        with pytest.raises(UnsupportedMode, match="lossy=True") as refused:
            words.tokenize("hello", MODEL, lossy=False)
        with pytest.raises(UnsupportedMode):
            words.detokenize(b"", MODEL, lossy=False)
        ids = words.tokenize("hello", MODEL, lossy=True)
        assert words.detokenize(ids, MODEL, lossy=True) == " hello"
    assert refused.value.details["field"] == "body.lossy"


def test_sentencepiece_without_a_prefix_is_exact_but_for_its_own_space(tmp_path: Path) -> None:
    with opened(tiny_gguf.sentencepiece(tmp_path / "a.gguf", prefix=False)) as words:
        for text in ("", "a b", "  w\u00f6rd\n\U0010ffff", "</s><s>"):
            assert words.detokenize(words.tokenize(text, MODEL, lossy=False), MODEL, lossy=False) == text
        with pytest.raises(UnsupportedMode, match="at character 2:"):
            words.tokenize("ab\u2581", MODEL, lossy=False)
        assert words.detokenize(words.tokenize("ab\u2581", MODEL, lossy=True), MODEL, lossy=True) == "ab "


def test_a_single_byte_is_named_by_its_index(tmp_path: Path) -> None:
    with opened(tiny_gguf.sentencepiece(tmp_path / "a.gguf", prefix=False)) as words:
        whole = array("i", words.tokenize("a\u00f6", MODEL, lossy=False))
        with pytest.raises(InvalidRequest) as refused:
            words.detokenize(whole[:-1].tobytes(), MODEL, lossy=False)
        assert refused.value.details["field"] == f"body.ids[{len(whole) - 2}]"
        assert words.detokenize(whole[:-1].tobytes(), MODEL, lossy=True) == "a\ufffd"


def test_a_file_without_a_tokenizer_says_so(tmp_path: Path) -> None:
    asked = EstimateTokens((Message("user", "hello"),))
    with opened(tiny_gguf.wordless(tmp_path / "a.gguf")) as words:
        for lossy in (False, True):
            with pytest.raises(UnsupportedMode, match="no tokenizer"):
                words.tokenize("hello", MODEL, lossy=lossy)
            with pytest.raises(UnsupportedMode, match="no tokenizer"):
                words.detokenize(b"\0\0\0\0", MODEL, lossy=lossy)
        with pytest.raises(UnsupportedMode, match="no tokenizer"):
            words.estimate(asked, MODEL, 0, lambda: True)


def test_a_file_without_a_template_has_no_prompt_to_count(tmp_path: Path) -> None:
    asked, path = EstimateTokens((Message("user", "hello"),)), tiny_gguf.sentencepiece(tmp_path / "a.gguf", prefix=True)
    with opened(path) as words, pytest.raises(UnsupportedMode, match="chat template"):
        words.estimate(asked, MODEL, 0, lambda: True)
