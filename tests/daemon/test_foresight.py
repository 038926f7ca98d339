"""What a load is foreseen to take: by its file's header where there is a sound one, and nothing where there is none."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from inferd.errors import LoadFailed
from inferd_actors.engines.llama_cpp.prediction import predict
from inferd_actors.headers.header import Header
from inferd_daemon.catalogue import Schema, curated
from inferd_daemon.foresight import Foreseen, Foresight
from inferd_daemon.headers import Headers
from inferd_daemon.store import Store

HEADER = Header(architecture="llama", context_tokens=4_096, tensor_bytes={"Q4_0": 10**9})
CORRUPT = LoadFailed("cut off", details={"cause": "file_corrupt"})


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
    def read(_path: str) -> Header:
        if isinstance(said, LoadFailed):
            raise said
        return said

    async def ask() -> Foreseen:
        told: asyncio.Future[Foreseen] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            foresight = Foresight(Headers(tasks, read), cast("Store", OneFile(file)), {"Q4_0"})
            foresight.ask(catalogue.find("test/one:a"), told.set_result)
            return await told

    source = {"file": "/any.gguf"} if engine == "llama_cpp" else {}
    catalogue = curated().with_rows({"test/one:a": {"engine": engine, "engine_options": options, **source}})
    return asyncio.run(ask())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.touch()
    return path


def test_a_sound_file_tells_what_its_life_takes_on_this_machine(file: Path) -> None:
    expected = predict(HEADER, {"context_tokens": 512}, reordered={"Q4_0"}).peak_bytes
    assert foreseen(file, context_tokens=512) == expected > 2 * 10**9


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
