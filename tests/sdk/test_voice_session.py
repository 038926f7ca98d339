"""A conversation by voice over a real socket, against a daemon that hears, writes and speaks by a script."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast

import pytest
from voice_daemon import RATE_HZ, VoiceDaemon

import inferd
from inferd import AudioChunk
from inferd.messages import control, events, speech
from inferd.messages.operations import Message
from inferd.voice import (
    AgentStartedSpeaking,
    AgentStoppedSpeaking,
    Failed,
    FinalTranscript,
    Interrupted,
    PartialTranscript,
    ReplyDelta,
    Session,
    Settings,
    State,
    Turn,
    TurnEnded,
    UserStartedSpeaking,
    UserStoppedSpeaking,
    VoiceEvent,
)
from inferd.voice.orders import Happening, SpokenOut
from inferd.voice.voicing import Voicing
from inferd.voice.writing import Writer

if TYPE_CHECKING:
    from inferd.aio_speech_streams import AsyncSpeechStream

E = TypeVar("E")
QUIET = Settings(preemptive_generation=False, backchannel_window_ms=0)


def utterance(number: int, text: str) -> tuple[events.Event, ...]:
    """Return what is heard of somebody who says this."""
    return (
        speech.SpeechStarted(number, 0),
        speech.Partial(number, "", text, 50),
        speech.SpeechStopped(number, 60),
        speech.Final(number, text, 0, 60),
    )


def sound(line: int) -> bytes:
    """Return the sound on which the daemon hears this line."""
    return bytes([line, 0]) * 1_600


async def until(session: Session, kind: type[E], told: list[VoiceEvent] | None = None) -> E:
    """Read on until such an event comes."""
    async for event in session:
        if told is not None:
            told.append(event)
        if isinstance(event, kind):
            return event
    raise AssertionError(f"the session ended without {kind.__name__}")


def run(
    tmp_path: Path,
    test: Callable[[VoiceDaemon, inferd.AsyncClient], Any],
    lines: Sequence[Sequence[events.Event]],
    answer: Sequence[str] = ("Good ", "day."),
    **daemons: Any,  # noqa: ANN401 - as the daemon takes them
) -> VoiceDaemon:
    """Run a test's coroutine with a daemon and a client of it; return the daemon, in which nothing may be left."""

    async def main(daemon: VoiceDaemon) -> None:
        async with inferd.AsyncClient("test", socket=tmp_path / "s") as client:
            await test(daemon, client)
            await client.ping()
            assert daemon.open == 0

    with VoiceDaemon(tmp_path / "s", lines, answer, **daemons) as daemon:
        asyncio.run(main(daemon))
        assert daemon.account.begun == daemon.account.ended
        return daemon


def test_a_turn_goes_from_sound_to_sound(tmp_path: Path) -> None:
    told: list[VoiceEvent] = []

    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client, hear="h", think="t", voice="v", system="Be brief.", settings=QUIET) as session:
            await session.send(sound(0))
            await session.finish()
            told.extend([event async for event in session])
            assert session.state is State.LISTENING
            assert session.messages == (
                Message("system", "Be brief."),
                Message("user", "Hello."),
                Message("assistant", "Good day."),
            )

    daemon = run(tmp_path, test, [utterance(1, "Hello.")], ("Good ", "day."))
    kinds = [type(event) for event in told if not isinstance(event, AudioChunk)]
    assert kinds == [
        UserStartedSpeaking,
        PartialTranscript,
        UserStoppedSpeaking,
        FinalTranscript,
        ReplyDelta,
        ReplyDelta,
        AgentStartedSpeaking,
        AgentStoppedSpeaking,
        TurnEnded,
    ]
    heard = b"".join(event.pcm for event in told if isinstance(event, AudioChunk))
    assert len(heard) == 2 * 2 * RATE_HZ * 200 // 1000
    (turn,) = [event.turn for event in told if isinstance(event, TurnEnded)]
    assert (turn.user_text, turn.agent_text, turn.interrupted) == ("Hello.", "Good day.", False)
    assert turn.first_audio_ms is not None
    assert (turn.silence_ms, turn.response_ms) == (40, turn.first_audio_ms + 40)
    asked = {one.op: one for one in (daemon.request().request for _ in range(4))}
    assert asked.pop("hold").body["names"] == ["h", "t", "v"]
    models = {"transcribe_stream": "h", "generate": "t", "synthesize_stream": "v"}
    assert {op: (one.model, one.priority) for op, one in asked.items()} == {
        op: (model, "voice") for op, model in models.items()
    }
    assert asked["generate"].body["thinking"] == "off"


def test_who_speaks_into_the_answer_is_answered_and_the_old_answer_is_not_heard_again(tmp_path: Path) -> None:
    after: list[VoiceEvent] = []

    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client, settings=QUIET) as session:
            await session.send(sound(0))
            await until(session, AgentStartedSpeaking)
            for _ in range(12):
                await until(session, AudioChunk)
            await session.send(sound(1))
            cut = await until(session, Interrupted)
            assert cut.heard_text == "One two"[: len(cut.heard_text)] != ""
            await until(session, TurnEnded)
            await session.finish()
            await until(session, TurnEnded, after)
            heard, user, agent = session.messages[1:]
            assert (heard.content, user.content, agent.role) == (cut.heard_text, "Wait.", "assistant")

    lines = [utterance(1, "Hello."), utterance(2, "Wait.")]
    run(tmp_path, test, lines, ("One ", "two ", "three ", "four ", "five ", "six."))
    assert {event.epoch for event in after if isinstance(event, AudioChunk)} == {2}


def test_the_voice_is_told_what_was_played_and_when_to_wait(tmp_path: Path) -> None:
    async def test(daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client, settings=QUIET) as session:
            await session.send(sound(0))
            await until(session, AgentStartedSpeaking)
            for _ in range(12):
                await until(session, AudioChunk)
            played = await asyncio.to_thread(daemon.next, control.Played)
            assert (played.epoch, played.played_ms >= 200) == (1, True)
            await session.send(sound(1))
            await asyncio.to_thread(daemon.next, control.Pause)
            await asyncio.to_thread(daemon.next, control.Resume)
            await session.send(sound(2))
            cancel = await asyncio.to_thread(daemon.next, control.Cancel)
            assert cancel.request in {daemon.request().request.id for _ in range(3)}

    lines = [utterance(1, "Hello."), utterance(2, ""), utterance(3, "Wait.")]
    run(tmp_path, test, lines, ("One ", "two ", "three ", "four ", "five ", "six "), endless=1.0)


def test_a_conversation_that_has_outgrown_the_context_goes_on_and_the_turn_says_so(tmp_path: Path) -> None:
    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client, settings=QUIET) as session:
            await session.send(sound(0))
            assert (await until(session, TurnEnded)).turn.warnings == ("4 messages are left out",)

    daemon = run(tmp_path, test, [utterance(1, "Hello.")], warnings=("4 messages are left out",))
    assert truncating(daemon) == ["oldest"]


def test_a_model_that_leaves_nothing_out_is_asked_so_once(tmp_path: Path) -> None:
    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client, settings=QUIET) as session:
            for line in (0, 1):
                await session.send(sound(line))
                assert (await until(session, TurnEnded)).turn.agent_text == "Good day."

    daemon = run(tmp_path, test, [utterance(1, "Hello."), utterance(2, "Bye.")], truncates=False)
    assert truncating(daemon) == ["oldest", "never", "never"]


@pytest.mark.parametrize("wish", ["never", "oldest"])
def test_what_the_app_says_about_the_context_stands(tmp_path: Path, wish: Literal["never", "oldest"]) -> None:
    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client, options={"truncate": wish}, settings=QUIET) as session:
            await session.send(sound(0))
            if wish == "oldest":
                assert (await until(session, Failed)).error.code == "unsupported_mode"
            assert (await until(session, TurnEnded)).turn.user_text == "Hello."

    daemon = run(tmp_path, test, [utterance(1, "Hello.")], truncates=False)
    assert truncating(daemon) == [wish]


def test_answers_that_are_refused_at_the_same_time_are_all_asked_again(tmp_path: Path) -> None:
    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        writer = Writer(client, None, None, priority="voice", timeout_s=30.0)

        async def whole() -> str:
            return "".join([text async for text in writer.answer((Message("user", "Hello."),), list[str]().extend)])

        assert list(await asyncio.gather(whole(), whole())) == ["Good day.", "Good day."]

    daemon = run(tmp_path, test, [], truncates=False)
    assert truncating(daemon) == ["oldest", "oldest", "never", "never"]


def truncating(daemon: VoiceDaemon) -> list[object]:
    """Return what was asked about the context, answer by answer."""
    return [body.get("truncate", "never") for body in daemon.asked]


def test_an_answer_may_come_from_the_app_and_its_failure_ends_a_turn_only(tmp_path: Path) -> None:
    closed: list[str] = []

    async def parrot(messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        said = str(messages[-1].content)
        try:
            if said == "Please fail.":
                raise inferd.ModelFailed("it died")
            yield "You said "
            yield said
        finally:
            closed.append(said)

    async def test(daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client, reply=parrot, settings=QUIET) as session:
            await session.send(sound(0))
            assert (await until(session, Failed)).stage == "reply"
            await until(session, TurnEnded)
            await session.send(sound(1))
            assert (await until(session, TurnEnded)).turn.agent_text == "You said Please fail. Well."
        assert "generate" not in daemon.account.begun
        assert len(closed) == 2

    run(tmp_path, test, [utterance(1, "Please fail."), utterance(2, "Well.")])


def test_a_source_that_is_cancelled_by_itself_has_failed(tmp_path: Path) -> None:
    async def cancelled(_messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        yield "Good "
        raise asyncio.CancelledError

    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client, reply=cancelled, settings=QUIET) as session:
            await session.send(sound(0))
            failed = await until(session, Failed)
            assert (failed.stage, failed.error.code) == ("reply", "cancelled")
            await until(session, TurnEnded)

    run(tmp_path, test, [utterance(1, "Hello.")])


def test_a_mistake_in_the_apps_own_source_is_raised_where_it_reads(tmp_path: Path) -> None:
    async def broken(_messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        yield "a"
        raise ZeroDivisionError

    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client, reply=broken, settings=QUIET) as session:
            await session.send(sound(0))
            with pytest.raises(ZeroDivisionError):
                await until(session, TurnEnded)

    run(tmp_path, test, [utterance(1, "Hello.")])


def test_a_greeting_may_come_first_and_a_button_may_cut_it_off(tmp_path: Path) -> None:
    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client) as session:
            assert not session.say(" ")
            assert session.say("Hello there, how are you doing today?")
            assert not session.say("And another one.")
            await until(session, AgentStartedSpeaking)
            session.played(400, epoch=0)
            session.played(400)
            session.interrupt()
            session.interrupt()
            assert (await until(session, Interrupted)).heard_text == ""
            assert (await until(session, TurnEnded)).turn.interrupted
        assert not session.say("Nobody listens any more.")

    run(tmp_path, test, [])


class SlowVoice:
    """A stream whose voice is there after a minute: who has less patience is told so."""

    def __init__(self) -> None:
        self.fed: list[str] = []
        self._finished = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def __aiter__(self) -> AsyncGenerator[events.Event, None]:
        await asyncio.wait_for(self._finished.wait(), 30)
        yield speech.AudioStarted(16_000)

    async def send(self, text: str, *, timeout_s: float = 10.0) -> None:
        if timeout_s < 60:
            raise inferd.DeadlineExceeded("the stream took nothing more")
        self.fed.append(text)

    async def finish(self, *, timeout_s: float = 10.0) -> None:
        assert timeout_s >= 60
        self._finished.set()


def test_the_text_waits_as_long_for_the_voice_as_the_session_does() -> None:
    stream, told = SlowVoice(), list[Happening]()

    async def main() -> None:
        voicing = Voicing(1, cast("AsyncSpeechStream", stream), told.append, 300.0)
        voicing.feed("Good day.")
        voicing.feed(None)
        await voicing.run()

    asyncio.run(main())
    assert stream.fed == ["Good day."]
    assert told[-1] == SpokenOut(1)


def test_what_ends_the_listening_ends_the_session(tmp_path: Path) -> None:
    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client) as session:
            await session.send(sound(0))
            for _ in range(2):
                with pytest.raises(inferd.ModelFailed, match="it died"):
                    await until(session, TurnEnded)
            with pytest.raises(inferd.ModelFailed):
                await session.send(sound(0))

    run(tmp_path, test, [(events.Error("model_failed", "it died"),)])


def test_a_microphone_that_has_stopped_ends_the_session_and_the_answer_that_sounds(tmp_path: Path) -> None:
    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client, settings=QUIET) as session:
            await session.send(sound(0))
            await until(session, AgentStartedSpeaking)
            await session.send(sound(1))
            with pytest.raises(inferd.Cancelled, match="zeros do") as ended:
                await until(session, TurnEnded)
            assert ended.value.details["reason"] == "starved_feed"
            with pytest.raises(inferd.Cancelled):
                await session.send(sound(1))

    lines = [utterance(1, "Tell me a story."), (events.Cancelled("starved_feed"),)]
    run(tmp_path, test, lines, ["Once upon a time "] * 20, endless=1.0)


def test_an_app_that_does_not_read_is_told_so(tmp_path: Path) -> None:
    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client, settings=QUIET) as session:
            await session.send(sound(0))
            for _ in range(2_048):
                await session._outbox.get()
            with pytest.raises(inferd.Cancelled, match="were not read"):
                await session._outbox.get()

    run(tmp_path, test, [[speech.Partial(1, "", f"{at}", 0) for at in range(3_000)]])


def test_its_models_are_held_from_before_it_opens_until_after_it_has_ended(tmp_path: Path) -> None:
    async def test(daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with Session(client, hear="h", think="t", voice="v") as session:
            assert daemon.account.ended["hold"] == 1
            await session.send(sound(0))
            await until(session, AgentStartedSpeaking)
            assert daemon.account.begun["release_hold"] == 0
        assert daemon.account.ended["release_hold"] == 1
        with pytest.raises(inferd.ModelNotFound):
            async with Session(client, hear="h", think="none"):
                raise AssertionError("it opened without its models")
        assert daemon.account.begun["transcribe_stream"] == 1

    daemon = run(tmp_path, test, [utterance(1, "Hello.")])
    assert daemon.request().request.body == {"names": ["h", "t", "v"], "seconds": 600.0}


def test_two_hundred_sessions_that_are_interrupted_and_left_at_random_leave_nothing_behind(tmp_path: Path) -> None:
    seed = 7
    lines = [utterance(1, "Hello."), utterance(2, "Wait a bit."), utterance(3, ""), utterance(4, "Yes.")]
    turns: list[Turn] = []
    heard: set[random.Random] = set()
    """Whose sound was taken; a session that is left before may never have asked for anything."""

    async def talk(client: inferd.AsyncClient, chance: random.Random) -> None:
        epoch = 0
        async with Session(client) as session:

            async def listen() -> None:
                nonlocal epoch
                async for event in session:
                    match event:
                        case AgentStartedSpeaking():
                            assert event.epoch > epoch
                            epoch = event.epoch
                        case AudioChunk():
                            assert (event.epoch, event.pcm[0]) == (epoch, epoch), "stale sound"
                        case TurnEnded():
                            turns.append(event.turn)

            listening = asyncio.create_task(listen())
            for line in range(chance.randint(0, len(lines))):
                await session.send(sound(line))
                heard.add(chance)
                await asyncio.sleep(chance.choice((0.0, 0.01, 0.3, 0.9)))
                if chance.random() < 0.1:
                    session.interrupt()
            if chance.random() < 0.5:
                await session.finish()
                await asyncio.wait({listening}, timeout=chance.uniform(0.0, 3.0))
            listening.cancel()
            await asyncio.wait({listening})
            if not listening.cancelled():
                listening.result()

    async def test(_daemon: VoiceDaemon, client: inferd.AsyncClient) -> None:
        async with asyncio.TaskGroup() as group:
            for at in range(200):
                group.create_task(talk(client, random.Random(seed * 1_000 + at)))  # noqa: S311 - a schedule

    daemon = run(tmp_path, test, lines, ("One ", "two ", "three ", "four."), endless=0.3)
    assert 150 <= len(heard) <= daemon.account.ended["transcribe_stream"] <= 200
    assert daemon.account.ended["generate"] >= 100
    assert {turn.interrupted for turn in turns} == {True, False}
