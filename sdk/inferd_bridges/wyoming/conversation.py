"""What one connection does about what its client says and what its jobs bring.

Covers: everything that is decided; `connection` carries it out. Event in, orders out; after the client has left nothing is
ordered. Pure.

What follows a client's words:
1. `transcribe`, `audio-start`, `audio-chunk`..., `audio-stop`: a job listens from the start of the sound on, so that its model
   is loaded while the sound still comes. Stable words go out as `transcript-chunk`; then `transcript` has the whole.
2. `synthesize`: a job speaks. `synthesize-start`, `-chunk`..., `-stop`: a job speaks as the text comes; the `synthesize` that
   repeats the whole text inside, for servers that know no streams, is left out. One `audio-start` opens each answer.
3. An `error` is the last word of a request. What the client can correct leaves the connection open. Everything else closes it:
   there are clients, Home Assistant's among them, that understand the end of the connection and no error.
4. Sound that stops for 10 s without `audio-stop` has failed, as 3. tells: its words may be half a sentence, the model is for
   others by then, and a client that has lost its microphone is to know it.
5. Requests of one kind are answered in their order (`line`). What comes for a request that has failed is left out.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, assert_never

from wyoming.asr import Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk as OutChunk
from wyoming.audio import AudioStart as OutStart
from wyoming.audio import AudioStop as OutStop
from wyoming.error import Error
from wyoming.ping import Pong
from wyoming.tts import SynthesizeStopped

from inferd import errors
from inferd.messages.events import AudioChunk
from inferd.messages.speech import AudioStarted, Partial
from inferd.messages.speech import Final as FinalText
from inferd.uplink import SAMPLE_BYTES
from inferd_bridges.wyoming import asked
from inferd_bridges.wyoming.line import Line, Turn
from inferd_bridges.wyoming.offer import info
from inferd_bridges.wyoming.orders import (
    Came,
    Close,
    Drop,
    Failed,
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
from inferd_bridges.wyoming.sound import Cutter, Mono

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wyoming.event import Eventable

    from inferd.errors import InferenceError
    from inferd.spoken import SpeechEvent
    from inferd.transcript import TranscriptEvent
    from inferd_bridges.wyoming.asked import Format, Wish
    from inferd_bridges.wyoming.orders import Happening

CORRECTABLE: Final = (errors.InvalidRequest, errors.UnsupportedMode, errors.ModelNotFound, errors.NoEligibleModel)
"""The client asked wrongly, or for what is not here: it may ask for something else."""
STARVED: Final = "no audio-chunk came for 10 s: send silence while nobody speaks, and audio-stop behind the last one"
"""What a client is told whose sound stopped, in its own protocol's words."""


class _Sound:
    """The sound that is coming in."""

    def __init__(self, turn: Turn, form: Format) -> None:
        self.turn = turn
        self.form = form
        self.mono = Mono(form)


class Conversation:
    """One connection's decisions."""

    def __init__(self) -> None:
        self._jobs = itertools.count(1)
        self._hearing = Line()
        self._speaking = Line()
        self._asked: asked.Transcribe | None = None
        """A request for the words of the sound that comes next."""
        self._is_deaf = False
        """That request could not be read: its sound is left out."""
        self._sound: _Sound | None = None
        self._text: Turn | None = None
        """The stream of text that is coming in."""
        self._is_inside = False
        """Between `synthesize-start` and `synthesize-stop`, whatever became of that stream."""
        self._is_looking = False
        self._has_left = False

    def step(self, happening: Happening) -> list[Order]:  # noqa: PLR0911 - one arm for each kind
        """Return what is to be done, in this order."""
        if self._has_left:
            return []
        match happening:
            case Left():
                return self._leave()
            case Wrong(kind, error):
                return self._wrong(kind, error)
            case Looked() | LookFailed():
                return self._looked(happening)
            case Came(job, event):
                return self._came(job, event)
            case Heard() | Spoken() | Failed():
                return self._ended(happening)
            case _:
                return self._client(happening)

    # --- the client

    def _client(self, said: asked.Asked) -> list[Order]:  # noqa: PLR0911 - one arm for each kind
        match said:
            case asked.Describe():
                was_looking, self._is_looking = self._is_looking, True
                return [] if was_looking else [Look()]
            case asked.Ping(text):
                return _say(Pong(text))
            case asked.Transcribe():
                self._asked, self._is_deaf = said, False
                return []
            case asked.AudioStart(form):
                return self._open_sound(form)
            case asked.AudioChunk(form, pcm):
                return self._take_sound(form, pcm)
            case asked.AudioStop():
                return self._close_sound()
            case asked.Synthesize(wish, text):
                return [] if self._is_inside else self._speak(wish, text)
            case asked.SynthesizeStart(wish):
                orders = self._close_text()
                self._is_inside = True
                return orders + self._open_text(wish)
            case asked.SynthesizeChunk(text):
                return self._feed(self._text, text) if self._text else []
            case asked.SynthesizeStop():
                self._is_inside = False
                return self._close_text()
            case _:
                assert_never(said)

    def _open_sound(self, form: Format) -> list[Order]:
        orders = self._close_sound() if self._sound else []
        if self._is_deaf:
            return orders
        request, self._asked = self._asked or asked.Transcribe(), None
        turn = Turn(Listen(next(self._jobs), request.wish, form.rate_hz, request.prompt))
        self._sound = _Sound(turn, form)
        return orders + self._join(turn)

    def _take_sound(self, form: Format, pcm: bytes) -> list[Order]:
        orders = self._open_sound(form) if self._sound is None and self._asked else []
        if self._sound is None:
            return orders
        if form != self._sound.form:
            return self._refuse(self._sound.turn, _other_format(self._sound.form, form))
        return orders + self._feed(self._sound.turn, self._sound.mono.push(pcm))

    def _close_sound(self) -> list[Order]:
        sound, self._sound = self._sound, None
        self._is_deaf = False
        if sound:
            return self._hearing.finish(sound.turn)
        missing, self._asked = self._asked, None
        problem = "audio-stop: no sound came since transcribe"
        return self._error(errors.InvalidRequest(problem, details={"field": "audio"})) if missing else []

    def _speak(self, wish: Wish, text: str) -> list[Order]:
        turn = Turn(Speak(next(self._jobs), wish), pieces=[text] if text else [], is_whole=True)
        return self._join(turn)

    def _open_text(self, wish: Wish) -> list[Order]:
        self._text = Turn(Speak(next(self._jobs), wish), is_streamed=True)
        return self._join(self._text)

    def _close_text(self) -> list[Order]:
        turn, self._text = self._text, None
        return self._speaking.finish(turn) if turn else []

    def _join(self, turn: Turn) -> list[Order]:
        try:
            return self._line(turn).join(turn)
        except errors.QueueFull as full:
            return self._refuse(turn, full)

    def _feed(self, turn: Turn, piece: bytes | str) -> list[Order]:
        try:
            return self._line(turn).feed(turn, piece)
        except errors.QueueFull as full:
            return self._refuse(turn, full)

    def _wrong(self, kind: str, error: InferenceError) -> list[Order]:
        """Refuse what cannot be read, and what it was a part of; once, not for each chunk that follows."""
        if kind.startswith("audio-"):
            was_expected, self._asked = self._asked is not None or kind == "audio-start", None
            if self._sound:
                return self._refuse(self._sound.turn, error)
            return self._error(error) if was_expected else []
        if kind == "transcribe":
            self._asked, self._is_deaf = None, True
        if kind == "synthesize-chunk":
            return self._refuse(self._text, error) if self._text else []
        if kind == "synthesize-start":
            self._is_inside = True
            return self._error(error) + _say(SynthesizeStopped())
        if kind == "synthesize" and self._is_inside:
            return []
        return self._error(error)

    # --- jobs

    def _came(self, job: int, event: TranscriptEvent | SpeechEvent) -> list[Order]:
        if hearing := self._hearing.running(job):
            match event:
                case Partial():
                    return _told(hearing, hearing.telling.stable(event.stable))
                case FinalText():
                    return _told(hearing, hearing.telling.final(event.text))
        if speaking := self._speaking.running(job):
            match event:
                case AudioStarted():
                    return _sounding(speaking, event.rate_hz)
                case AudioChunk():
                    return _sounding(speaking, event.rate_hz) + _sound(speaking, event.pcm)
        return []

    def _ended(self, end: Heard | Spoken | Failed) -> list[Order]:
        hearing, speaking = self._hearing.running(end.job), self._speaking.running(end.job)
        turn = hearing or speaking
        if turn is None:
            return []
        match end:
            case Heard(_, text, language):
                said = _say(Transcript(text.strip(), language=language or None), TranscriptStop())
                return _opened(turn) + said + self._let_go(turn)
            case Spoken():
                return _closed(turn) + self._let_go(turn)
            case Failed(_, error):
                return self._fail(turn, error)
            case _:
                assert_never(end)

    def _refuse(self, turn: Turn, error: InferenceError) -> list[Order]:
        """End a request that cannot go on; its job, if it has one, does not know yet."""
        dropped = [Drop(turn.job)] if self._line(turn).running(turn.job) else []
        return [*dropped, *self._fail(turn, error)]

    def _fail(self, turn: Turn, error: InferenceError) -> list[Order]:
        """End a request with an error."""
        said = _said(error) + (_broken_off(turn) if isinstance(turn.begin, Speak) else [])
        return said + (self._let_go(turn) if isinstance(error, CORRECTABLE) else self._close())

    def _let_go(self, turn: Turn) -> list[Order]:
        if self._sound and self._sound.turn is turn:
            self._sound = None
        if self._text is turn:
            self._text = None
        return self._line(turn).ended(turn)

    def _line(self, turn: Turn) -> Line:
        return self._hearing if isinstance(turn.begin, Listen) else self._speaking

    # --- the rest

    def _looked(self, found: Looked | LookFailed) -> list[Order]:
        self._is_looking = False
        return _say(info(found.offer)) if isinstance(found, Looked) else self._error(found.error)

    def _error(self, error: InferenceError) -> list[Order]:
        """Answer something that has no job with an error."""
        return _said(error) + ([] if isinstance(error, CORRECTABLE) else self._close())

    def _close(self) -> list[Order]:
        return [*self._leave(), Close()]

    def _leave(self) -> list[Order]:
        self._has_left = True
        return self._hearing.dropped() + self._speaking.dropped()


def _say(*said: Eventable) -> list[Order]:
    return [Say(one.event()) for one in said]


def _said(error: InferenceError) -> list[Order]:
    is_starved = error.details.get("reason") == "starved_feed"
    return _say(Error(STARVED if is_starved else str(error) or error.code, error.code))


def _opened(turn: Turn) -> list[Order]:
    """Return the opening of a transcript, once."""
    had_begun, turn.has_begun = turn.has_begun, True
    return [] if had_begun else _say(TranscriptStart(language=turn.begin.wish.language))


def _told(turn: Turn, piece: str) -> list[Order]:
    return _opened(turn) + _say(TranscriptChunk(piece)) if piece else []


def _sounding(turn: Turn, rate_hz: int) -> list[Order]:
    """Return the opening of an answer that sounds, once."""
    if turn.cutter:
        return []
    turn.cutter = Cutter(rate_hz)
    return _say(OutStart(rate_hz, SAMPLE_BYTES, 1, timestamp=0))


def _sound(turn: Turn, pcm: bytes) -> list[Order]:
    return _chunks(turn.cutter, turn.cutter.push(pcm)) if turn.cutter else []


def _chunks(cutter: Cutter, cut: Iterable[tuple[int, bytes]]) -> list[Order]:
    return _say(*(OutChunk(cutter.rate_hz, SAMPLE_BYTES, 1, pcm, timestamp=at_ms) for at_ms, pcm in cut))


def _closed(turn: Turn) -> list[Order]:
    """Return the end of an answer that sounds, or should have."""
    rest = _chunks(turn.cutter, turn.cutter.flush()) if turn.cutter else []
    stop = _say(OutStop(timestamp=turn.cutter.ms if turn.cutter else 0))
    return rest + stop + (_say(SynthesizeStopped()) if turn.is_streamed else [])


def _broken_off(turn: Turn) -> list[Order]:
    """Return the end of an answer that failed: of what has begun."""
    if turn.cutter:
        return _closed(turn)
    return _say(SynthesizeStopped()) if turn.is_streamed else []


def _other_format(first: Format, other: Format) -> InferenceError:
    was, now = (f"{one.rate_hz:,} Hz, {one.width} bytes, {one.channels} channels" for one in (first, other))
    return errors.InvalidRequest(
        f"audio-chunk: the sound began with {was} and goes on with {now}", details={"field": "rate"}
    )
