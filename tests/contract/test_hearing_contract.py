"""What every engine promises, asked of the one that hears: see `test_engine_contract`, whose cases speak of text."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")

from hearing_rig import RATE_HZ, HearingRig, silence  # noqa: E402 - behind the question for numpy

from inferd.errors import LoadFailed  # noqa: E402
from inferd.messages.bounds import Blob  # noqa: E402
from inferd.messages.control import Feed  # noqa: E402
from inferd.messages.events import TERMINALS, Cancelled  # noqa: E402
from inferd.messages.operations import Generate, ListModels, Message, Operation  # noqa: E402
from inferd_actors.engine import StreamId  # noqa: E402


@pytest.fixture(scope="module")
def rig(tiny_en: Path) -> Iterator[HearingRig]:
    with HearingRig(tiny_en, streams=3) as opened:
        yield opened


def test_a_load_reports_progress_and_what_it_offers(rig: HearingRig) -> None:
    assert rig.capacity.slots == 3
    assert 50_000_000 < rig.capacity.memory_bytes < 500_000_000
    assert rig.progress
    assert all(0.0 <= done <= 1.0 for done, _ in rig.progress)


def test_an_end_tells_what_was_waited_for(rig: HearingRig) -> None:
    end = rig.end(rig.file(silence(1).tobytes(), rate_hz=RATE_HZ))
    assert (end.model, end.queue_s, end.load_s, end.duration_s) == ("me/model:1", 0.25, 0.5, 1.0)


@pytest.mark.parametrize("operation", [ListModels(), Generate((Message("user", "Hello."),))])
def test_another_operation_is_refused(rig: HearingRig, operation: Operation) -> None:
    assert rig.refusal(rig.submit(operation)).code == "unsupported_mode"


def test_words_about_unknown_streams_change_nothing(rig: HearingRig) -> None:
    unknown = StreamId(10**9)
    rig.engine.cancel(unknown, "app")
    rig.engine.grant(unknown, may_produce=False)
    rig.engine.pause(unknown)
    rig.engine.resume(unknown)
    rig.engine.played(unknown, 0, 10)
    rig.engine.feed(unknown, Feed(1, 1, data=Blob(b"")))
    rig.engine.finish(unknown)
    rig.end(rig.file(silence(1).tobytes(), rate_hz=RATE_HZ))
    assert rig.sink.events(unknown) == []


def test_an_idle_loop_gives_signs_of_life(rig: HearingRig) -> None:
    rig.sink.sign()
    rig.sink.sign()
    assert rig.engine.stats()["busy"] == 0


def halted_by_window(rig: HearingRig, stream: StreamId, *, halted: bool) -> None:
    rig.engine.grant(stream, may_produce=not halted)


def halted_by_app(rig: HearingRig, stream: StreamId, *, halted: bool) -> None:
    (rig.engine.pause if halted else rig.engine.resume)(stream)


HALTS = pytest.mark.parametrize("halt", [halted_by_window, halted_by_app])


@HALTS
def test_a_halted_stream_is_silent_and_goes_on_where_it_was(rig: HearingRig, halt: Callable[..., None]) -> None:
    stream = rig.stream()
    halt(rig, stream, halted=True)
    rig.engine.finish(stream)
    rig.sink.sign()
    rig.sink.sign()
    assert rig.sink.events(stream) == []
    halt(rig, stream, halted=False)
    rig.end(stream)


@HALTS
def test_a_halted_stream_can_be_cancelled(rig: HearingRig, halt: Callable[..., None]) -> None:
    stream = rig.stream()
    halt(rig, stream, halted=True)
    rig.engine.cancel(stream, "slow_reader")
    end = rig.sink.whole(stream)[-1]
    assert isinstance(end, Cancelled)
    assert end.reason == "slow_reader"


def test_closing_ends_what_lives_and_then_nothing_is_said(tiny_en: Path) -> None:
    threads = set(threading.enumerate())
    rig = HearingRig(tiny_en)
    sound = (np.random.default_rng(1).standard_normal(RATE_HZ * 20) * 3_000).astype(np.int16)
    lives = [rig.stream(), rig.file(None), rig.file(None, rate_hz=RATE_HZ), rig.file(sound.tobytes(), rate_hz=RATE_HZ)]
    rig.feed(lives[0], sound)
    lives.append(rig.stream())
    rig.engine.close()
    for stream in lives:
        events = rig.sink.events(stream)
        assert sum(isinstance(event, TERMINALS) for event in events) == 1
        assert isinstance(events[-1], TERMINALS)
    assert [rig.sink.events(one)[-1] for one in (*lives[:3], lives[-1])] == [Cancelled("shutdown")] * 4
    assert set(threading.enumerate()) <= threads
    assert not rig.sink.failures


@pytest.mark.parametrize(
    "options", [{"no_such_option": 1}, {"streams": "8"}, {"streams": True}, {"compute_type": "int3"}]
)
def test_an_option_that_is_wrong_fails_the_load_by_name(tiny_en: Path, options: dict[str, str | float | bool]) -> None:
    with pytest.raises(LoadFailed, match=next(iter(options))) as failed:
        HearingRig(tiny_en, **options)
    assert failed.value.details["cause"] == "engine"


@pytest.mark.parametrize("missing", ["model.bin", "tokenizer.json", "config.json", "vocabulary.txt"])
def test_a_folder_without_a_file_fails_the_load_by_its_name(tiny_en: Path, tmp_path: Path, missing: str) -> None:
    for file in tiny_en.iterdir():
        if file.name != missing:
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(LoadFailed, match=missing) as failed:
        HearingRig(tmp_path)
    assert failed.value.details["cause"] == "file_missing"


@pytest.mark.parametrize("broken", ["model.bin", "tokenizer.json"])
def test_a_damaged_file_fails_the_load(tiny_en: Path, tmp_path: Path, broken: str) -> None:
    for file in tiny_en.iterdir():
        if file.name != broken:
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / broken).write_bytes((tiny_en / broken).read_bytes()[:5_000])
    with pytest.raises(LoadFailed) as failed:
        HearingRig(tmp_path)
    assert failed.value.details["cause"] == "file_corrupt"
