"""Who speaks: the turn taking of a voice session, as a machine that takes happenings and gives orders.

Covers: beginning ahead, confirming, interrupting, resuming, what is stale, what is remembered. Does not cover what ends an
answer (`barge_in`), nor streams, tasks and the clock: `session` drives it and passes the time in. Pure.

| state     | the user speaks                         | words of the user's      | the text of a turn is final            |
|-----------|-----------------------------------------|--------------------------|----------------------------------------|
| listening | an answer may be begun ahead            |                          | it is answered: thinking               |
| thinking  | nothing sounds until it is known what   | the answer is dropped,   | if it says something it is added, and  |
|           | it is                                   | listening                | both are answered                      |
| speaking  | the answer is held at once              | it is cut off, listening | if it says enough: cut off, answered   |

A hold without words ends after `false_interruption_timeout_ms`, or when the utterance turns out to be none. Whatever belongs
to another attempt or epoch than the present one changes nothing: that is how a cancelled answer stays silent.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, assert_never

from inferd.effects import NEVER_S
from inferd.messages.events import AudioChunk
from inferd.messages.speech import AudioStarted, Partial, SpeechStarted, SpeechStopped, Word
from inferd.messages.speech import Final as FinalText
from inferd.voice.answer import Answer, Attempt, Utterance
from inferd.voice.barge_in import interrupts, is_echo
from inferd.voice.events import (
    AgentStoppedSpeaking,
    Failed,
    FinalTranscript,
    Interrupted,
    PartialTranscript,
    ReplyDelta,
    Turn,
    TurnEnded,
    UserStartedSpeaking,
    UserStoppedSpeaking,
)
from inferd.voice.orders import (
    Feed,
    Hush,
    Passed,
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
from inferd.voice.playback import Playback
from inferd.voice.wording import joined, looks_finished, same

if TYPE_CHECKING:
    from inferd.voice.conversation import Conversation
    from inferd.voice.events import VoiceEvent
    from inferd.voice.orders import Happening, Order
    from inferd.voice.settings import Settings


class State(Enum):
    """Whose turn it is."""

    LISTENING = "listening"
    THINKING = "thinking"
    """Something is to be answered, and nothing of it has been heard."""
    SPEAKING = "speaking"
    INTERRUPTED = "interrupted"
    """The answer is held: somebody speaks, and it is not known yet whether they say something."""


class Turns:
    """One conversation. `step` is its only way in; it returns what is to be done, in order."""

    def __init__(self, settings: Settings, conversation: Conversation) -> None:
        self.conversation = conversation
        self._settings = settings
        self._now_s = 0.0
        self._listened_ms = 0
        self._orders: list[Order] = []
        self._utterance: Utterance | None = None
        self._said = ""
        """What the user has said in this turn, as far as it is final."""
        self._attempt: Attempt | None = None
        """The answer that is being written."""
        self._answer: Answer | None = None
        """The same once it is spoken."""
        self._last_answer: Answer | None = None
        """The present one, or the one before: what may come back through the microphone."""
        self._finals = 0
        """The last utterance whose text is final."""
        self._attempts = 0
        self._epoch = 0
        self._turn = Turn(1)

    @property
    def state(self) -> State:
        """Whose turn it is."""
        if self._answer is None:
            return State.LISTENING
        if self._answer.held_s is not None:
            return State.INTERRUPTED
        return State.THINKING if self._answer.sounding_s is None else State.SPEAKING

    @property
    def is_busy(self) -> bool:
        """Whether somebody speaks, or is to be answered."""
        return self._answer is not None or self._utterance is not None

    def step(self, happening: Happening, now_s: float, listened_ms: int = 0) -> list[Order]:
        """Take what has happened; return what is to be done about it. `listened_ms`: how much sound has been sent so far."""
        self._now_s, self._listened_ms = now_s, listened_ms
        match happening:
            case SpeechStarted():
                self._on_start(happening)
            case Partial():
                self._on_partial(happening)
            case SpeechStopped():
                self._on_stop(happening)
            case FinalText():
                self._on_final(happening)
            case Written() | WrittenOut():
                self._on_text(happening)
            case AudioStarted() | AudioChunk() | Word() | SpokenOut():
                self._on_sound(happening)
            case Told():
                self._on_told(happening)
            case Hush():
                self._interrupt(for_good=True)
            case Utter():
                self._on_utter(happening)
            case Passed():
                pass
            case _:
                assert_never(happening)
        self._settle()
        orders, self._orders = self._orders, []
        return orders

    def next_s(self) -> float:
        """Return when `Passed` has something to do at the earliest."""
        answer, settings = self._answer, self._settings
        if answer is None:
            return NEVER_S
        due_s = [answer.playback.next_s(self._now_s)]
        if answer.held_s is not None:
            due_s.append(answer.held_s + settings.false_interruption_timeout_ms / 1000)
        elif not answer.thinking and not answer.playback.waits and not answer.playback.complete:
            due_s.append(answer.silent_s + settings.thinking_after_ms / 1000)
        if self._utterance and settings.words_to_interrupt == 0 and settings.allow_interruptions:
            due_s.append(self._utterance.started_s + settings.interruption_min_ms / 1000)
        return min(due_s)

    # --- what the user says

    def _on_start(self, event: SpeechStarted) -> None:
        into_answer = self._answer is not None
        self._utterance = Utterance(event.utterance, self._now_s, into_answer=into_answer)
        self._tell(UserStartedSpeaking(event.utterance))
        if self._answer and self._settings.allow_interruptions and not self._settings.half_duplex:
            self._orders += self._answer.hold(self._now_s)

    def _on_partial(self, event: Partial) -> None:
        if event.utterance <= self._finals:
            return
        text = event.stable + event.tentative
        utterance = self._utterance or Utterance(event.utterance, self._now_s, into_answer=self._answer is not None)
        again, utterance.text, self._utterance = same(utterance.text, text), text, utterance
        utterance.heard_ms = event.end_ms
        self._tell(PartialTranscript(event.utterance, event.stable, event.tentative))
        if self._answer is not None:
            if self._cuts_off(utterance, text):
                self._interrupt()
        elif (again or event.at_pause or not event.tentative.strip()) and looks_finished(text):
            self._begin_ahead(text)
        elif self._attempt and not same(self._attempt.asked, joined(self._said, text)):
            self._drop_attempt()

    def _on_stop(self, event: SpeechStopped) -> None:
        self._tell(UserStoppedSpeaking(event.utterance))
        if self._utterance:
            self._utterance.ended_s = self._now_s
            self._utterance.silence_ms = max(0, self._listened_ms - event.end_ms)
            if self._answer is None and self._utterance.heard_ms >= event.end_ms:  # else words are missing in it
                self._begin_ahead(self._utterance.text)

    def _on_final(self, event: FinalText) -> None:
        utterance = self._utterance or Utterance(event.utterance, self._now_s, into_answer=self._answer is not None)
        self._utterance, self._finals = None, event.utterance
        if self._cuts_off(utterance, event.text):
            self._interrupt()
        unheard = not self._settings.allow_interruptions or is_echo(self._settings, self._last_answer, event.text)
        ignored = self._answer is not None or (utterance.into_answer and unheard)
        self._tell(FinalTranscript(event.utterance, event.text, ignored=ignored and bool(event.text)))
        if self._answer is not None:
            self._orders += self._answer.resume(self._now_s)
            return
        if not ignored:
            self._said = joined(self._said, event.text)
        if self._said:
            self._turn = replace(
                self._turn,
                transcript_s=self._now_s,
                endpoint_s=utterance.ended_s or self._now_s,
                silence_ms=utterance.silence_ms,
            )
            self._confirm()
        else:
            self._drop_attempt()

    def _cuts_off(self, utterance: Utterance, text: str) -> bool:
        return self._answer is not None and interrupts(self._settings, self._answer, utterance, text, self._now_s)

    # --- the answer's text

    def _begin_ahead(self, text: str) -> None:
        """Have an answer written before it is known that the turn is over."""
        asked = joined(self._said, text)
        if self._settings.preemptive_generation and asked and not (self._attempt and same(self._attempt.asked, asked)):
            self._write(asked)

    def _write(self, asked: str) -> None:
        self._drop_attempt()
        self._attempts += 1
        self._attempt = Attempt(self._attempts, asked, self._now_s)
        self._orders.append(Write(self._attempts, self.conversation.asking(asked)))

    def _drop_attempt(self) -> None:
        if self._attempt and not self._attempt.complete:
            self._orders.append(StopWriting(self._attempt.number))
        self._attempt = None

    def _confirm(self) -> None:
        """Let the answer be spoken: the turn is the user's no more."""
        if self._attempt is None or not same(self._attempt.asked, self._said):
            self._write(self._said)
        if self._attempt:
            self._speak(self._attempt)

    def _speak(self, attempt: Attempt) -> None:
        self._epoch += 1
        playback = Playback(self._epoch, self._settings.output_lead_ms)
        self._answer = self._last_answer = Answer(self._turn.number, attempt, playback, self._now_s)
        self._orders.append(Speak(self._epoch))
        for piece in attempt.pieces:
            self._feed(piece)
        if attempt.complete:
            self._orders.append(Feed(self._epoch, None))

    def _feed(self, text: str) -> None:
        if self._answer and text:
            self._answer.script.give(text)
            self._orders.append(Feed(self._answer.epoch, text))
            self._tell(ReplyDelta(self._answer.turn, text))

    def _on_text(self, happening: Written | WrittenOut) -> None:
        attempt = self._attempt
        if attempt is None or attempt.number != happening.attempt:
            return
        if isinstance(happening, Written):
            attempt.write(happening.text, self._now_s)
            self._feed(happening.text)
            return
        attempt.complete, attempt.warnings = True, happening.warnings
        if happening.failure:
            self._tell(Failed(self._turn.number, "reply", happening.failure))
        if self._answer:
            self._orders.append(Feed(self._answer.epoch, None))
        elif happening.failure:  # of an answer begun ahead: the final text gets another try
            self._attempt = None

    def _on_utter(self, happening: Utter) -> None:
        if self._answer is None and self._utterance is None and happening.text.strip():
            self._drop_attempt()
            self._attempts += 1
            self._attempt = Attempt(self._attempts, "", self._now_s, complete=True)
            self._attempt.write(happening.text, self._now_s)
            self._speak(self._attempt)

    # --- the answer's sound

    def _on_sound(self, happening: AudioStarted | AudioChunk | Word | SpokenOut) -> None:
        answer = self._answer
        if answer is None or answer.epoch != happening.epoch:
            return
        match happening:
            case AudioChunk():
                answer.playback.push(happening)
            case Word():
                answer.script.word(happening)
            case SpokenOut():
                answer.playback.complete = True
                answer.script.complete = happening.failure is None
                if happening.failure:
                    self._tell(Failed(answer.turn, "speech", happening.failure))
                    self._drop_attempt()

    def _on_told(self, happening: Told) -> None:
        if self._answer and happening.epoch in (None, self._answer.epoch):
            self._answer.playback.told_ms = happening.played_ms

    def _interrupt(self, *, for_good: bool = False) -> None:
        """Cut the answer off. Before its first sound the user has only gone on speaking, and the turn goes on.

        `for_good`: it is over all the same.
        """
        answer = self._answer
        if answer is None:
            return
        heard = answer.heard(self._now_s)
        self._drop_attempt()
        self._orders.append(StopSpeaking(answer.epoch, heard.played_ms))
        self._tell(Interrupted(answer.turn, heard.text, heard.played_ms))
        self._answer = None
        if answer.sounding_s is not None:
            self._tell(AgentStoppedSpeaking(answer.turn))
        if answer.sounding_s is not None or for_good:
            self._end_turn(answer, heard.text, interrupted=True)

    def _finish(self, answer: Answer) -> None:
        self._drop_attempt()
        self._answer = None
        if answer.sounding_s is not None:
            self._tell(AgentStoppedSpeaking(answer.turn))
        self._end_turn(answer, answer.heard(self._now_s).text, interrupted=False)

    def _end_turn(self, answer: Answer, agent_text: str, *, interrupted: bool) -> None:
        self.conversation.add(self._said, agent_text)
        turn = replace(
            self._turn,
            user_text=self._said,
            agent_text=agent_text,
            interrupted=interrupted,
            reply_s=answer.attempt.began_s,
            first_text_s=answer.attempt.first_text_s,
            first_audio_s=answer.sounding_s,
            ended_s=self._now_s,
            warnings=answer.attempt.warnings,
        )
        self._said = ""
        self._turn = Turn(turn.number + 1)
        self._tell(TurnEnded(turn))

    # --- the clock

    def _settle(self) -> None:
        """Do what the time has brought."""
        answer = self._answer
        if answer is None:
            return
        if (
            answer.held_s is not None
            and self._now_s >= answer.held_s + self._settings.false_interruption_timeout_ms / 1000
        ):
            self._orders += answer.resume(self._now_s)
        utterance = self._utterance
        if utterance and self._settings.words_to_interrupt == 0 and self._cuts_off(utterance, utterance.text):
            self._interrupt()
            return
        self._orders += answer.play(self._now_s, self._settings.thinking_after_ms)
        if answer.playback.is_over(self._now_s):  # also while it is held: there was nothing left of it to hold
            self._finish(answer)

    def _tell(self, event: VoiceEvent) -> None:
        self._orders.append(Tell(event))
