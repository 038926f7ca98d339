"""The loop of the faster-whisper engine: many streams and files, one model, one pass at a time.

Covers: the order of things in a round, and requests' beginnings and ends. Does not cover utterances (`listening`), files
(`reading`), whose pass is next (`line`), computing (`worker`, `library`).

One round: 1. orders are taken, 2. the pass that is done is told, 3. every stream takes the frames that were fed, 4. the model
gets the pass of whoever is next, 5. the events of all leave in one message. The loop computes nothing but probabilities of
speech, a fifth of a millisecond for each frame of 32 ms; a pass runs beside it and cannot be stopped, so a cancelled stream
ends at once and the model is free again when that one pass, of 30 s of sound at most, is done.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Final, assert_never

from inferd.errors import InferenceError, InvalidRequest, QueueFull, UnsupportedMode
from inferd.messages.control import PRIORITIES, Feed
from inferd.messages.events import TERMINALS, Cancelled, CancelReason
from inferd.messages.speech import Transcribe, TranscribeStream
from inferd_actors.engine import Capacity, EngineEvent, OnProgress, Sink, StreamId, Submission
from inferd_actors.engines import options as settings
from inferd_actors.engines.aside import can_wait
from inferd_actors.engines.desk import ALIVE_S, Begin, Desk, Drop, Flow, Hear, Hold, Order, Take, TakeNoMore
from inferd_actors.engines.faster_whisper.hearing import Heard, Pass, Samples, unreadable
from inferd_actors.engines.faster_whisper.intake import Intake
from inferd_actors.engines.faster_whisper.line import Turn, next_turn
from inferd_actors.engines.faster_whisper.live import LiveFile, LiveStream
from inferd_actors.engines.faster_whisper.options import Options
from inferd_actors.engines.faster_whisper.reading import Reading
from inferd_actors.engines.faster_whisper.spool import Spool
from inferd_actors.engines.faster_whisper.worker import Worker
from inferd_actors.refusals import as_event

WAITING: Final = 256
"""Requests that may be here at once; the daemon keeps its own queue and sends a few for each slot and class."""
READERS: Final = 4
"""Files of a class, and those above it, that are decoded at the same time: the model hears one piece at a time anyway."""
CONTEXT_TOKENS: Final = 448
"""Of text, in every Whisper model."""
LEAVING_S: Final = 2.0
"""For a decoder to stop when all is to end."""


class FasterWhisper(Desk):
    """The faster-whisper engine. See the engine contract for its methods."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._lives: dict[StreamId, LiveStream | LiveFile] = {}
        self._in_hand: Turn | None = None
        """Whose pass the worker has, or had last."""
        self._left: list[Reading] = []
        """Readers whose requests have ended, until their threads have."""
        self._batch: list[tuple[StreamId, EngineEvent]] = []
        self._counters = dict.fromkeys(
            ("steps", "prompt_tokens", "completion_tokens", "finals", "partials", "pieces", "sound_s", "pass_s"), 0.0
        )

    def load(self, path: str, options: Mapping[str, str | int | float | bool], on_progress: OnProgress) -> Capacity:
        """Read the model, let it hear one second, and start the loop."""
        chosen = settings.read(options, Options)
        on_progress(0.0, "reading")
        from inferd_actors.engines.faster_whisper import library

        self._library = library
        self._ear = library.load(path, chosen)
        self._vad = library.Vad()
        on_progress(0.8, "warming")
        self._ear.warm()
        self._worker = Worker(self._ear.hear, self._bell.set, self._guard)
        self._worker.start()
        self._begin(self._loop, "whisper")
        on_progress(1.0, "ready")
        return Capacity(chosen.streams, False, CONTEXT_TOKENS, self._ear.memory_bytes)

    def stats(self) -> Mapping[str, float]:
        """Return the counters."""
        due = self._untaken + self._worker.is_stuck(time.monotonic())
        return {**self._counters, "busy": float(len(self._lives)), "due": float(due)}

    # --- the loop

    def _loop(self) -> None:
        try:
            while not self._closing.is_set():
                self._rest(self._round(time.monotonic()))
            self._attend(time.monotonic())
            for stream in tuple(self._lives):
                self._cancel(stream, "shutdown")
            self._emit()
        finally:
            self._release()

    def _round(self, now_s: float) -> float:
        """Go round once; return how long the loop may sleep."""
        self._attend(now_s)
        self._conclude(now_s)
        more = self._advance(now_s)
        self._give(time.monotonic())
        in_hand = self._in_hand if self._worker.is_busy else None
        self._tell_urgent(is_urgent=in_hand is not None and in_hand.priority == "voice")
        self._emit()
        self._sink.alive()
        return 0.0 if more else self._pause_s(time.monotonic())

    def _attend(self, now_s: float) -> None:
        for order in self._taken():
            self._obey(order, now_s)

    def _conclude(self, now_s: float) -> None:
        """Tell what the pass that is done has brought."""
        done = self._worker.taken()
        if done is None:
            return
        stream, heard = done
        if isinstance(heard, Heard) and self._in_hand is not None:
            self._account(self._in_hand, heard.pass_s, now_s)
        live = self._lives.get(stream)
        if live is None:
            return
        if isinstance(heard, InferenceError):
            self._deliver(stream, [as_event(heard)])
            return
        live.book(heard)
        self._counters["pass_s"] += heard.pass_s
        self._deliver(stream, live.heard(heard, now_s))

    def _account(self, turn: Turn, pass_s: float, now_s: float) -> None:
        if _can_wait(turn):
            self._aside.computed(pass_s, now_s)
        elif turn.priority == "voice":
            self._aside.hands_on(now_s)

    def _advance(self, now_s: float) -> bool:
        """Take what was fed; return whether there is more of it."""
        more = False
        self._begin_reading()
        for stream, live in tuple(self._lives.items()):
            if live.halted:
                continue
            events, unfinished = live.advance(now_s)
            more = more or unfinished
            self._deliver(stream, events)
            if stream in self._lives and (window := live.window()):
                self._sink.grant(stream, *window)
        self._left = [one for one in self._left if not one.is_over]
        return more

    def _begin_reading(self) -> None:
        files = [live for live in self._lives.values() if isinstance(live, LiveFile)]
        for live in files:
            rank = PRIORITIES.index(live.submission.priority)
            before = sum(one.is_decoding for one in files if PRIORITIES.index(one.submission.priority) <= rank)
            if not live.is_started and before < READERS:
                live.start()

    def _give(self, now_s: float) -> None:
        """Let the model hear what is next."""
        if self._worker.is_busy:
            return
        speaking = self._speaking
        turns = (live.turn(now_s, speaking) for live in self._lives.values() if not live.halted)
        may_all = self._aside.may_compute(now_s)
        turn = next_turn(one for one in turns if one is not None and (may_all or not _can_wait(one)))
        if turn is None:
            return
        self._in_hand = turn
        asked = self._lives[turn.stream].next_pass()
        self._count(turn.kind, asked)
        self._worker.give(turn.stream, asked, now_s)

    def _count(self, kind: str, asked: Pass) -> None:
        which = {"final": "finals", "suspicion": "finals", "partial": "partials", "piece": "pieces"}[kind]
        self._counters[which] += 1
        self._counters["steps"] += 1
        self._counters["sound_s"] += asked.sound_s

    @property
    def _speaking(self) -> int:
        return sum(live.is_speaking for live in self._lives.values())

    def _pause_s(self, now_s: float) -> float:
        """Return how long nothing will be due by the clock."""
        if self._worker.is_busy:
            return ALIVE_S
        speaking = self._speaking
        due = (live.due_s(speaking) for live in self._lives.values() if not live.halted)
        patience_s = self._aside.wait_s(now_s) or ALIVE_S
        return min([ALIVE_S, patience_s, *(one - now_s for one in due if one is not None and one > now_s)])

    def _deliver(self, stream: StreamId, events: list[EngineEvent]) -> None:
        self._batch += ((stream, event) for event in events)
        if events and isinstance(events[-1], TERMINALS):
            self._forget(stream)

    def _emit(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            self._sink.emit(batch)

    def _release(self) -> None:
        self._worker.stop()
        for reading in self._left:
            reading.join(LEAVING_S)
        self._ear.close()

    # --- orders

    def _obey(self, order: Order, now_s: float) -> None:
        if isinstance(order, Begin):
            self._admit(order.submission)
            return
        live = self._lives.get(order.stream)
        if live is None:
            return
        match order:
            case Take(stream, piece):
                self._take(stream, live, piece, now_s)
            case TakeNoMore():
                live.finish()
            case Flow(_, may_produce):
                live.may_produce = may_produce
            case Hold(_, held):
                live.held = held
            case Drop(stream, reason):
                self._cancel(stream, reason)
            case Hear():
                pass  # it speaks nothing that could be heard
            case _:
                assert_never(order)

    def _take(self, stream: StreamId, live: LiveStream | LiveFile, piece: Feed, now_s: float) -> None:
        try:
            live.feed(piece, now_s)
        except InferenceError as refused:
            self._deliver(stream, [as_event(refused)])

    def _cancel(self, stream: StreamId, reason: CancelReason) -> None:
        self._deliver(stream, [Cancelled(reason)])

    def _forget(self, stream: StreamId) -> None:
        live = self._lives.pop(stream)
        live.close()
        if isinstance(live, LiveFile) and live.is_reading:
            self._left.append(live.reading)

    # --- requests

    def _admit(self, submission: Submission) -> None:
        try:
            live = self._live(submission)
        except InferenceError as refused:
            self._batch.append((submission.stream, as_event(refused)))
        else:
            self._lives[submission.stream] = live

    def _live(self, submission: Submission) -> LiveStream | LiveFile:
        asked = submission.operation
        if not isinstance(asked, Transcribe | TranscribeStream):
            operation = type(asked).__name__
            raise UnsupportedMode(f"{submission.model} does not serve {operation}", details={"operation": operation})
        self._check_language(asked.language, submission.model)
        if len(self._lives) >= WAITING:
            raise QueueFull(f"{WAITING} requests wait inside {submission.model}", details={"limit": WAITING})
        if isinstance(asked, TranscribeStream):
            rate_hz = asked.rate_hz
            return LiveStream(submission, asked, Intake(rate_hz, self._library.Resampler(rate_hz), self._vad.voice()))
        return self._live_file(submission, asked)

    def _live_file(self, submission: Submission, asked: Transcribe) -> LiveFile:
        if asked.audio is not None and not asked.audio:
            raise unreadable("it has no sound: zero bytes")
        spool = Spool() if asked.audio is None else None
        source = spool if spool is not None else io.BytesIO(bytes(asked.audio or b""))

        def sound() -> Iterator[Samples]:
            with closing(source):
                if asked.rate_hz is None:
                    yield from self._library.decoded(source)
                else:
                    yield from self._library.decoded_samples(source, asked.rate_hz)

        return LiveFile(submission, asked, Reading(sound, self._vad, self._bell.set), spool)

    def _check_language(self, language: str | None, model: str) -> None:
        known = self._ear.supported_languages
        if language is None or language in known:
            return
        if len(known) == 1:
            raise UnsupportedMode(
                f"body.language: {model} knows {known[0]} alone, not {language!r}",
                details={"field": "body.language", "model": model},
            )
        raise InvalidRequest(
            f"body.language: {language!r} is none of the {len(known)} languages of {model}: an ISO 639-1 code, as en or de",
            details={"field": "body.language"},
        )


def _can_wait(turn: Turn) -> bool:
    """Tell whether a pass steps aside for voice work elsewhere: partial texts, too, for an answer is waited for sooner."""
    return turn.kind == "partial" or can_wait(PRIORITIES.index(turn.priority))
