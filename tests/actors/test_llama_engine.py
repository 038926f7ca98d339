"""The llama.cpp engine with the starter model, and with files made bad from it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from listening_sink import ListeningSink

from inferd.errors import ContextOverflow, LoadFailed
from inferd.messages.events import Cancelled, Error, Finished
from inferd.messages.operations import Generate, Message
from inferd_actors import engines
from inferd_actors.engine import Engine, StreamId, Submission
from inferd_actors.engines.llama_cpp.answer import limit
from inferd_actors.engines.llama_cpp.sizes import BATCH_TOKENS
from inferd_daemon.catalogue import curated
from inferd_daemon.store import Store

pytestmark = pytest.mark.skipif(
    bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"
)

CONTEXT_TOKENS = 256
KEY = b"tokenizer.chat_template"


@pytest.fixture(scope="module")
def starter(starter_store: Store) -> Path:
    path = starter_store.path(curated().starter)
    assert path is not None
    return path


class Rig:
    """An engine, loaded or about to be."""

    def __init__(self) -> None:
        self.sink = ListeningSink()
        self.engine: Engine = engines.factory("llama_cpp")(self.sink)

    def load(self, path: Path, **options: str | float | bool) -> None:
        self.engine.load(str(path), {"context_tokens": CONTEXT_TOKENS, **options}, lambda done, phase: None)

    def ask(self, number: int, text: str = "Say one two three.", **fields: Any) -> StreamId:  # noqa: ANN401
        asked = Generate((Message("user", text),), **{"temperature": 0.0, **fields})
        self.engine.submit(Submission(StreamId(number), "me/model:1", asked, "interactive", "salt", 0.0, 0.0))
        return StreamId(number)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.engine.close()
    assert not rig.sink.failures


Patch = Callable[[bytes, bytes], Path]


@pytest.fixture
def patched(starter: Path, tmp_path: Path) -> Patch:
    """Return how the starter model is copied with some bytes of its header replaced by others, blanks behind."""

    def patch(old: bytes, new: bytes) -> Path:
        copy = tmp_path / "patched.gguf"
        shutil.copyfile(starter, copy)
        with copy.open("r+b") as file:
            head = file.read(4 * 2**20)
            assert head.count(old) == 1
            file.seek(head.index(old))
            file.write(new.ljust(len(old)))
        return copy

    return patch


def template_of(path: Path) -> bytes:
    """Return the chat template in a file's header: behind the key stand its type and its length."""
    with path.open("rb") as file:
        head = file.read(4 * 2**20)
    at = head.index(KEY) + len(KEY) + 4
    length = int.from_bytes(head[at : at + 8], "little")
    return head[at + 8 : at + 8 + length]


# --- loading


def test_a_file_that_is_not_there_is_missing(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"none\.gguf") as failed:
        rig.load(tmp_path / "none.gguf")
    assert failed.value.details["cause"] == "file_missing"


def test_a_file_of_another_kind_is_corrupt(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_bytes(b"<html>not found</html>")
    with pytest.raises(LoadFailed, match="<htm") as failed:
        rig.load(tmp_path / "page.gguf")
    assert failed.value.details["cause"] == "file_corrupt"


@pytest.mark.parametrize("kept_bytes", [100, 2**20, 50 * 2**20])
def test_a_file_that_was_cut_off_is_corrupt(rig: Rig, starter: Path, tmp_path: Path, kept_bytes: int) -> None:
    with starter.open("rb") as whole:
        (tmp_path / "cut.gguf").write_bytes(whole.read(kept_bytes))
    with pytest.raises(LoadFailed) as failed:
        rig.load(tmp_path / "cut.gguf")
    assert failed.value.details["cause"] == "file_corrupt"


def test_a_context_larger_than_the_model_was_trained_for_is_refused(rig: Rig, starter: Path) -> None:
    with pytest.raises(LoadFailed, match=r"9,000.*8,192") as failed:
        rig.load(starter, context_tokens=9_000)
    assert failed.value.details == {"cause": "engine", "option": "context_tokens"}


def test_a_template_that_cannot_be_compiled_fails_the_load(rig: Rig, starter: Path, patched: Patch) -> None:
    with pytest.raises(LoadFailed, match=r"patched\.gguf") as failed:
        rig.load(patched(template_of(starter), b"{% for %}"))
    assert failed.value.details["cause"] == "file_corrupt"


# --- the template


def test_a_model_without_a_template_does_not_chat(rig: Rig, patched: Patch) -> None:
    rig.load(patched(KEY, KEY[:-1] + b"x"))
    (error,) = rig.sink.whole(rig.ask(1))
    assert isinstance(error, Error)
    assert (error.code, "me/model:1" in error.message) == ("unsupported_mode", True)


def test_a_template_s_refusal_is_the_request_s_error_and_names_the_model(
    rig: Rig, starter: Path, patched: Patch
) -> None:
    source = b"{% if messages|length > 1 %}{{ raise_exception('one at a time') }}{% endif %}{{ messages[0].content }}"
    rig.load(patched(template_of(starter), source))
    two = Generate((Message("user", "a"), Message("user", "b")))
    rig.engine.submit(Submission(StreamId(1), "me/model:1", two, "interactive", "salt", 0.0, 0.0))
    (error,) = rig.sink.whole(StreamId(1))
    assert isinstance(error, Error)
    assert error.code == "invalid_request"
    assert "me/model:1" in error.message
    assert "one at a time" in error.message
    assert isinstance(rig.sink.whole(rig.ask(2, max_tokens=2))[-1], Finished)


def test_a_request_can_be_cancelled_while_its_template_loops(rig: Rig, starter: Path, patched: Patch) -> None:
    source = b"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    rig.load(patched(template_of(starter), source))
    stream = rig.ask(1)
    for _ in range(3):  # the third is given while the engine waits for the template
        rig.sink.sign()
    rig.engine.cancel(stream, "app")
    (end,) = rig.sink.whole(stream)
    assert isinstance(end, Cancelled)


# --- lengths


@pytest.mark.parametrize(
    ("max_tokens", "prompt_tokens", "expected"),
    [(None, 200, 56), (10, 200, 10), (56, 200, 56), (57, 200, 56), (9, 255, 1)],
)
def test_an_answer_ends_where_the_context_does(max_tokens: int | None, prompt_tokens: int, expected: int) -> None:
    asked = Generate((Message("user", "a"),), max_tokens=max_tokens)
    tokens, warnings = limit(asked, "me/model:1", prompt_tokens, 256)
    assert tokens == expected
    assert len(warnings) == (max_tokens is not None and max_tokens > expected)


def test_a_prompt_that_leaves_no_room_for_a_token_does_not_fit() -> None:
    with pytest.raises(ContextOverflow) as refused:
        limit(Generate((Message("user", "a"),)), "me/model:1", 256, 256)
    assert refused.value.details == {"input_tokens": 256, "context_tokens": 256}


def test_a_cut_max_tokens_is_named_in_the_result(rig: Rig, starter: Path) -> None:
    rig.load(starter)
    end = rig.sink.whole(rig.ask(1, max_tokens=100_000))[-1]
    assert isinstance(end, Finished)
    (warning,) = end.warnings
    assert warning.startswith("max_tokens 100,000 is cut to ")


def test_a_prompt_of_several_chunks_is_read_whole(rig: Rig, starter: Path) -> None:
    rig.load(starter, context_tokens=1_024)
    text = "word " * 600
    end = rig.sink.whole(rig.ask(1, text, max_tokens=2))[-1]
    assert isinstance(end, Finished)
    assert BATCH_TOKENS < end.usage.prompt_tokens < 700
    assert rig.engine.stats()["steps"] >= 3  # two chunks, the later one with the first token, and the second token


def test_a_prompt_far_past_the_context_is_refused_without_being_tokenized(rig: Rig, starter: Path) -> None:
    rig.load(starter)
    (error,) = rig.sink.whole(rig.ask(1, "x" * 5_000_000))
    assert isinstance(error, Error)
    details = dict(error.details or {})
    assert (error.code, details["context_tokens"]) == ("context_overflow", CONTEXT_TOKENS)
    assert isinstance(details["input_tokens"], int)
    assert details["input_tokens"] > CONTEXT_TOKENS
    assert rig.engine.stats()["prompt_tokens"] == 0


def test_a_cancel_stops_the_reading_of_a_prompt(rig: Rig, starter: Path) -> None:
    rig.load(starter, context_tokens=4_096)
    stream = rig.ask(1, "word " * 3_900)
    rig.sink.wait(lambda: rig.engine.stats()["prompt_tokens"] > 0)
    rig.engine.cancel(stream, "app")
    (end,) = rig.sink.whole(stream)
    assert isinstance(end, Cancelled)
    assert 0 < end.usage.prompt_tokens < 3_900
