"""The vocab actor's engine with the starter model's file: what comes back is what went in, and bad input harms nobody."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from listening_sink import ListeningSink

from inferd.messages.bounds import Blob
from inferd.messages.events import Cancelled, Detokenized, Error, Estimated, Terminal, Tokenized
from inferd.messages.operations import (
    Detokenize,
    EstimateTokens,
    Generate,
    ImageBlock,
    ListModels,
    Message,
    Operation,
    Tokenize,
)
from inferd_actors import engines
from inferd_actors.engine import StreamId, Submission
from inferd_actors.messages import ModelFile
from inferd_actors.vocab import SLOTS, Vocab
from inferd_daemon.catalogue import curated
from inferd_daemon.store import Store

pytestmark = pytest.mark.skipif(
    bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"
)

MODEL = "me/model:1"
MARK = "<|im_start|>"
MARK_ID = 1
WITHOUT_TOKEN = frozenset(map(chr, (0x04, 0x06, 0x13, 0x14, 0x16, 0x1D, *range(0x40000, 0xC0000))))
"""Characters with a byte that the starter model has no token for: control characters, and planes nobody uses."""
JOINED = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL} e\u0301 \u0915\u094d\u0937 \ufeff\u2028\u00a0\u3000"


class Rig:
    """A vocab actor's engine, and a file to ask about."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.sink = ListeningSink()
        self.engine = Vocab(self.sink)
        self.capacity = self.engine.load("", {}, lambda done, phase: None)
        self.numbers = count(1)

    def submit(self, operation: Operation, path: str | None = None, *, context_tokens: int = 0) -> StreamId:
        stream = StreamId(next(self.numbers))
        file = ModelFile(MODEL, path or self.path, context_tokens)
        self.engine.submit(Submission(stream, MODEL, operation, "interactive", "salt", 0.0, 0.0, file))
        return stream

    def ask(self, operation: Operation, path: str | None = None, *, context_tokens: int = 0) -> Terminal:
        (end,) = self.sink.whole(self.submit(operation, path, context_tokens=context_tokens))
        assert isinstance(end, Terminal)
        return end

    def tokens(self, text: str) -> list[int]:
        end = self.ask(Tokenize(text))
        assert isinstance(end, Tokenized), end
        return array("i", bytes(end.ids)).tolist()

    def text(self, ids: list[int], *, lossy: bool = False) -> str:
        end = self.ask(Detokenize(blob(ids), lossy))
        assert isinstance(end, Detokenized), end
        return end.text

    def error(self, operation: Operation, path: str | None = None) -> Error:
        end = self.ask(operation, path)
        assert isinstance(end, Error), end
        return end


def blob(ids: list[int]) -> Blob:
    return Blob(array("i", ids).tobytes())


def details(error: Error) -> dict[str, Any]:
    return dict(error.details or {})


@pytest.fixture(scope="module")
def rig(starter_store: Store) -> Iterator[Rig]:
    rig = Rig(str(starter_store.path(curated().starter)))
    yield rig
    rig.engine.close()
    assert not rig.sink.failures


# --- there and back


MARKS = st.sampled_from([MARK, "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "[INST]", "<repo_name>", "\u2581", "##"])
JOINERS = st.sampled_from(["\u200d", "\u200c", "\ufe0f", "\u0301", "\u0327", "\u202e", "\ufeff", "\r\n", "  ", "\x00"])
TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=8) | MARKS | JOINERS, max_size=12).map("".join)


@settings(max_examples=300)
@given(TEXTS)
@example("")
@example(JOINED)
@example(" leading, trailing \n\n\t ")
@example("".join(chr(plane << 16 | 0xFFFD) for plane in (0, 1, 2, 3, 12, 13, 14, 15, 16)))
@example("ab\x04c")
@example("ab\U00050000c")
def test_tokens_give_a_text_back_or_it_is_refused(rig: Rig, text: str) -> None:
    lost = [at for at, character in enumerate(text) if character in WITHOUT_TOKEN]
    if lost:
        error = rig.error(Tokenize(text))
        assert (error.code, details(error)["field"]) == ("unsupported_mode", "body.lossy")
        assert f"at character {lost[0]:,}:" in error.message
        assert isinstance(rig.ask(Tokenize(text, lossy=True)), Tokenized)
    else:
        assert rig.text(rig.tokens(text)) == text


def test_every_character_with_tokens_comes_back(rig: Rig) -> None:
    for first in range(0, 0x110000, 0x4000):
        codes = (code for code in range(first, first + 0x4000) if not 0xD800 <= code <= 0xDFFF)
        text = "".join(character for character in map(chr, codes) if character not in WITHOUT_TOKEN)
        assert rig.text(rig.tokens(text)) == text


def test_what_looks_like_a_mark_is_plain_text_and_nothing_is_added(rig: Rig) -> None:
    ids = rig.tokens(MARK)
    assert len(ids) > 1
    assert MARK_ID not in ids
    assert rig.tokens("") == []
    assert rig.text([]) == ""


def test_a_mark_is_shown_as_its_own_text(rig: Rig) -> None:
    assert rig.text([MARK_ID, *rig.tokens("user")]) == f"{MARK}user"


def test_a_long_text_comes_back(rig: Rig) -> None:
    text = "".join(f"{number:x} wörd \N{GRINNING FACE}" for number in range(70_000))
    assert len(text.encode()) > 1_000_000
    assert rig.text(rig.tokens(text)) == text


# --- bad input


def test_an_id_that_the_model_does_not_have_is_named_by_its_index(rig: Rig) -> None:
    for wrong in (-1, -(2**31), 49_152, 2**31 - 1):
        error = rig.error(Detokenize(blob([5, 6, wrong, wrong])))
        assert (error.code, details(error)["field"]) == ("invalid_request", "body.ids[2]")
    assert rig.error(Detokenize(blob([49_152]), lossy=True)).code == "invalid_request"


@pytest.mark.parametrize("ids", [b"\0", b"\0\0\0", b"\0\0\0\0\0"])
def test_bytes_that_are_no_ids_are_refused(rig: Rig, ids: bytes) -> None:
    error = rig.error(Detokenize(Blob(ids)))
    assert (error.code, details(error)["field"]) == ("invalid_request", "body.ids")


def test_half_a_character_is_refused_by_its_index_or_shown_as_one_that_is_missing(rig: Rig) -> None:
    whole = rig.tokens("\U0010fffd")
    assert len(whole) > 1
    ids = [*rig.tokens("abc"), *whole[:-1]]
    error = rig.error(Detokenize(blob(ids)))
    assert (error.code, details(error)["field"]) == ("invalid_request", f"body.ids[{len(ids) - len(whole) + 1}]")
    assert rig.text(ids, lossy=True) == "abc\ufffd"


def test_ids_whose_text_would_not_fit_are_refused_before_it_is_made(rig: Rig) -> None:
    (spaces,) = rig.tokens(" " * 64)
    error = rig.error(Detokenize(blob([spaces] * 200_000)))
    assert (error.code, details(error)["field"]) == ("invalid_request", "body.ids")
    assert "12,800,000 bytes" in error.message


def test_files_that_are_none_are_errors_of_their_kind(rig: Rig, tmp_path: Path) -> None:
    page = tmp_path / "page.gguf"
    page.write_bytes(b"<html>not found</html>")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(Path(rig.path).read_bytes()[:100_000])
    for path, cause in ((tmp_path / "none.gguf", "file_missing"), (page, "file_corrupt"), (cut, "file_corrupt")):
        error = rig.error(Tokenize("x"), str(path))
        assert (error.code, details(error)["cause"]) == ("load_failed", cause)
    assert rig.tokens("still here")


@pytest.mark.parametrize("operation", [ListModels(), Generate((Message("user", "x"),))])
def test_other_operations_are_refused(rig: Rig, operation: Operation) -> None:
    assert rig.error(operation).code == "unsupported_mode"


# --- estimates


def test_an_estimate_counts_the_templates_words_too(rig: Rig) -> None:
    asked = EstimateTokens((Message("user", "Hello"),))
    end = rig.ask(asked)
    assert isinstance(end, Estimated)
    assert end.input_tokens > len(rig.tokens("Hello"))
    assert (end.context_tokens, end.fits, end.exact) == (4096, True, True)


@pytest.mark.parametrize(("room", "fits"), [(-1, False), (0, False), (1, True)])
def test_it_fits_if_one_token_or_max_tokens_are_left(rig: Rig, room: int, *, fits: bool) -> None:
    messages = (Message("user", "Hello"),)
    counted = rig.ask(EstimateTokens(messages))
    assert isinstance(counted, Estimated)
    one = rig.ask(EstimateTokens(messages), context_tokens=counted.input_tokens + room)
    ten = rig.ask(EstimateTokens(messages, max_tokens=10), context_tokens=counted.input_tokens + room + 9)
    assert [isinstance(end, Estimated) and end.fits for end in (one, ten)] == [fits, fits]


def test_what_generate_would_refuse_is_refused(rig: Rig) -> None:
    tools = EstimateTokens((Message("user", "x"),), tools=({"name": "look"},))
    image = EstimateTokens((Message("user", (ImageBlock(Blob(b"\x89PNG")),)),))
    for asked, field in ((tools, "body.tools"), (image, "body.messages[0].content[0]")):
        error = rig.error(asked)
        assert (error.code, details(error)["field"]) == ("unsupported_mode", field)


# --- the life of a request


def test_a_cancel_is_answered_while_the_library_computes(rig: Rig) -> None:
    streams = [rig.submit(Tokenize(" " * 1_000_000)) for _ in range(SLOTS + 1)]
    for stream in streams:
        rig.engine.cancel(stream, "app")
        rig.engine.cancel(stream, "shutdown")
    assert [rig.sink.whole(stream) for stream in streams] == [[Cancelled("app")]] * len(streams)
    assert rig.tokens("goes on")
    assert all(len(rig.sink.events(stream)) == 1 for stream in streams)


def test_signs_of_life_go_on_while_the_library_computes(rig: Rig) -> None:
    stream = rig.submit(Tokenize(" " * 1_500_000))
    rig.sink.sign()
    rig.sink.sign()
    assert rig.sink.events(stream) == []
    rig.sink.whole(stream)


def test_closing_ends_what_lives_and_leaves_no_thread_or_process(starter_store: Store) -> None:
    threads, children = set(threading.enumerate()), set(psutil.Process().children())
    rig = Rig(str(starter_store.path(curated().starter)))
    assert isinstance(rig.ask(EstimateTokens((Message("user", "x"),))), Estimated)
    streams = [rig.submit(Tokenize(" " * 200_000)) for _ in range(6)]
    rig.engine.close()
    for stream in streams:
        (end,) = rig.sink.events(stream)
        assert end == Cancelled("shutdown") or isinstance(end, Tokenized)
    assert rig.sink.events(streams[-1]) == [Cancelled("shutdown")]
    assert set(threading.enumerate()) <= threads
    assert set(psutil.Process().children()) <= children
    assert not rig.sink.failures
