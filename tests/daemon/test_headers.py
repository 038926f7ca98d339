"""What is known of model files: read once for all who ask, and anew when a file changes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Event

import pytest

from inferd.errors import LoadFailed
from inferd_actors.headers.header import Header
from inferd_daemon.headers import Answer, Headers

SOUND = Header(architecture="llama")
CORRUPT = LoadFailed("cut off", details={"cause": "file_corrupt"})


class Reader:
    """Reads nothing: gives what a test wants."""

    def __init__(self, given: Header | Exception = SOUND) -> None:
        self.given = given
        self.paths: list[str] = []
        self.goes_on = Event()
        self.goes_on.set()

    def __call__(self, path: str) -> Header:
        self.paths.append(path)
        self.goes_on.wait()
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


def run(reader: Reader, story: Callable[[Headers], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.TaskGroup() as tasks:
            await story(Headers(tasks, reader))

    asyncio.run(whole())


async def asked(headers: Headers, path: Path) -> Answer:
    """Return the answer."""
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    headers.ask(path, answer.set_result)
    return await answer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"1")
    return path


def test_a_file_is_read_once_while_it_stays_the_same(file: Path) -> None:
    reader = Reader()

    async def story(headers: Headers) -> None:
        assert await asked(headers, file) == SOUND
        told: list[Answer] = []
        headers.ask(file, told.append)
        assert told == [SOUND], "what is known is told at once"

    run(reader, story)
    assert reader.paths == [str(file)]


def test_those_who_ask_meanwhile_are_told_together(file: Path) -> None:
    reader = Reader()
    reader.goes_on.clear()

    async def story(headers: Headers) -> None:
        first, second = (asyncio.create_task(asked(headers, file)) for _ in range(2))
        await asyncio.sleep(0)
        reader.goes_on.set()
        assert [await first, await second] == [SOUND, SOUND]

    run(reader, story)
    assert reader.paths == [str(file)]


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"22"), lambda path: os.utime(path, (1, 1))])
def test_a_file_that_changed_is_read_again(file: Path, change: Callable[[Path], None]) -> None:
    reader = Reader()

    async def story(headers: Headers) -> None:
        await asked(headers, file)
        change(file)
        await asked(headers, file)

    run(reader, story)
    assert len(reader.paths) == 2


def test_that_a_file_is_corrupt_is_remembered(file: Path) -> None:
    reader = Reader(CORRUPT)

    async def story(headers: Headers) -> None:
        assert [await asked(headers, file) for _ in range(2)] == [CORRUPT, CORRUPT]

    run(reader, story)
    assert len(reader.paths) == 1


def test_what_may_go_better_the_next_time_is_tried_again(file: Path) -> None:
    reader = Reader(LoadFailed("too slow", details={"cause": "engine"}))

    async def story(headers: Headers) -> None:
        await asked(headers, file)
        reader.given = SOUND
        assert await asked(headers, file) == SOUND

    run(reader, story)


def test_a_model_of_several_files_is_looked_at_again(file: Path) -> None:
    reader = Reader(Header(architecture="llama", parts=2))

    async def story(headers: Headers) -> None:
        await asked(headers, file)
        await asked(headers, file)

    run(reader, story)
    assert len(reader.paths) == 2


def test_a_missing_file_is_told_at_once(tmp_path: Path) -> None:
    reader, told = Reader(), list[Answer]()

    async def story(headers: Headers) -> None:
        headers.ask(tmp_path / "none.gguf", told.append)

    run(reader, story)
    (answer,) = told
    assert isinstance(answer, LoadFailed)
    assert answer.details["cause"] == "file_missing"
    assert reader.paths == []


def test_a_bug_in_reading_and_one_in_what_follows_harm_nobody_else(file: Path) -> None:
    def broken(_answer: Answer) -> None:
        raise ValueError("a bug")

    async def story(headers: Headers) -> None:
        headers.ask(file, broken)
        answer = await asked(headers, file)
        assert isinstance(answer, LoadFailed)
        assert answer.details["cause"] == "engine"

    run(Reader(RuntimeError("a bug")), story)
