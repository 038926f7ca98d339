"""A spoken conversation: microphone in, loudspeaker out, and what is said beside it.

Covers: the streams, the tasks and the clock around `turns`, which decides. Every task belongs to the session's own, which ends
with the `async with` block.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Final, Self, TypeAlias, assert_never

from inferd.effects import NEVER_S
from inferd.errors import Cancelled, InferenceError
from inferd.messages.speech import Final as FinalText
from inferd.messages.speech import Partial, SpeechStarted, SpeechStopped
from inferd.uplink import SAMPLE_BYTES, SEND_TIMEOUT_S
from inferd.voice.conversation import Conversation
from inferd.voice.orders import (
    Feed,
    Hold,
    Hush,
    Passed,
    Report,
    Speak,
    StopSpeaking,
    StopWriting,
    Tell,
    Told,
    Utter,
    Write,
    Written,
    WrittenOut,
)
from inferd.voice.outbox import Outbox
from inferd.voice.settings import Settings
from inferd.voice.turns import State, Turns
from inferd.voice.voicing import Voicing
from inferd.voice.writing import Writer

if TYPE_CHECKING:
    from types import TracebackType

    from inferd.aio import AsyncClient
    from inferd.aio_holds import AsyncHold
    from inferd.aio_speech_streams import AsyncTranscriptStream
    from inferd.drafts import GenerateOptions
    from inferd.messages.control import Priority
    from inferd.messages.operations import Message
    from inferd.voice.events import VoiceEvent
    from inferd.voice.orders import Happening, Order

ReplySource: TypeAlias = Callable[[Sequence["Message"]], AsyncGenerator[str, None]]
"""The conversation, the user's words last → the answer, piece by piece: an async generator."""

HOLD_S: Final = 600.0
"""For how long the models are held at a time: an app that dies frees them then at the latest."""


class Session:
    """A conversation by voice. Use it as an `async with` block: it holds its models, all or none, until the block ends.

        async with inferd.voice.Session(client, hear="base", think="smollm2", voice="joe") as session:
            microphone.start(session.send)
            async for event in session:
                if isinstance(event, inferd.AudioChunk):
                    loudspeaker.write(event.pcm, event.rate_hz)

    `send` takes the microphone's sound, without a pause: also while an answer sounds, and zeros while it is muted. Iterating
    yields the loudspeaker's (`AudioChunk`, paced by the clock) and everything said beside it (`inferd.voice.VoiceEvent`). One
    task iterates; any task may send. The app's own player should hold little: what is handed out is heard; when `Interrupted`
    comes it throws away what it still has.

    `hear`, `think`, `voice`: the models; None: the one that inferd chooses, which is not held. `reply`: an own source of
    answers in place of `think`; it may be asked ahead for a turn that never comes, and is closed then. `system`,
    `history`: what stands before the conversation. `options`: of `generate`. Unless they tell otherwise thinking is
    off, and a conversation that has outgrown the model's context goes on without its oldest turns (`truncate` "oldest", where
    the model has it), of which `Turn.warnings` tells. `timeout_s`: the longest time without progress of an answer or a load.

    Entering the block raises what `models.hold` raises (ModelNotFound, ResourceBlocked, LoadFailed). Iterating raises what
    ended the listening: ModelFailed, ConnectionLost; Cancelled with reason starved_feed when nothing was sent for 10 s (open
    another session when the microphone is back), slow_reader when nothing was read. An answer that fails is `Failed`, and
    the session goes on.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        hear: str | None = None,
        think: str | None = None,
        voice: str | None = None,
        reply: ReplySource | None = None,
        system: str | None = None,
        history: Sequence[Message] = (),
        options: GenerateOptions | None = None,
        settings: Settings | None = None,
        rate_hz: int = 16_000,
        language: str | None = None,
        rate: float = 1.0,
        priority: Priority = "voice",
        timeout_s: float = 300.0,
    ) -> None:
        self._client = client
        self._hear, self._think, self._voice = hear, think, voice
        self._reply = reply
        self._writer = Writer(client, think, options, priority=priority, timeout_s=timeout_s)
        self._settings = settings or Settings()
        self._rate_hz, self._language, self._rate = rate_hz, language, rate
        self._priority: Priority = priority
        self._timeout_s = timeout_s
        self._turns = Turns(self._settings, Conversation(system, history))
        self._outbox = Outbox()
        self._stack = AsyncExitStack()
        self._writing: dict[int, asyncio.Task[None]] = {}
        self._voicing: dict[int, Voicing] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._listened = 0
        self._finished = False
        """All that was sent has been understood."""
        self._over = False
        self._ear: AsyncTranscriptStream
        self._life: asyncio.Task[None]
        self._group: asyncio.TaskGroup

    # --- the app

    @property
    def state(self) -> State:
        """Whose turn it is."""
        return self._turns.state

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far; of an answer that was cut off what was heard of it."""
        return self._turns.conversation.messages

    async def send(self, pcm: bytes | bytearray | memoryview, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Take the microphone's next sound: int16, mono, at `rate_hz`; zeros while it is muted. Waits for room.

        Raises InvalidRequest (no int16 sound), DeadlineExceeded (no room), or what ended the session.
        """
        await self._ear.send(pcm, timeout_s=timeout_s)
        self._listened += len(pcm) // SAMPLE_BYTES

    async def finish(self) -> None:
        """Say that no more sound will come: iterating ends when what was said is answered."""
        await self._ear.finish()

    def played(self, played_ms: int, epoch: int | None = None) -> None:
        """Tell how much of an epoch the loudspeaker has played; without it the clock decides what was heard.

        `epoch`: of its chunks; what is told late, of one that was cut off, changes nothing then. None: the present one.
        """
        self._happen(Told(played_ms, epoch))

    def interrupt(self) -> None:
        """Cut the answer off, as if the user had: a button, say. Without an answer it does nothing."""
        self._happen(Hush())

    def say(self, text: str) -> bool:
        """Have a text spoken that nobody asked for, a greeting say; return False if it is not our turn, or says nothing."""
        if self._over or self._turns.is_busy or not text.strip():
            return False
        self._happen(Utter(text))
        return True

    def __aiter__(self) -> AsyncIterator[VoiceEvent]:
        return self

    async def __anext__(self) -> VoiceEvent:
        return await self._outbox.get()

    # --- its life

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            hold = await self._hold_models(opening)
            self._ear = await opening.enter_async_context(
                self._client.transcribe_stream(
                    self._rate_hz,
                    model=self._hear,
                    priority=self._priority,
                    timeout_s=self._timeout_s,
                    language=self._language,
                    vad_threshold=self._settings.threshold,
                    speech_start_ms=self._settings.speech_start_ms,
                    endpoint_silence_ms=self._settings.min_endpointing_delay_ms,
                    endpoint_unfinished_ms=self._settings.max_endpointing_delay_ms,
                )
            )
            begun = asyncio.Event()
            self._life = asyncio.create_task(self._live(hold, begun))
            await begun.wait()
            self._stack = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._stack:
            self._end(Cancelled("the session was left", details={"reason": "app"}))
            await asyncio.wait({self._life})

    async def _hold_models(self, opening: AsyncExitStack) -> AsyncHold | None:
        """Load what is named, all or none, and keep it; return what keeps it."""
        names = [name for name in (self._hear, self._think, self._voice) if name is not None]
        if not names:
            return None
        hold = self._client.models.hold(names, HOLD_S, priority=self._priority, timeout_s=self._timeout_s)
        return await opening.enter_async_context(hold)

    async def _live(self, hold: AsyncHold | None, begun: asyncio.Event) -> None:
        """Own every task of the session, until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._listen())
                begun.set()
                while True:
                    await asyncio.sleep(HOLD_S / 2)
                    if hold is not None:
                        await hold.renew()
        except BaseExceptionGroup as several:
            self._end(_first(several))

    def _end(self, error: BaseException | None) -> None:
        """End the iteration, and all that is under way."""
        self._over = True
        if self._alarm:
            self._alarm.cancel()
        self._outbox.end(error)
        self._life.cancel()

    async def _listen(self) -> None:
        try:
            async for event in self._ear:
                if isinstance(event, (SpeechStarted, Partial, SpeechStopped, FinalText)):
                    self._happen(event)
        except InferenceError as deaf:
            self._end(deaf)
        self._finished = True
        self._happen(Passed())

    # --- what happens, and what is done about it

    def _happen(self, happening: Happening) -> None:
        if self._over:
            return
        listened_ms = self._listened * 1000 // self._rate_hz
        for order in self._turns.step(happening, time.monotonic(), listened_ms):
            self._obey(order)
        self._set_alarm()
        if self._finished and not self._turns.is_busy:
            self._end(None)
        elif self._outbox.is_full:
            self._end(Cancelled("the session's events were not read: iterate it", details={"reason": "slow_reader"}))

    def _set_alarm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
        due_s = self._turns.next_s()
        if due_s < NEVER_S:
            wait_s = max(0.0, due_s - time.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(wait_s, self._happen, Passed())

    def _obey(self, order: Order) -> None:
        match order:
            case Tell():
                self._outbox.put(order.event)
            case Write():
                self._begin_writing(order)
            case StopWriting():
                self._writing.pop(order.attempt).cancel()
            case Speak():
                self._begin_speaking(order.epoch)
            case Feed() | Hold() | Report() | StopSpeaking():
                if voicing := self._voicing.get(order.epoch):  # else all of its sound has come
                    _pass_on(order, voicing)
            case _:
                assert_never(order)

    def _begin_writing(self, order: Write) -> None:
        task = self._group.create_task(self._write(order))
        self._writing[order.attempt] = task
        task.add_done_callback(lambda _: self._writing.pop(order.attempt, None))

    async def _write(self, order: Write) -> None:
        failure: InferenceError | None = None
        warnings: list[str] = []
        source = self._reply(order.messages) if self._reply else self._writer.answer(order.messages, warnings.extend)
        try:
            async with aclosing(source) as pieces:
                async for text in pieces:
                    self._happen(Written(order.attempt, text))
        except InferenceError as wrong:
            failure = wrong
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            failure = Cancelled("the source of the answer was cancelled", details={"reason": "app"})
        except Exception as bug:  # noqa: BLE001 - of the app's own source: it is told where the app reads
            self._end(bug)
        self._happen(WrittenOut(order.attempt, failure, tuple(warnings)))

    def _begin_speaking(self, epoch: int) -> None:
        stream = self._client.synthesize_stream(
            self._voice, self._rate, epoch=epoch, priority=self._priority, timeout_s=self._timeout_s
        )
        self._voicing[epoch] = Voicing(epoch, stream, self._happen, self._timeout_s)
        task = self._group.create_task(self._voicing[epoch].run())
        task.add_done_callback(lambda _: self._voicing.pop(epoch, None))


def _pass_on(order: Feed | Hold | Report | StopSpeaking, voicing: Voicing) -> None:
    match order:
        case Feed():
            voicing.feed(order.text)
        case Hold():
            voicing.hold(held=order.held)
        case Report():
            voicing.report(order.played_ms)
        case StopSpeaking():
            voicing.stop(order.played_ms)


def _first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what went wrong first; the rest followed from it."""
    first = several.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
