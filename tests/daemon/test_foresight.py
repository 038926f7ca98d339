"""What a load is foreseen to take: by its file's header where there is a sound one, and nothing where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

import pytest

from inferd.errors import LoadFailed
from inferd_actors.engines.llama_cpp.prediction import predict
from inferd_actors.headers.header import Header
from inferd_daemon.catalogue import Schema, curated
from inferd_daemon.foresight import Ahead, Foreseen, Foresight
from inferd_daemon.headers import Headers
from inferd_daemon.ledger import Amount
from inferd_daemon.store import Store

HEADER = Header(architecture="llama", context_tokens=4_096, tensor_bytes={"Q4_0": 10**9})
CORRUPT = LoadFailed("cut off", details={"cause": "file_corrupt"})

Told = TypeVar("Told")


class OneFile:
    """A store with one file for all models, or none."""

    def __init__(self, file: Path | None) -> None:
        self.file = file

    def path(self, schema: Schema) -> Path:
        """Return the file. Raises LoadFailed without one."""
        if self.file is None:
            raise LoadFailed(f"{schema.id} is not stored")
        return self.file


def foreseen(
    file: Path | None, said: Header | LoadFailed = HEADER, *, engine: str = "llama_cpp", **options: int
) -> Foreseen:
    return told(file, said, engine, options, Foresight.ask)


def ahead(
    file: Path | None, said: Header | LoadFailed = HEADER, *, engine: str = "llama_cpp", **options: int
) -> Ahead | None:
    return told(file, said, engine, options, Foresight.ask_ahead)


def told(
    file: Path | None,
    said: Header | LoadFailed,
    engine: str,
    options: Mapping[str, int],
    asking: Callable[[Foresight, Schema, Callable[[Told], None]], None],
) -> Told:
    def read(_path: str) -> Header:
        if isinstance(said, LoadFailed):
            raise said
        return said

    async def ask() -> Told:
        answered: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            foresight = Foresight(Headers(tasks, read), cast("Store", OneFile(file)), {"Q4_0"})
            asking(foresight, catalogue.find("test/one:a"), answered.set_result)
            return await answered

    source = {"file": "/any.gguf"} if engine == "llama_cpp" else {}
    catalogue = curated().with_rows({"test/one:a": {"engine": engine, "engine_options": dict(options), **source}})
    return asyncio.run(ask())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.touch()
    return path


def test_a_sound_file_tells_what_its_life_takes_on_this_machine(file: Path) -> None:
    expected = predict(HEADER, {"context_tokens": 512}, reordered={"Q4_0"}).peak_bytes
    assert expected > 2 * 10**9
    assert foreseen(file, context_tokens=512) == Amount(expected)


def test_a_corrupt_file_a_wrong_setting_and_a_missing_file_tell_why_the_load_would_fail(file: Path) -> None:
    assert foreseen(file, CORRUPT) is CORRUPT
    wrong = foreseen(file, context_tokens=10**6)
    assert isinstance(wrong, LoadFailed)
    assert "context_tokens" in wrong.message
    missing = foreseen(None)
    assert isinstance(missing, LoadFailed)
    assert missing.details["cause"] == "file_missing"


def test_an_engine_without_files_tells_nothing(file: Path) -> None:
    assert foreseen(file, engine="echo") is None


def test_a_file_that_is_opened_ahead_takes_what_its_life_does_but_for_the_process_and_the_shelf(file: Path) -> None:
    whole = predict(HEADER, {}, reordered={"Q4_0"})
    opened = ahead(file, context_tokens=4_096)
    assert opened == Ahead(str(file), whole.peak_bytes - whole.base_bytes - whole.shelf_bytes)
    with_words = replace(HEADER, vocabulary=1_000, merges=900, has_template=True)
    more = ahead(file, with_words)
    assert more is not None
    assert more.opened_bytes > opened.opened_bytes


def test_a_model_that_could_not_be_loaded_is_in_several_files_or_has_none_is_not_opened_ahead(file: Path) -> None:
    assert ahead(file, CORRUPT) is None
    assert ahead(file, context_tokens=10**6) is None
    assert ahead(file, replace(HEADER, parts=2)) is None
    assert ahead(None) is None
    assert ahead(file, engine="echo") is None
