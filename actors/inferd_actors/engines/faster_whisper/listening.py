"""One stream being listened to: frames and hearings in, events and wishes for hearings out.

Covers: utterances from the first syllable to the final text. Pure; the time comes in. Does not cover the order among streams
(`line`), the machine of pauses (`endpointing`), what is stable (`agreement`), samples that come in odd pieces (`intake`).

1. A frame with enough speech behind it begins an utterance, with a pre-roll: first syllables are quiet.
2. While somebody speaks, all sound since the last cut is heard again at the pace of `cadence`: partial texts.
3. At every pause of 200 ms a clean pass over the utterance is wanted, on suspicion. Its text tells whether the speaker looks
   finished, so once the silence could be the end nothing more of the stream is taken until it is known: where an utterance ends
   does not depend on how fast machine and feed are. The clean pass counts as one more rough hearing, and what it brought is
   told at once. If speech goes on, that of a long stretch stays, and is not computed again at the next pause.
4. At the end the clean pass is there already, as a rule, and the final text goes out with the news that speech stopped.
5. An utterance of more than 26 s is cut where it is quietest, so that no pass is longer than the model's window.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from inferd.messages.speech import Final as FinalText
from inferd.messages.speech import Partial, SpeechStarted, SpeechStopped, TranscribeStream
from inferd_actors.engine import EngineEvent
from inferd_actors.engines.faster_whisper.cadence import MIN_NEW_S
from inferd_actors.engines.faster_whisper.endpointing import FRAME_MS, Endpointing, Patience, Signal
from inferd_actors.engines.faster_whisper.hearing import Care, Heard, Pass
from inferd_actors.engines.faster_whisper.sound import FRAME_S, Frame, Sound
from inferd_actors.engines.faster_whisper.texts import looks_finished
from inferd_actors.engines.faster_whisper.utterance import PART_LEAST, TRIM, Part, Utterance
from inferd_actors.engines.faster_whisper.words import split, spoken

PRE_ROLL: Final = 16
"""Frames in front of the first speech: half a second, since first syllables are quiet (RealtimeSTT takes one second)."""
PART: Final = 812
"""Frames after which an utterance is cut, behind `PART_LEAST` of them, 26 s: a pause of 2.5 s may follow, and the model's
window has 30."""
ROUGH_MOST: Final = 625
"""Frames of rough hearing that are too long for the pace of talk whatever is in them, 20 s."""
ROUGH_KEPT: Final = 156
"""Frames that stay after such a cut, 5 s."""
SOUND_MOST: Final = 1_875
"""Frames of a stream that are kept, 60 s; nothing more is taken while there are so many: the model is far behind."""
FINALS_WAITING: Final = 4
"""Utterances without their final text before nothing more is taken."""
RECENT_WORDS: Final = 120
"""Of an utterance's text, among which the end of the stable one is: half a minute of talk."""
PROMPT_CHARS: Final = 200
"""Of what was said before, in front of a pass."""
SURE_S: Final = 1.0
SURE: Final = 0.7
"""A language is kept once it was found so likely in so much sound: found anew each time it flickers."""

Kind = Literal["final", "suspicion", "partial"]


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """A pass that a stream wants now."""

    kind: Kind
    since_s: float
    """When the oldest of it came that nobody has heard: it goes first; of a clean pass, the newest."""
    newest_s: float
    """When the newest of its sound came."""
    utterance: Utterance
    part: Part
    with_words: bool


class Listening:
    """One stream's utterances."""

    def __init__(self, asked: TranscribeStream) -> None:
        self._asked = asked
        self._endpoint = Endpointing(
            Patience(
                asked.vad_threshold, asked.speech_start_ms, asked.endpoint_silence_ms, asked.endpoint_unfinished_ms
            )
        )
        self._sound = Sound()
        self._open: Utterance | None = None
        self._over: deque[Utterance] = deque()
        """Utterances whose final text is not known."""
        self._in_hand: Wish | None = None
        self._ended_at = 0
        """Frame behind the last utterance."""
        self._count = 0
        self._now_s = 0.0
        self.speech_frames = 0
        self.language: str | None = asked.language
        self.last_language = ""
        """Of the last final text; empty: nobody has said anything."""
        self.language_probability = 1.0 if asked.language else 0.0
        self.thinned: list[int] = []
        """Utterances whose partials were given up."""

    # --- what the loop asks

    @property
    def is_full(self) -> bool:
        """Whether the next frame has to wait: a text must be known first, or the model is too far behind."""
        undecided = self._endpoint.is_undecided and self._open is not None and self._open.waiting is not None
        too_much = len(self._over) >= FINALS_WAITING or self._sound.end - self._sound.first >= SOUND_MOST
        return undecided or too_much

    @property
    def is_speaking(self) -> bool:
        """Whether somebody speaks."""
        return self._open is not None

    @property
    def is_done(self) -> bool:
        """Whether all final texts of what was taken are said."""
        return self._open is None and not self._over

    # --- sound

    def take(self, frame: Frame, now_s: float) -> list[EngineEvent]:
        """Take the next frame; return what it means. Only while not `is_full`."""
        self._now_s = now_s
        self._sound.add(frame)
        finished = self._looks_finished()
        events = self._signalled(self._endpoint.step(frame.probability, looks_finished=finished))
        if self._open is not None and not self._endpoint.is_paused:
            self._divide(self._open)
        self._sound.forget(self._needed())
        return events

    def finish(self, now_s: float) -> list[EngineEvent]:
        """Nothing more will come: end what is being said."""
        self._now_s = now_s
        return self._signalled(self._endpoint.stop())

    def _signalled(self, signal: Signal) -> list[EngineEvent]:
        match signal:
            case Signal.STARTED:
                return [self._start()]
            case Signal.PAUSED if self._open is not None:
                self._suspect(self._open)
            case Signal.RESUMED if self._open is not None:
                self._trust(self._open)
            case Signal.STOPPED if self._open is not None:
                return self._stop(self._open)
            case _:
                pass
        return []

    def _start(self) -> EngineEvent:
        first = self._endpoint.first
        heard_from = max(first - PRE_ROLL, self._ended_at, self._sound.first)
        self._count += 1
        self._open = Utterance(self._count, first, heard_from, heard_from, rough_end=heard_from)
        return SpeechStarted(self._count, first * FRAME_MS)

    def _suspect(self, utterance: Utterance) -> None:
        """Want the clean pass of what may be the utterance's end."""
        utterance.suspicion = Part(utterance.part_first, self._sound.end)
        utterance.parts.append(utterance.suspicion)

    def _trust(self, utterance: Utterance) -> None:
        """Speech goes on: the suspicion was wrong."""
        suspicion, utterance.suspicion = utterance.suspicion, None
        if suspicion is None:
            return
        utterance.parts.remove(suspicion)
        utterance.keep(suspicion)

    def _stop(self, utterance: Utterance) -> list[EngineEvent]:
        if utterance.suspicion is None:
            utterance.parts.append(Part(utterance.part_first, self._sound.end))
        self._open = None
        utterance.end = self._ended_at = self._endpoint.end
        utterance.stopped_s = self._now_s
        self.speech_frames += utterance.end - utterance.start
        self._over.append(utterance)
        return [SpeechStopped(utterance.number, utterance.end * FRAME_MS), *self._said()]

    def _divide(self, utterance: Utterance) -> None:
        """Cut a long utterance where it is quietest, for a clean pass over the front."""
        roughly = self._heard_roughly is not None
        if not roughly:
            utterance.rough_first = self._sound.end
        elif self._sound.end - utterance.rough_first > ROUGH_MOST:
            utterance.rough_first = self._sound.end - ROUGH_KEPT
            utterance.agreement.drop()
        if self._sound.end - utterance.part_first < PART:
            return
        cut = self._sound.quietest(utterance.part_first + PART_LEAST, self._sound.end)
        utterance.parts.append(Part(utterance.part_first, cut))
        utterance.part_first = cut

    def _looks_finished(self) -> bool:
        """Tell whether the utterance's text, once it is known to the last pause, looks like the end of it."""
        utterance = self._open
        return (
            utterance is not None
            and utterance.suspicion is not None
            and utterance.waiting is None
            and looks_finished(utterance.text)
        )

    def _needed(self) -> int:
        open_ones = [self._open] if self._open is not None else []
        beginning = self._endpoint.beginning - PRE_ROLL
        return min([beginning, *(one.needed for one in (*self._over, *open_ones))])

    # --- hearing

    def wish(self, now_s: float, speaking: int) -> Wish | None:
        """Return what is to be heard now, final texts first; None while something of it is. `speaking`: streams that do."""
        if self._in_hand is not None:
            return None
        for utterance in (*self._over, *([self._open] if self._open else [])):
            if (part := utterance.waiting) is not None:
                kind: Kind = "final" if utterance.stopped_s is not None else "suspicion"
                with_words = self._asked.timestamps == "word"
                newest_s = self._arrived_s(part)
                return Wish(kind, newest_s, newest_s, utterance, part, with_words)
        return self._rough_wish(now_s, speaking)

    def due_s(self, speaking: int) -> float | None:
        """Return the moment from which a partial text may be wished for; None: not by the clock."""
        utterance = self._heard_roughly
        return None if utterance is None or self._in_hand else utterance.cadence.due_s(speaking)

    def pass_of(self, wish: Wish) -> Pass:
        """Return the pass that grants a wish; until `heard` the stream has no other."""
        self._in_hand = wish
        rough = wish.kind == "partial"
        care: Care = "quick" if rough else "clean"
        said = wish.utterance.agreement.before if rough else wish.utterance.text
        prompt = " ".join(one for one in (self._asked.prompt or "", said[-PROMPT_CHARS:].strip()) if one)
        return Pass(self._sound.cut(wish.part.first, wish.part.end), care, self.language, prompt, wish.with_words)

    def heard(self, heard: Heard, now_s: float) -> list[EngineEvent]:
        """Take what the wish in hand has brought."""
        wish, self._in_hand = self._in_hand, None
        if wish is None:
            return []
        self._now_s = now_s
        self._learn_language(wish, heard)
        events = self._told(wish, heard)
        self._sound.forget(self._needed())
        return events

    def _told(self, wish: Wish, heard: Heard) -> list[EngineEvent]:
        if wish.kind == "partial":
            return self._partial(wish, heard)
        wish.part.heard = heard
        if wish.utterance is not self._open:
            return self._said()
        if wish.part not in wish.utterance.parts:
            wish.utterance.keep(wish.part)
            return self._partial(wish, heard)
        told = self._paused(wish, heard) if wish.part is wish.utterance.suspicion else []
        return [*told, *self._signalled(self._endpoint.judge(looks_finished=self._looks_finished()))]

    @property
    def _heard_roughly(self) -> Utterance | None:
        """The utterance that is to have partial texts now."""
        utterance = self._open if self._asked.partials and not self._endpoint.is_paused else None
        return None if utterance is None or utterance.cadence.is_given_up else utterance

    def _rough_wish(self, now_s: float, speaking: int) -> Wish | None:
        utterance = self._heard_roughly
        if utterance is None or now_s < utterance.cadence.due_s(speaking):
            return None
        part = Part(utterance.rough_first, self._sound.end)
        if (part.end - utterance.rough_end) * FRAME_S < MIN_NEW_S:
            return None
        since_s = self._sound.arrived_s(max(utterance.rough_end, part.first))
        with_words = part.end - part.first > TRIM or utterance.agreement.stalled > 0
        return Wish("partial", since_s, self._arrived_s(part), utterance, part, with_words)

    def _arrived_s(self, part: Part) -> float:
        return self._sound.arrived_s(part.end - 1)

    def _learn_language(self, wish: Wish, heard: Heard) -> None:
        long_enough = wish.part.sound_s >= SURE_S
        if self.language is None and heard.segments and long_enough and heard.language_probability >= SURE:
            self.language = heard.language
        if heard.segments and self._asked.language is None:
            self.language_probability = max(self.language_probability, heard.language_probability)

    def _partial(self, wish: Wish, heard: Heard) -> list[EngineEvent]:
        utterance, part = wish.utterance, wish.part
        rtf = utterance.cadence.passed(heard.began_s, heard.pass_s, part.sound_s)
        if utterance.cadence.is_given_up and utterance.number not in self.thinned:
            self.thinned.append(utterance.number)
        if utterance is not self._open or not self._asked.partials or not utterance.hear_roughly(part, heard):
            return []
        return [self._so_far(wish, utterance.agreement.tentative, rtf, at_pause=False)]

    def _paused(self, wish: Wish, heard: Heard) -> list[EngineEvent]:
        """Tell the utterance as it is known at a pause; the clean pass is one more hearing."""
        utterance, part = wish.utterance, wish.part
        utterance.hear_roughly(part, heard)
        if not self._asked.partials or not utterance.text:
            return []
        rest = utterance.agreement.following(split(utterance.text)[-RECENT_WORDS:])
        return [self._so_far(wish, rest, heard.pass_s / part.sound_s, at_pause=True)]

    def _so_far(self, wish: Wish, tentative: str, rtf: float, *, at_pause: bool) -> Partial:
        stable, end_ms = wish.utterance.agreement.stable, wish.part.end * FRAME_MS
        lag_ms = max(0, int((self._now_s - wish.newest_s) * 1000))
        return Partial(wish.utterance.number, stable, tentative, end_ms, lag_ms, rtf, at_pause)

    def _said(self) -> list[EngineEvent]:
        """Return the final texts that are known, in order."""
        events: list[EngineEvent] = []
        while self._over and self._over[0].is_said:
            events.append(self._final(self._over.popleft()))
        return events

    def _final(self, utterance: Utterance) -> EngineEvent:
        passes = [(part, part.heard) for part in utterance.parts if part.heard is not None]
        sound_s = sum(part.sound_s for part, _ in passes)
        text = utterance.text.strip()
        language = (self.language or passes[-1][1].language) if text else ""
        self.last_language = language or self.last_language
        return FinalText(
            utterance.number,
            text,
            utterance.start * FRAME_MS,
            utterance.end * FRAME_MS,
            language,
            tuple(
                word for part, heard in passes for word in spoken(heard.segments, partial(_later, part.first * FRAME_S))
            ),
            max(0, int((self._now_s - (utterance.stopped_s or self._now_s)) * 1000)),
            sum(heard.pass_s for _, heard in passes) / sound_s if sound_s else 0.0,
        )


def _later(first_s: float, start_s: float, end_s: float) -> tuple[float, float]:
    """Return where in the stream a word of a part is, in seconds."""
    return first_s + start_s, first_s + end_s
