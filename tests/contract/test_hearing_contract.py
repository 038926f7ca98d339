"""What an engine that hears promises beside what `test_every_engine` asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

np = pytest.importorskip("numpy")

from engine_kinds import HALTS, Halt  # noqa: E402
from hearing_rig import RATE_HZ, HearingRig, silence  # noqa: E402 - behind the question for numpy
from listening_sink import PATIENCE_S  # noqa: E402

from inferd.errors import LoadFailed  # noqa: E402
from inferd.messages.events import TERMINALS, Cancelled  # noqa: E402
from inferd_actors.engines.faster_whisper import worker  # noqa: E402
from inferd_actors.engines.faster_whisper.hearing import Heard, Pass  # noqa: E402


@pytest.fixture(scope="module")
def rig(tiny_en: Path) -> Iterator[HearingRig]:
    with HearingRig(tiny_en, streams=3) as opened:
        yield opened


def test_a_load_tells_what_it_offers(rig: HearingRig) -> None:
    assert rig.capacity.slots == 3
    assert 50_000_000 < rig.capacity.memory_bytes < 500_000_000


def test_an_end_tells_what_was_waited_for(rig: HearingRig) -> None:
    end = rig.end(rig.file(silence(1).tobytes(), rate_hz=RATE_HZ))
    assert (end.model, end.queue_s, end.load_s, end.duration_s) == ("me/model:1", 0.25, 0.5, 1.0)


def test_a_pass_without_end_is_due_and_the_loop_goes_on(
    tiny_en: Path, spoken: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes = threading.Event(), threading.Event()
    with HearingRig(tiny_en) as rig:
        assert rig.engine.stats()["due"] == 0
        hear = rig.engine._worker._hear

        def hanging(asked: Pass) -> Heard:
            begun.set()
            goes.wait()
            return hear(asked)

        monkeypatch.setattr(rig.engine._worker, "_hear", hanging)
        stream = rig.file(spoken.pcm(spoken.prompts(1)[0]).tobytes(), rate_hz=RATE_HZ)
        try:
            assert begun.wait(PATIENCE_S)
            assert rig.engine.stats()["due"] == 0
            monkeypatch.setattr(worker, "STUCK_S", 0.0)
            assert rig.engine.stats()["due"] == 1
            rig.sink.sign()
            rig.sink.sign()
        finally:
            goes.set()
        rig.end(stream)
        assert rig.engine.stats()["due"] == 0


@HALTS
def test_a_halted_stream_is_silent_and_goes_on_where_it_was(rig: HearingRig, halt: Halt) -> None:
    stream = rig.stream()
    halt(rig.engine, stream, halted=True)
    rig.engine.finish(stream)
    rig.sink.sign()
    rig.sink.sign()
    assert rig.sink.events(stream) == []
    halt(rig.engine, stream, halted=False)
    rig.end(stream)


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
