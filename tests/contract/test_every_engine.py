"""What every engine promises whatever it computes; what else is asked of a kind of them is in the files beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from engine_kinds import HALTS, WRITERS, Halt, ask, writer
from loaded_engine import LoadedEngine

from inferd.messages.bounds import Blob
from inferd.messages.control import Feed, Priority
from inferd.messages.events import Cancelled, Error
from inferd.messages.operations import ListModels, Operation
from inferd.messages.speech import Synthesize
from inferd_actors.engine import StreamId


@dataclass(frozen=True)
class Case:
    """A loaded engine, and what can be asked of it."""

    rig: LoadedEngine[Any]
    brief: Callable[[], StreamId]
    """Ask for something that soon ends by itself."""
    of_class: Callable[[Priority], StreamId]
    """The same, with a class."""
    long: Callable[[], StreamId]
    """Ask for something that does not, and return when it is being worked on."""
    other: Operation
    """What it does not serve."""


def hearing(request: pytest.FixtureRequest) -> Case:
    path = request.getfixturevalue("tiny_en")
    spoken = request.getfixturevalue("spoken")
    from hearing_rig import RATE_HZ, HearingRig

    rig = HearingRig(path)
    said = spoken.pcm(spoken.prompts(1)[0]).tobytes()

    def brief(priority: Priority = "interactive") -> StreamId:
        return rig.file(said, priority, rate_hz=RATE_HZ)

    return Case(rig, brief, brief, rig.stream, ask())


def speaking(request: pytest.FixtureRequest) -> Case:
    path = request.getfixturevalue("joe")
    from voice_rig import VoiceRig

    rig = VoiceRig(path)

    def long() -> StreamId:
        stream = rig.say("This is one of very many sentences that nobody will ever hear to the end. " * 40)
        rig.chunks(stream)
        return stream

    return Case(rig, lambda: rig.say("One."), partial(rig.say, "One."), long, ask())


def writing(request: pytest.FixtureRequest) -> Case:
    rig = writer(request.param, request).open()

    def long() -> StreamId:
        stream = rig.submit(ask(max_tokens=400))
        rig.sink.deltas(stream, 2)
        return stream

    def brief(priority: Priority = "interactive") -> StreamId:
        return rig.submit(ask(max_tokens=4), priority)

    return Case(rig, brief, brief, long, Synthesize("One."))


@pytest.fixture(scope="module", params=[*WRITERS, "faster_whisper", "piper"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    make = {"faster_whisper": hearing, "piper": speaking}.get(request.param, writing)
    made = make(request)
    with made.rig:
        yield made


def test_a_load_reports_its_progress(case: Case) -> None:
    assert case.rig.progress
    assert all(0.0 <= done <= 1.0 for done, _ in case.rig.progress)


def test_another_operation_is_refused(case: Case) -> None:
    for operation in (ListModels(), case.other):
        (error,) = case.rig.sink.whole(case.rig.submit(operation))
        assert isinstance(error, Error)
        assert error.code == "unsupported_mode"


def test_words_about_unknown_streams_change_nothing(case: Case) -> None:
    engine, unknown = case.rig.engine, StreamId(10**9)
    engine.cancel(unknown, "app")
    engine.grant(unknown, may_produce=False)
    engine.pause(unknown)
    engine.resume(unknown)
    engine.played(unknown, 0, 10)
    engine.feed(unknown, Feed(1, 1, data=Blob(b"")))
    engine.finish(unknown)
    assert not isinstance(case.rig.sink.whole(case.brief())[-1], Cancelled | Error)
    assert case.rig.sink.events(unknown) == []


def test_an_idle_loop_gives_signs_of_life_and_nothing_is_due(case: Case) -> None:
    case.rig.sink.whole(case.brief())
    case.rig.sink.sign()
    case.rig.sink.sign()
    assert (case.rig.engine.stats()["busy"], case.rig.engine.stats()["due"]) == (0, 0)


@HALTS
def test_a_halted_stream_can_be_cancelled(case: Case, halt: Halt) -> None:
    stream = case.long()
    halt(case.rig.engine, stream, halted=True)
    case.rig.engine.cancel(stream, "slow_reader")
    end = case.rig.sink.whole(stream)[-1]
    assert isinstance(end, Cancelled)
    assert end.reason == "slow_reader"


def test_voice_work_is_told_and_so_is_its_end(case: Case) -> None:
    case.rig.sink.whole(case.of_class("interactive"))
    assert case.rig.sink.urgencies == []
    case.rig.sink.whole(case.of_class("voice"))
    case.rig.sink.wait(lambda: len(case.rig.sink.urgencies) >= 2 and not case.rig.sink.urgencies[-1])


def test_what_can_wait_ends_although_it_steps_aside_all_the_time(case: Case) -> None:
    case.rig.engine.step_aside(is_aside=True)
    streams = [case.of_class(priority) for priority in ("batch", "background")]
    assert all(not isinstance(case.rig.sink.whole(stream)[-1], Cancelled | Error) for stream in streams)
    case.rig.engine.step_aside(is_aside=False)
    case.rig.sink.whole(case.of_class("batch"))
