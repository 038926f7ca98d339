"""A model's process without its socket: the daemon's messages go in, what it would send comes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from inferd import wire
from inferd.errors import LoadFailed
from inferd.messages import control, events
from inferd.messages.bounds import Blob
from inferd.messages.operations import Generate, Loopback, Message, Operation
from inferd_actors import engines, messages
from inferd_actors.engine import Capacity, EngineFactory, OnProgress, Sink, StreamId
from inferd_actors.host import ActorSpec
from inferd_actors.loading import OpenAhead
from inferd_actors.model import Model
from inferd_actors.streams.table import STARVED_FEED_S
from inferd_actors.words import AHEAD_EVENTS, EngineWords

PATIENCE_S = 60.0
MODEL = "inferd/echo:default"
WIDE = 900, 2**20


class Line:
    """The outlet of a model: what it sent, taken apart. Messages and ticks run in the test's thread, as in the line's."""

    def __init__(
        self,
        factory: Callable[[str], EngineFactory] | None = None,
        model: str = MODEL,
        open_ahead: OpenAhead = engines.open_ahead,
    ) -> None:
        self.sent: list[object] = []
        self.closed = False
        self.deaths: list[str] = []
        self._woken = threading.Event()
        spec = ActorSpec("", 7, "model", model, "secret-secret")
        self.model = Model(spec, self, self.die, factory=factory or engines.factory, open_ahead=open_ahead)

    def send(self, frames: Sequence[bytes]) -> None:
        route = messages.read_route(frames[0])
        if route.kind == messages.KIND_EVENTS:
            self.sent.append(route)
            behind = frames[1 + sum(row.is_terminal for row in route.rows) :]
            self.sent += wire.split_events(wire.header_of(behind), behind[1:])
        elif route.kind == messages.KIND_PONG:
            self.sent += [route, messages.read_nonce(frames[1:])]
        else:
            self.sent.append(wire.decode(frames[1:], messages.FROM_ACTOR))
        self._woken.set()

    def wake(self) -> None:
        self._woken.set()

    settle = wake

    def flush(self) -> None:
        """Nothing is ever queued."""

    def close(self) -> None:
        self.closed = True

    def die(self, reason: str) -> None:
        self.deaths.append(reason)
        self._woken.set()

    def tell(self, message: object, behind: Sequence[bytes] = ()) -> None:
        """Let the model hear this from the daemon."""
        self.model.hear([*wire.encode(message), *behind], time.monotonic())

    def until(self, condition: Callable[[], bool]) -> None:
        """Go round as the line's thread does until the condition holds."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, self.sent
            next_s = self.model.tick(time.monotonic())
            if condition():
                return
            patience_s = 1.0 if next_s is None else min(1.0, max(0.0, next_s - time.monotonic()))
            self._woken.wait(patience_s)
            self._woken.clear()

    def first(self, kind: type) -> Any:  # noqa: ANN401 - of the kind asked for
        """Return the first message of a kind, waiting for it."""
        self.until(lambda: any(isinstance(one, kind) for one in self.sent))
        return next(one for one in self.sent if isinstance(one, kind))

    def load(self, engine: str = "echo", **options: str | float | bool) -> None:
        self.tell(messages.Load(MODEL, engine, "", options))

    def submit(
        self,
        operation: Operation,
        number: int = 1,
        window: tuple[int, int] = WIDE,
        priority: control.Priority = "interactive",
    ) -> None:
        body = wire.body_as_sent(wire.fields_of(operation))
        asked = control.Request(
            100 + number, wire.tag(type(operation)), body, control.Window(0, 0), 1_000, model="asked/for:1"
        )
        submit = messages.Submit(number, 5, "app-session", "trace", priority, "salt", *window, 0.5, 0.25, 30_000)
        self.tell(submit, wire.encode(asked))

    def forward(self, message: object, number: int = 1) -> None:
        self.tell(messages.Forward(number), wire.encode(message))

    def heard(self, number: int = 1) -> list[Any]:
        """Return the events of a request so far."""
        return [one.event for one in self.sent if isinstance(one, wire.Arrival) and one.request == 100 + number]

    def whole(self, number: int = 1) -> list[Any]:
        """Return the events of a request, waiting for its end."""
        self.until(lambda: any(isinstance(event, events.TERMINALS) for event in self.heard(number)))
        return self.heard(number)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.tell(messages.Leave(0.0))
    line.until(lambda: line.closed)


@pytest.fixture
def ready(line: Line) -> Line:
    line.load(tokens_per_s=500.0)
    line.first(messages.Loaded)
    return line


def words(text: str, **fields: Any) -> Generate:  # noqa: ANN401 - fields of the case
    return Generate((Message("user", text),), **fields)


# --- loading


def test_a_load_is_reported_until_the_model_is_ready(line: Line) -> None:
    line.load(load_s=0.15, slots=3, can_park=True, memory_bytes=4096, context_tokens=77)
    progress = line.first(messages.LoadProgress)
    assert (progress.phase, 0.0 <= progress.progress <= 1.0) == ("pretending", True)
    loaded = line.first(messages.Loaded)
    assert (loaded.slots, loaded.can_park, loaded.context_tokens, loaded.memory_bytes) == (3, True, 77, 4096)
    assert loaded.load_s >= 0.15


def test_the_parts_of_a_load_are_told_by_the_phases_of_the_engine(line: Line) -> None:
    line.load(load_s=0.15)
    loaded = line.first(messages.Loaded)
    assert list(loaded.phases)[:2] == ["importing", "pretending"]
    assert loaded.phases["pretending"] >= 0.15
    assert sum(loaded.phases.values()) <= loaded.load_s


@pytest.fixture
def standby() -> Iterator[Line]:
    line = Line(model="")
    yield line
    line.tell(messages.Leave(0.0))
    line.until(lambda: line.closed)


def test_a_process_without_a_model_imports_and_becomes_the_one_that_it_is_told_to_load_first(standby: Line) -> None:
    standby.tell(messages.Prepare("echo"))
    standby.first(messages.Prepared)
    assert hello_of(standby).model == ""
    standby.load(tokens_per_s=500.0)
    standby.tell(messages.Load("test/second:x", "echo", "", {}))
    standby.first(messages.Loaded)
    assert hello_of(standby).model == MODEL
    standby.submit(words("hello there"))
    assert standby.whole()[-1].model == MODEL


def test_what_cannot_be_imported_is_told(standby: Line) -> None:
    standby.tell(messages.Prepare("abacus"))
    assert "'abacus'" in standby.first(messages.LoadFailed).message


def test_a_process_imports_once_whatever_it_is_told(standby: Line) -> None:
    standby.tell(messages.Prepare("echo"))
    standby.tell(messages.Prepare("abacus"))
    standby.first(messages.Prepared)
    standby.load()
    standby.first(messages.Loaded)
    assert not [one for one in standby.sent if isinstance(one, messages.LoadFailed)]


def test_a_file_that_is_opened_ahead_is_what_the_load_goes_on_with() -> None:
    opened = []

    def open_ahead(engine: str, path: str, options: Mapping[str, object]) -> EngineFactory:
        opened.append((engine, path, options))
        return engines.factory("echo")

    def none_other(engine: str) -> EngineFactory:
        raise AssertionError(engine)

    line = Line(none_other, model="", open_ahead=open_ahead)
    line.tell(messages.Prepare("echo", "/any", {"tokens_per_s": 5.0}))
    assert line.first(messages.Prepared).is_open
    line.load()
    line.first(messages.Loaded)
    assert opened == [("echo", "/any", {"tokens_per_s": 5.0})]
    line.tell(messages.Leave(0.0))
    line.until(lambda: line.closed)


def test_a_file_that_cannot_be_opened_ahead_leaves_the_process_standing_by() -> None:
    def open_ahead(_engine: str, path: str, _options: Mapping[str, object]) -> EngineFactory:
        raise LoadFailed(path, details={"cause": "file_corrupt"})

    line = Line(model="", open_ahead=open_ahead)
    line.tell(messages.Prepare("echo", "/any"))
    assert not line.first(messages.Prepared).is_open
    line.load()
    line.first(messages.Loaded)
    line.tell(messages.Leave(0.0))
    line.until(lambda: line.closed)


def hello_of(line: Line) -> messages.ActorHello:
    """Return what the model would say on a new connection."""
    hello = wire.decode(line.model.greeting(0.0)[1:], messages.FROM_ACTOR)
    assert isinstance(hello, messages.ActorHello)
    return hello


@pytest.mark.parametrize("cause", ["file_missing", "file_corrupt", "no_memory", "engine"])
def test_a_failed_load_tells_its_cause(line: Line, cause: str) -> None:
    line.load(load_fails=cause)
    assert line.first(messages.LoadFailed).cause == cause


def test_an_unknown_engine_is_a_failed_load_that_names_the_known_ones(line: Line) -> None:
    line.load("abacus")
    failed = line.first(messages.LoadFailed)
    assert failed.cause == "engine"
    assert "'abacus'" in failed.message
    assert "echo" in failed.message


@pytest.mark.parametrize(("problem", "cause"), [(MemoryError("8 GB"), "no_memory"), (ZeroDivisionError("x"), "engine")])
def test_whatever_a_library_raises_is_a_failed_load(problem: Exception, cause: str) -> None:
    def broken(_sink: Sink) -> Any:  # noqa: ANN401 - it never returns
        raise problem

    line = Line(lambda name: broken)
    line.load()
    assert line.first(messages.LoadFailed).cause == cause


def test_a_second_order_to_load_changes_nothing(ready: Line) -> None:
    ready.load(slots=9)
    ready.submit(words("one"))
    ready.whole()
    assert sum(isinstance(one, messages.Loaded) for one in ready.sent) == 1


def test_leaving_gives_up_a_load(line: Line) -> None:
    line.load(load_s=3_600.0)
    line.first(messages.LoadProgress)


# --- requests


def test_a_request_is_answered_with_route_and_events(ready: Line) -> None:
    ready.submit(words("one two"))
    *deltas, usage, end = ready.whole()
    assert "".join(delta.text for delta in deltas) == "one two"
    assert usage == end.usage == events.Usage(2, 2)
    assert (end.model, end.queue_s, end.load_s) == (MODEL, 0.5, 0.25)
    routes = [one for one in ready.sent if isinstance(one, messages.Route)]
    assert {(route.session, route.rows[0].stream) for route in routes} == {(5, 1)}


def test_a_request_that_cannot_be_read_ends_with_the_field(ready: Line) -> None:
    submit = messages.Submit(1, 5, "app-session", "trace", "interactive", "salt", *WIDE, 0.0, 0.0, 30_000)
    body: Any = {"messages": [], "temperature": 99.0}
    ready.tell(submit, wire.encode(control.Request(101, "generate", body, control.Window(0, 0), 1_000)))
    (error,) = ready.whole()
    assert (error.code, error.details["field"][:5]) == ("invalid_request", "body.")


def test_a_request_to_a_process_without_a_model_fails(line: Line) -> None:
    line.submit(words("one"))
    (error,) = line.whole()
    assert (error.code, error.retryable) == ("model_failed", True)


def test_credit_lets_more_through(ready: Line) -> None:
    ready.submit(words("word", max_tokens=50), window=(2, 2**20))
    ready.until(lambda: sum(isinstance(one, wire.Arrival) for one in ready.sent) == 2)
    ready.forward(control.Credit(101, 2, 100, 2**20))
    *content, end = ready.whole()
    assert "".join(event.text for event in content if isinstance(event, events.TextDelta)).split() == ["word"] * 50
    assert end.stop_reason == "length"


def test_cancel_end_and_deadline_are_answered(ready: Line) -> None:
    for number in (1, 2, 3):
        ready.submit(words("word", max_tokens=1_000_000), number)
    ready.forward(control.Cancel(101), 1)
    ready.tell(messages.End(2, "unloaded"))
    ready.tell(messages.End(3, "deadline"))
    assert ready.whole(1)[-1].reason == "app"
    assert ready.whole(2)[-1].reason == "unloaded"
    assert ready.whole(3)[-1].code == "deadline_exceeded"


def test_pause_and_resume_reach_the_engine(ready: Line) -> None:
    ready.submit(words("word", max_tokens=30))
    ready.forward(control.Pause(101))  # obeyed with the submit, or within a step of it
    ready.submit(words("other", max_tokens=40), 2)
    ready.whole(2)
    assert len(ready.heard(1)) <= 1
    ready.forward(control.Resume(101))
    assert ready.whole(1)[-1].usage.completion_tokens == 30


def test_fed_sound_comes_back(ready: Line) -> None:
    ready.submit(Loopback(16_000))
    granted = ready.first(wire.Arrival)
    assert (granted.seq, type(granted.event)) == (0, events.Granted)
    for seq in (1, 2):
        ready.forward(control.Feed(101, seq, 2 * seq, Blob(bytes([seq, 0]))))
    ready.forward(control.Played(101, 0, 10))
    ready.forward(control.Finish(101))
    chunks = [event for event in ready.whole() if isinstance(event, events.AudioChunk)]
    assert [(bytes(chunk.pcm), chunk.first_sample) for chunk in chunks] == [(b"\1\0", 2), (b"\2\0", 4)]


def test_feeding_past_the_window_ends_the_request(ready: Line) -> None:
    ready.submit(Loopback())
    ready.first(wire.Arrival)
    ready.forward(control.Feed(101, 2, data=Blob(b"\1\0")))
    end = ready.whole()[-1]
    assert (end.code, end.details["field"]) == ("invalid_request", "seq")


def test_sound_that_stops_coming_ends_the_request_by_the_operation_that_it_asked_for(ready: Line) -> None:
    ready.submit(Loopback(16_000))
    ready.submit(words("one " * 100_000), 2)
    ready.until(lambda: events.Granted in map(type, ready.heard()))
    ready.model.tick(time.monotonic() + STARVED_FEED_S + 1)
    assert ready.whole()[-1] == events.Cancelled("starved_feed")
    ready.forward(control.Cancel(102), 2)
    assert ready.whole(2)[-1].reason == "app"


def test_words_about_streams_that_are_gone_change_nothing(ready: Line) -> None:
    for message in (control.Credit(101, 1, 1, 1), control.Cancel(101), control.Finish(101), control.Pause(101)):
        ready.forward(message, 99)
    ready.tell(messages.End(99, "app"))
    ready.tell(messages.Probe())
    ready.model.hear([b"\xc1 no message"], 0.0)
    ready.submit(words("one"))
    ready.whole()


# --- the daemon


def test_a_ping_is_answered_past_the_engine(line: Line) -> None:
    line.tell(messages.ForwardPing(5), messages.forward_ping(5, 42)[1:])
    route = line.first(messages.Route)
    assert (route.kind, route.session) == (messages.KIND_PONG, 5)
    assert line.first(int) == 42


def test_stats_are_told_also_before_the_load(line: Line) -> None:
    line.tell(messages.AskStats())
    assert line.first(messages.Stats).counters == {"streams": 0.0}


def test_signs_of_life_come_from_the_engine_s_loop(ready: Line) -> None:
    ready.submit(words("word", max_tokens=100_000))
    sign = ready.first(messages.Alive)
    assert (sign.inflight, sign.idle) == (1, False)


def test_voice_work_is_told_when_it_begins_and_ends_and_to_a_new_daemon_once_more(ready: Line) -> None:
    ready.submit(words("word", max_tokens=100_000))
    ready.until(lambda: bool(ready.heard()))
    assert urgencies(ready) == []
    ready.submit(words("word", max_tokens=100_000), 2, priority="voice")
    ready.until(lambda: urgencies(ready) == [True])
    ready.tell(messages.ActorWelcome("0" * 32, (messages.Adopted("app-session", 102, 5, 22, 0),)))
    ready.until(lambda: urgencies(ready) == [True, True])
    ready.tell(messages.End(22, "app"))
    ready.until(lambda: urgencies(ready) == [True, True, False])


def urgencies(line: Line) -> list[bool]:
    return [one.is_urgent for one in line.sent if isinstance(one, messages.Urgent)]


class Still:
    """An engine without a loop: it lives when the test says so."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    def load(self, path: str, options: Mapping[str, str | int | float | bool], on_progress: OnProgress) -> Capacity:
        return Capacity(1, False, 10, 0)

    def stats(self) -> Mapping[str, float]:
        return {"steps": 3.0}


def test_no_sign_is_given_for_an_engine_whose_loop_stands_still() -> None:
    made: list[Still] = []

    def make(sink: Sink) -> Any:  # noqa: ANN401 - as much of an engine as this case needs
        made.append(Still(sink))
        return made[0]

    line = Line(lambda name: make)
    line.load()
    line.first(messages.Loaded)
    now_s = time.monotonic()
    for later_s in range(10):
        line.model.tick(now_s + later_s)
    assert not any(isinstance(one, messages.Alive) for one in line.sent)
    made[0].sink.alive()
    line.model.tick(now_s + 20)
    line.model.tick(now_s + 30)
    assert [one for one in line.sent if isinstance(one, messages.Alive)] == [messages.Alive(0, 3, True)]


def test_a_hello_names_the_streams_that_live_and_a_new_daemon_adopts_them(ready: Line) -> None:
    ready.submit(words("word", max_tokens=100_000))
    ready.until(lambda: sum(isinstance(one, wire.Arrival) for one in ready.sent) >= 3)
    ready.model.lost(time.monotonic())
    hello: Any = wire.decode(ready.model.greeting(time.monotonic())[1:], messages.FROM_ACTOR)
    (known,) = hello.inflight
    assert (hello.life, hello.secret, known.app_session, known.request) == (7, "secret-secret", "app-session", 101)
    ready.sent.clear()
    ready.tell(messages.ActorWelcome("instance-2", (messages.Adopted("app-session", 101, 60, 61, 1),)))
    route = ready.first(messages.Route)
    assert (route.session, route.rows[0].stream, ready.first(wire.Arrival).seq) == (60, 61, 2)
    assert ready.first(messages.Loaded).slots > 0
    ready.tell(messages.End(61, "app"))
    ready.whole()


def test_leaving_waits_for_its_streams_as_long_as_it_was_given(ready: Line) -> None:
    ready.submit(words("one two three"))
    ready.tell(messages.Leave(3_600.0))
    ready.until(lambda: ready.closed)
    assert isinstance(ready.whole()[-1], events.Finished)
    assert isinstance(ready.sent[-1], messages.Left)


def test_leaving_without_grace_ends_its_streams(ready: Line) -> None:
    ready.submit(words("word", max_tokens=1_000_000))
    ready.tell(messages.Leave(0.0))
    ready.until(lambda: ready.closed)
    assert ready.whole()[-1].reason == "shutdown"
    assert isinstance(ready.sent[-1], messages.Left)
    ready.submit(words("late"), 2)
    assert ready.whole(2)[-1].code == "model_failed"


# --- the engine's words


def test_an_engine_that_is_too_far_ahead_is_held_back_until_its_words_are_taken() -> None:
    spoken = EngineWords(lambda: None, lambda reason: None)
    batch = [(StreamId(1), events.TextDelta("a"))] * AHEAD_EVENTS
    spoken.emit(batch)
    ahead = threading.Thread(target=spoken.emit, args=(batch[:1],))
    ahead.start()
    assert len(spoken.take()[0]) == AHEAD_EVENTS
    ahead.join(PATIENCE_S)
    assert not ahead.is_alive()
    assert len(spoken.take()[0]) == 1


def test_a_broken_engine_ends_the_process() -> None:
    deaths: list[str] = []
    EngineWords(lambda: None, deaths.append).fatal("the loop ended")
    assert deaths == ["the loop ended"]
