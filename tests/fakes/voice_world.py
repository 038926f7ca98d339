"""Everything around `inferd.voice.turns`, made up from a seed: a user, a writer, a voice, a clock; and what must always hold.

A world obeys the machine's orders late and carelessly: sound and text of what was cancelled still come, things fail, users
cough, hesitate and speak into everything. Each broken promise is an AssertionError.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field

from inferd.errors import Cancelled, ModelFailed
from inferd.messages.bounds import Blob
from inferd.messages.events import AudioChunk
from inferd.messages.speech import AudioStarted, Final, Partial, SpeechStarted, SpeechStopped, Word
from inferd.voice import events as told
from inferd.voice.conversation import Conversation
from inferd.voice.orders import (
    Feed,
    Happening,
    Hold,
    Hush,
    Passed,
    Report,
    Speak,
    SpokenOut,
    StopSpeaking,
    StopWriting,
    Tell,
    Told,
    Utter,
    Write,
    Written,
    WrittenOut,
)
from inferd.voice.settings import Settings
from inferd.voice.turns import State, Turns

RATE_HZ = 8_000
WORDS = ("well", "mhm", "yes", "stop", "what", "about", "the", "sea", "uh")
ANSWER = ("It ", "is ", "wide. ", "And ", "deep, ", "too. ", "Very ", "old.")


@dataclass
class Voice:
    """What the world knows of one epoch."""

    fed: list[str] = field(default_factory=list)
    complete: bool = False
    stopped: bool = False
    over: bool = False
    held: bool = False
    sound: bytearray = field(default_factory=bytearray)
    """As it came."""
    handed: bytearray = field(default_factory=bytearray)
    end_ms: int = 0
    char: int = 0
    at_s: float = 0.0
    """When its latest sound comes: a stream keeps its order."""


class World:
    """One schedule. `run` plays it to its end and checks it all along."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - schedules, not secrets
        pick = self.random.choice
        self.settings = Settings(
            preemptive_generation=pick((True, True, False)),
            allow_interruptions=pick((True, True, True, False)),
            interruption_min_words=pick((0, 1, 1, 2)),
            backchannel_window_ms=pick((0, 1_000)),
            half_duplex=pick((False, False, False, True)),
            false_interruption_timeout_ms=pick((500, 2_000)),
            thinking_after_ms=pick((0, 50, 1_000)),
        )
        self.turns = Turns(self.settings, Conversation("Be brief."))
        self.now_s = 100.0
        self.log: list[object] = []
        self._heap: list[tuple[float, int, Happening]] = []
        self._count = itertools.count()
        self._writing: dict[int, str] = {}
        """Attempt → live, done, stopped."""
        self._voices: dict[int, Voice] = {}
        self._utterance = 0
        self._accepted: list[str] = []
        """What the user said and was not ignored."""
        self._sounding: int | None = None
        self._turn = 1
        self._spins = 0

    def run(self) -> None:
        """Play the schedule."""
        at_s = self.now_s
        for _ in range(self.random.randint(1, 5)):
            at_s = self._plan_utterance(at_s + self.random.uniform(0.1, 4.0))
        while self._heap or self.turns.next_s() < float("inf"):
            due_s = self.turns.next_s()
            if self._heap and self._heap[0][0] <= due_s:
                at_s, _, happening = heapq.heappop(self._heap)
                self._spins = 0
                self.step(happening, max(self.now_s, at_s))
            else:
                self._spins = self._spins + 1 if due_s <= self.now_s else 0
                assert self._spins < 5, "the clock is looked at again and again for nothing"
                self.step(Passed(), max(self.now_s, due_s))
        self._check_end()

    def step(self, happening: Happening, now_s: float) -> None:
        """Let something happen, and obey."""
        self.now_s = now_s
        self.log.append(happening)
        if isinstance(happening, WrittenOut) and self._writing.get(happening.attempt) == "live":
            self._writing[happening.attempt] = "done"
        if isinstance(happening, AudioChunk):
            self._voices[happening.epoch].sound += happening.pcm
        orders = self.turns.step(happening, now_s, round((now_s - 100.0) * 1000))
        for order in orders:
            self.log.append(order)
            self._obey(order)
        if any(isinstance(order, StopSpeaking) for order in orders):
            live = [attempt for attempt, state in self._writing.items() if state == "live"]
            assert live == [order.attempt for order in orders if isinstance(order, Write)], (
                "what is cut off is written on"
            )
        if isinstance(happening, Final) and len(happening.text.split()) >= 4 and self.settings.allow_interruptions:
            assert self.turns.state is State.THINKING or self.settings.half_duplex or self._is_early(happening)

    def _is_early(self, happening: Final) -> bool:
        """Return whether the back-channel window, or words that do not count, may have let it pass."""
        return self.settings.backchannel_window_ms > 0 or set(happening.text.split()) <= self.settings.backchannels | {
            ""
        }

    # --- the user

    def _plan_utterance(self, at_s: float) -> float:
        """Plan somebody's speaking, or a noise; return when it is over."""
        self._utterance += 1
        number, said = self._utterance, self.random.choices(WORDS, k=self.random.choice((0, 0, 1, 1, 3, 6)))
        self._plan(at_s, SpeechStarted(number, 0))
        for count in range(1, len(said) + 1):
            at_s += self.random.uniform(0.1, 0.6)
            stable = self.random.randint(0, count)
            end = self.random.choice((".", "", "?"))
            text = " ".join(said[:count]) + (end if count == len(said) else "")
            cut = len(" ".join(said[:stable]))
            for _ in range(self.random.choice((1, 1, 2))):
                self._plan(at_s, Partial(number, text[:cut], text[cut:], 0))
        at_s += self.random.uniform(0.2, 1.0)
        self._plan(at_s, SpeechStopped(number, 0))
        at_s += self.random.uniform(0.0, 0.5)
        text = " ".join(said) if self.random.random() < 0.9 else " ".join(said[:1])
        self._plan(at_s, Final(number, text, 0, 0))
        if self.random.random() < 0.05:
            self._plan(at_s, Partial(number, "late", "", 0))
        if self.random.random() < 0.1:
            other: Happening = self.random.choice((Hush(), Utter("Hello there."), Told(300)))
            self._plan(at_s + self.random.uniform(0.0, 2.0), other)
        return at_s

    def _plan(self, at_s: float, happening: Happening) -> None:
        heapq.heappush(self._heap, (at_s, next(self._count), happening))

    # --- the orders

    def _obey(self, order: object) -> None:
        match order:
            case Write():
                self._write(order)
            case StopWriting():
                assert self._writing[order.attempt] == "live"
                self._writing[order.attempt] = "stopped"
            case Speak():
                assert not any(self._is_live(voice) for voice in self._voices.values()), "two answers at once"
                assert order.epoch not in self._voices
                self._voices[order.epoch] = Voice()
                self._plan(self.now_s, AudioStarted(RATE_HZ, epoch=order.epoch))
            case Feed():
                self._feed(order, self._voices[order.epoch])
            case Hold():
                voice = self._voices[order.epoch]
                assert voice.held != order.held
                voice.held = order.held
            case Report():
                assert not self._voices[order.epoch].stopped
            case StopSpeaking():
                self._stop(order, self._voices[order.epoch])
            case Tell():
                self._hear(order.event)

    def _is_live(self, voice: Voice) -> bool:
        return not voice.stopped and not voice.over

    def _write(self, order: Write) -> None:
        roles = [message.role for message in order.messages]
        assert roles[-1] == "user"
        assert all(one != other for one, other in itertools.pairwise(roles)), roles
        assert not any(state == "live" for state in self._writing.values()), "two attempts at once"
        self._writing[order.attempt] = "live"
        at_s = self.now_s + self.random.uniform(0.0, 1.5)
        for piece in ANSWER[: self.random.randint(0, len(ANSWER))]:
            self._plan(at_s, Written(order.attempt, piece))
            at_s += self.random.uniform(0.0, 0.4)
        failure = ModelFailed("it died") if self.random.random() < 0.05 else None
        self._plan(at_s, WrittenOut(order.attempt, failure))

    def _feed(self, order: Feed, voice: Voice) -> None:
        assert not voice.complete
        assert not voice.stopped
        if order.text is None:
            voice.complete = True
            self._plan(max(voice.at_s, self.now_s + 0.01), SpokenOut(order.epoch))
            return
        voice.fed.append(order.text)
        at_s = voice.at_s = max(voice.at_s, self.now_s + self.random.uniform(0.02, 0.25))
        for word in order.text.split():
            length_ms = self.random.choice((80, 200, 400))
            first = "".join(voice.fed).index(word, voice.char)
            voice.char = first + len(word)
            self._plan(at_s, Word(word, voice.end_ms, voice.end_ms + length_ms, first, voice.char, order.epoch))
            voice.end_ms += length_ms
            self._plan(at_s, AudioChunk(Blob(self.random.randbytes(length_ms * 16)), RATE_HZ, order.epoch))
        if self.random.random() < 0.02:
            self._plan(at_s, SpokenOut(order.epoch, ModelFailed("it died")))

    def _stop(self, order: StopSpeaking, voice: Voice) -> None:
        assert not voice.stopped
        voice.stopped = True
        at_s = max(voice.at_s, self.now_s)
        for _ in range(self.random.randint(0, 3)):  # what was on its way
            at_s += self.random.uniform(0.0, 1.5)
            self._plan(at_s, Word("stale", 0, 1, 0, 99, order.epoch))
            self._plan(at_s, AudioChunk(Blob(self.random.randbytes(3_200)), RATE_HZ, order.epoch))
        self._plan(at_s, SpokenOut(order.epoch, Cancelled("as wished")))

    # --- what the app is told

    def _hear(self, event: told.VoiceEvent) -> None:
        match event:
            case AudioChunk():
                voice = self._voices[event.epoch]
                assert self._is_live(voice), "stale sound"
                assert not voice.held, "sound out of a pause"
                assert self._sounding == event.epoch
                assert event.first_sample == len(voice.handed) // 2
                voice.handed += event.pcm
                assert voice.sound.startswith(voice.handed)
            case told.AgentStartedSpeaking():
                assert self._sounding is None
                assert event.epoch == max(self._voices)
                self._sounding = event.epoch
            case told.AgentStoppedSpeaking():
                assert self._sounding is not None
                if not self._voices[self._sounding].stopped:
                    self._voices[self._sounding].over = True
                self._sounding = None
            case told.FinalTranscript():
                if not event.ignored and event.text:
                    self._accepted.append(event.text)
            case told.TurnEnded():
                self._end_turn(event.turn)
            case told.Failed() | told.Thinking() | told.ReplyDelta() | told.Interrupted():
                assert event.turn == self._turn

    def _end_turn(self, turn: told.Turn) -> None:
        assert turn.number == self._turn
        self._turn += 1
        epoch = max(self._voices)
        voice = self._voices[epoch]
        voice.over = True
        assert "".join(voice.fed).startswith(turn.agent_text)
        if turn.user_text:
            assert turn.user_text.split() == " ".join(self._accepted).split()
        self._accepted.clear()

    def _check_end(self) -> None:
        """Nobody speaks any more: everything has come to its one end."""
        assert self.turns.state is State.LISTENING
        assert not self.turns.is_busy
        assert not any(self._is_live(voice) for voice in self._voices.values())
        roles = [message.role for message in self.turns.conversation.messages]
        assert roles[0] == "system"
        assert all(one != other for one, other in itertools.pairwise(roles)), roles
        for epoch, voice in self._voices.items():
            assert voice.complete or voice.stopped or not voice.fed or self._has_failed(epoch)

    def _has_failed(self, epoch: int) -> bool:
        return any(isinstance(one, SpokenOut) and one.epoch == epoch and one.failure for one in self.log)
