"""One connection's decisions: whatever clients say and jobs bring, every request is answered once, in order."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from wyoming.event import Event

from inferd.errors import InferenceError, InvalidRequest, ModelFailed, ModelNotFound
from inferd.messages.bounds import Blob
from inferd.messages.events import AudioChunk
from inferd.messages.speech import AudioStarted, Final, Partial
from inferd_bridges.wyoming import asked
from inferd_bridges.wyoming.asked import Format, Wish
from inferd_bridges.wyoming.conversation import Conversation
from inferd_bridges.wyoming.line import TURNS, WAITING_SIZE
from inferd_bridges.wyoming.offer import Offer
from inferd_bridges.wyoming.orders import (
    Came,
    Close,
    Drop,
    Failed,
    Feed,
    Finish,
    Happening,
    Heard,
    Left,
    Listen,
    Look,
    Looked,
    LookFailed,
    Order,
    Say,
    Speak,
    Spoken,
    Wrong,
)

MONO = Format(16_000, 2, 1)
NOTHING = Offer({"transcribe": (), "synthesize": ()})
GONE = ModelNotFound("no model is called 'jo'; closest: p/joe:f32", details={"near": ("p/joe:f32",)})
DIED = ModelFailed("it died")
WRONG = InvalidRequest("synthesize.text: expected a string")
RATE_HZ = 8_000


def after(*happenings: Happening) -> list[Order]:
    """Return what is ordered at the last of these."""
    conversation = Conversation()
    *before, last = happenings
    for one in before:
        conversation.step(one)
    return conversation.step(last)


def said(orders: list[Order]) -> list[str]:
    return [one.event.type for one in orders if isinstance(one, Say)]


def chunk(pcm: bytes) -> asked.AudioChunk:
    return asked.AudioChunk(MONO, pcm)


def test_sound_is_listened_to_from_its_start() -> None:
    hello = asked.Transcribe(Wish("tiny", "en"), "Ada")
    assert after(hello, asked.AudioStart(MONO)) == [Listen(1, Wish("tiny", "en"), 16_000, "Ada")]
    assert after(asked.AudioStart(MONO)) == [Listen(1, Wish(), 16_000, None)]
    assert after(hello, chunk(b"ab")) == [Listen(1, Wish("tiny", "en"), 16_000, "Ada"), Feed(1, b"ab")]


def test_a_transcript_comes_in_pieces_and_then_whole() -> None:
    conversation = Conversation()
    happenings: list[Happening] = [
        asked.AudioStart(MONO),
        Came(1, Partial(1, "", "turn", 100)),
        Came(1, Partial(1, "turn", "on", 200)),
        Came(1, Final(1, "Turn on.", 0, 300)),
        asked.AudioStop(),
        Heard(1, " Turn on.", "en"),
    ]
    orders = [order for one in happenings for order in conversation.step(one)]
    assert said(orders) == [
        "transcript-start",
        "transcript-chunk",
        "transcript-chunk",
        "transcript",
        "transcript-stop",
    ]
    assert [one.event.data.get("text") for one in orders if isinstance(one, Say)][1:4] == ["turn", " on.", "Turn on."]


def test_the_whole_text_inside_a_stream_is_not_spoken_again() -> None:
    start = asked.SynthesizeStart(Wish())
    assert after(start, asked.SynthesizeChunk("Hi"), asked.Synthesize(Wish(), "Hi")) == []
    assert after(start, Failed(1, GONE), asked.Synthesize(Wish(), "Hi")) == []
    assert after(start, asked.SynthesizeStop(), Spoken(1), asked.Synthesize(Wish(), "Hi")) == [
        Speak(2, Wish(), ("Hi",), is_whole=True)
    ]


def test_a_stream_has_one_start_of_sound_and_says_when_it_is_over() -> None:
    conversation = Conversation()
    sound = AudioChunk(Blob(b"\1\0" * 1_500), RATE_HZ)
    happenings: list[Happening] = [
        asked.SynthesizeStart(Wish("joe")),
        Came(1, AudioStarted(RATE_HZ)),
        Came(1, sound),
        Came(1, sound),
        asked.SynthesizeStop(),
        Spoken(1),
    ]
    orders = [order for one in happenings for order in conversation.step(one)]
    expected = ["audio-start", *["audio-chunk"] * 3, "audio-stop", "synthesize-stopped"]
    assert said(orders) == expected


def test_what_is_not_here_is_an_error_and_the_connection_stays() -> None:
    orders = after(asked.Synthesize(Wish("jo"), "Hi"), Failed(1, GONE))
    assert orders == [Say(Event("error", {"text": str(GONE), "code": "model_not_found"}))]


def test_what_a_client_cannot_correct_ends_the_connection_and_all_its_jobs() -> None:
    orders = after(asked.AudioStart(MONO), asked.Synthesize(Wish(), "Hi"), Failed(2, DIED))
    assert said(orders) == ["error"]
    assert Drop(1) in orders
    assert orders[-1] == Close()


def test_sound_that_goes_on_in_another_format_is_refused_once() -> None:
    other = asked.AudioChunk(Format(8_000, 2, 1), b"ab")
    refused = after(asked.AudioStart(MONO), other)
    assert refused[0] == Drop(1)
    assert said(refused) == ["error"]
    assert after(asked.AudioStart(MONO), other, other) == []


def test_sound_after_a_request_that_could_not_be_read_is_left_out() -> None:
    wrong = Wrong("transcribe", WRONG)
    assert said(after(wrong)) == ["error"]
    assert after(wrong, asked.AudioStart(MONO)) == []
    assert after(wrong, asked.AudioStart(MONO), chunk(b"ab")) == []
    assert after(wrong, asked.AudioStart(MONO), asked.AudioStop(), asked.AudioStart(MONO)) != []


def test_chunks_that_cannot_be_read_are_one_error_not_many() -> None:
    wrong = Wrong("audio-chunk", WRONG)
    assert said(after(asked.Transcribe(), Wrong("audio-start", WRONG))) == ["error"]
    assert after(asked.Transcribe(), Wrong("audio-start", WRONG), wrong) == []
    assert after(wrong) == []


def test_a_request_for_words_without_any_sound_is_an_error() -> None:
    assert said(after(asked.Transcribe(), asked.AudioStop())) == ["error"]


def test_who_asks_twice_what_there_is_gets_one_answer() -> None:
    assert after(asked.Describe()) == [Look()]
    assert after(asked.Describe(), asked.Describe()) == []
    assert said(after(asked.Describe(), Looked(NOTHING))) == ["info"]
    assert after(asked.Describe(), LookFailed(DIED))[-1] == Close()


def test_too_many_requests_and_too_much_that_waits_are_refused() -> None:
    many = [asked.Synthesize(Wish(), "Hi")] * TURNS
    assert said(after(*many, many[0])) == ["error"]
    much = "x" * (WAITING_SIZE // 2 + 1)
    start: list[Happening] = [many[0], asked.SynthesizeStart(Wish()), asked.SynthesizeChunk(much)]
    assert said(after(*start)) == []
    assert said(after(*start, asked.SynthesizeChunk(much))) == ["error", "synthesize-stopped"]


def test_a_ping_is_answered_with_its_text() -> None:
    assert after(asked.Ping("x")) == [Say(Event("pong", {"text": "x"}))]


# --- any order


@dataclass
class Job:
    """A request as the daemon has it."""

    is_speech: bool
    fed: list[bytes | str] = field(default_factory=list)
    is_whole: bool = False
    sounds: bytes = b""
    stable: list[str] = field(default_factory=list)


@dataclass
class Request:
    """A request as its client knows it."""

    given: list[bytes | str] = field(default_factory=list)
    is_streamed: bool = False


class Client(RuleBasedStateMachine):
    """A client that obeys the protocol, and jobs that end in any way at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.conversation = Conversation()
        self.jobs: dict[int, Job] = {}
        self.asked: dict[bool, list[Request]] = {True: [], False: []}
        """By whether they speak: requests without an answer yet, oldest first."""
        self.sound: Request | None = None
        self.text: Request | None = None
        self.open: dict[bool, list[str]] = {True: [], False: []}
        """Types of the answer that has begun."""
        self.heard = b""
        self.over = False

    def step(self, happening: Happening) -> None:
        for order in self.conversation.step(happening):
            assert not self.over, "nothing is ordered after the end"
            self.obey(order)

    def obey(self, order: Order) -> None:
        match order:
            case Listen() | Speak():
                assert order.job not in self.jobs
                is_speech = isinstance(order, Speak)
                assert not any(job.is_speech == is_speech for job in self.jobs.values()), "one runs"
                self.jobs[order.job] = Job(is_speech, list(order.fed), order.is_whole)
            case Feed(job, piece):
                assert not self.jobs[job].is_whole
                self.jobs[job].fed.append(piece)
            case Finish(job):
                assert not self.jobs[job].is_whole
                self.jobs[job].is_whole = True
            case Drop(job):
                del self.jobs[job]
            case Say(event):
                self.read(event)
            case _:
                raise AssertionError(order)

    def read(self, event: Event) -> None:
        kind = event.type
        is_speech = kind.startswith(("audio", "synth"))
        answer = self.open[is_speech]
        if kind == "error":
            return
        answer.append(kind)
        if kind == "audio-chunk":
            assert event.payload is not None
            self.heard += event.payload
        if kind in ("transcript", "audio-stop"):
            assert answer.count(kind) == 1
        if kind in ("audio-chunk", "transcript-chunk"):
            assert answer[0] in ("audio-start", "transcript-start")
        assert answer.count("audio-start") <= 1

    def end(self, job: int, happening: Happening, error: InferenceError | None = None) -> None:
        was = self.jobs.pop(job)
        request = self.asked[was.is_speech].pop(0)
        if error is None:
            joined = (b"" if not was.is_speech else "").join(was.fed)  # type: ignore[arg-type]  # of one kind
            assert joined == (b"" if not was.is_speech else "").join(request.given)  # type: ignore[arg-type]
        else:
            self.sound = None if self.sound is request else self.sound
            self.text = None if self.text is request else self.text
        self.step(happening)
        answer, self.open[was.is_speech] = self.open[was.is_speech], []
        if error is None:
            last = (
                "transcript-stop"
                if not was.is_speech
                else "synthesize-stopped"
                if request.is_streamed
                else "audio-stop"
            )
            assert answer[-1] == last
        if was.is_speech:
            if answer.count("audio-stop") and "audio-start" in answer:
                assert self.heard == was.sounds
            self.heard = b""

    @rule(wish=st.sampled_from([Wish(), Wish("joe"), Wish(language="en")]))
    @precondition(lambda self: self.sound is None and len(self.asked[False]) < TURNS)
    def begin_sound(self, wish: Wish) -> None:
        self.sound = Request()
        self.asked[False].append(self.sound)
        self.step(asked.Transcribe(wish))
        self.step(asked.AudioStart(MONO))

    @rule(samples=st.integers(0, 50))
    @precondition(lambda self: self.sound)
    def send_sound(self, samples: int) -> None:
        assert self.sound
        self.sound.given.append(b"ab" * samples)
        self.step(chunk(b"ab" * samples))

    @rule()
    @precondition(lambda self: self.sound)
    def end_sound(self) -> None:
        self.sound = None
        self.step(asked.AudioStop())

    @rule(text=st.text(max_size=5))
    @precondition(lambda self: self.text is None and len(self.asked[True]) < TURNS)
    def speak(self, text: str) -> None:
        self.step(asked.SynthesizeStop())  # of a stream that has failed: nothing more comes of it
        self.asked[True].append(Request([text]))
        self.step(asked.Synthesize(Wish(), text))

    @rule()
    @precondition(lambda self: self.text is None and len(self.asked[True]) < TURNS)
    def begin_text(self) -> None:
        self.text = Request(is_streamed=True)
        self.asked[True].append(self.text)
        self.step(asked.SynthesizeStart(Wish()))

    @rule(text=st.text(max_size=5))
    @precondition(lambda self: self.text)
    def send_text(self, text: str) -> None:
        assert self.text
        self.text.given.append(text)
        self.step(asked.SynthesizeChunk(text))

    @rule()
    @precondition(lambda self: self.text)
    def end_text(self) -> None:
        self.text = None
        self.step(asked.Synthesize(Wish(), "everything once more"))
        self.step(asked.SynthesizeStop())

    @rule(data=st.data(), samples=st.integers(0, 3_000))
    @precondition(lambda self: self.jobs)
    def job_says(self, data: st.DataObject, samples: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.jobs)))
        job = self.jobs[number]
        if job.is_speech:
            self.step(Came(number, AudioStarted(RATE_HZ)))
            job.sounds += b"\1\0" * samples
            self.step(Came(number, AudioChunk(Blob(b"\1\0" * samples), RATE_HZ)))
        else:
            job.stable.append("word")
            self.step(Came(number, Partial(1, " ".join(job.stable), "", samples)))

    @rule(data=st.data())
    @precondition(lambda self: any(job.is_whole for job in self.jobs.values()))
    def job_ends(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(one for one, job in self.jobs.items() if job.is_whole)))
        self.end(number, Spoken(number) if self.jobs[number].is_speech else Heard(number, "text", "en"))

    @rule(data=st.data())
    @precondition(lambda self: self.jobs)
    def job_fails(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.jobs)))
        self.end(number, Failed(number, GONE), GONE)

    @rule(number=st.integers(1, 20))
    def a_job_of_before_says_something(self, number: int) -> None:
        if number not in self.jobs:
            for late in (Came(number, AudioStarted(RATE_HZ)), Heard(number, "x", "en"), Spoken(number)):
                assert self.conversation.step(late) == []

    @invariant()
    def somebody_works_on_the_first_request(self) -> None:
        for is_speech, requests in self.asked.items():
            running = [job for job in self.jobs.values() if job.is_speech == is_speech]
            assert self.over or len(running) == bool(requests)

    def teardown(self) -> None:
        """The client leaves."""
        self.step(Left())
        assert not self.jobs, "nothing runs on"
        self.over = True
        for happening in (asked.Ping(None), asked.Synthesize(Wish(), "Hi"), Left()):
            self.step(happening)


TestAnyClient = pytest.mark.timeout(300)(Client.TestCase)
