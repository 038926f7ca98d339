"""Streams of speech on machines of any speed: utterances, partial and final texts, and how much sound is kept.

The model is an oracle with a clock that jumps: it knows which words end where, and takes as long as the case says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy")

from inferd.messages.speech import Final, Partial, SpeechStarted, SpeechStopped, TranscribeStream  # noqa: E402
from inferd_actors.engine import EngineEvent  # noqa: E402
from inferd_actors.engines.faster_whisper.cadence import TOO_SLOW  # noqa: E402
from inferd_actors.engines.faster_whisper.hearing import Heard, HeardSegment, HeardWord, Pass  # noqa: E402
from inferd_actors.engines.faster_whisper.listening import SOUND_MOST, Listening  # noqa: E402
from inferd_actors.engines.faster_whisper.sound import FRAME, FRAME_S, Frame  # noqa: E402
from inferd_actors.engines.faster_whisper.utterance import SENTENCE_LEAST  # noqa: E402

WORD = 12
"""Frames that a word takes, 0.38 s."""


@dataclass
class Talk:
    """What is said: words and pauses, frame by frame. The samples of a frame say which word it belongs to; 0: silence."""

    frames: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def say(self, words: Sequence[str], pause: int) -> None:
        for word in words:
            self.texts.append(word)
            self.frames += [len(self.texts)] * WORD
        self.frames += [0] * pause


def oracle(talk: Talk, asked: Pass, began_s: float, pass_s: float) -> Heard:
    """Return the words whose frames are, by more than half, in the sound of the pass."""
    numbers = asked.sound.reshape(-1, FRAME)[:, 0].astype(int)
    found = [int(one) for one in dict.fromkeys(numbers.tolist()) if one and np.sum(numbers == one) * 2 > WORD]
    ends_s = [(int(np.flatnonzero(numbers == one)[-1]) + 1) * FRAME_S for one in found]
    words = tuple(
        HeardWord(f" {talk.texts[one - 1]}", end_s - WORD * FRAME_S, end_s, 0.9)
        for one, end_s in zip(found, ends_s, strict=True)
    )
    timed = words if asked.with_words else ()
    segments = (HeardSegment("".join(one.text for one in words), 0.0, asked.sound_s, timed),) if words else ()
    return Heard(segments, "en", 1.0, began_s, pass_s)


@dataclass
class Run:
    """A stream listened to from its first frame to its last text."""

    talk: Talk
    asked: TranscribeStream
    rtf: float
    """Of the model: seconds of each second that it hears, and a tenth of a second for each pass."""
    pace: float = 1.0
    """Seconds between a second of sound and the next one; 0: all is fed at once."""
    deaf_once: bool = False
    """Whether the first clean pass of 8 s or more brings nothing."""
    ends_early: bool = False
    """Whether rough hearings take the end of a sentence for the end of all."""
    events: list[EngineEvent] = field(default_factory=list)
    most_frames: int = 0
    clean_s: float = 0.0
    """Of sound in all clean passes."""
    now_s: float = 0.0

    def play(self) -> Listening:
        listening = Listening(self.asked)
        waiting = [
            Frame(np.full(FRAME, one, np.float32), float(one > 0), at * FRAME_S * self.pace)
            for at, one in enumerate(self.talk.frames)
        ]
        waiting.reverse()
        in_hand: tuple[Heard, float] | None = None
        over = False
        while not (over and listening.is_done):
            while waiting and waiting[-1].arrived_s <= self.now_s and not listening.is_full:
                self.events += listening.take(waiting.pop(), self.now_s)
                self.most_frames = max(self.most_frames, listening._sound.end - listening._sound.first)
            if not waiting and not over and not listening.is_full:
                over = True
                self.events += listening.finish(self.now_s)
            if in_hand and in_hand[1] <= self.now_s:
                self.events += listening.heard(in_hand[0], self.now_s)
                in_hand = None
                continue
            if in_hand is None and (wish := listening.wish(self.now_s, 1)) is not None:
                asked = listening.pass_of(wish)
                pass_s = 0.1 + asked.sound_s * self.rtf
                self.clean_s += asked.sound_s * (asked.care == "clean")
                in_hand = self._heard(asked, pass_s), self.now_s + pass_s
            self.now_s = self._next_s(in_hand, waiting, listening)
        return listening

    def _heard(self, asked: Pass, pass_s: float) -> Heard:
        heard = oracle(self.talk, asked, self.now_s, pass_s)
        if self.deaf_once and asked.care == "clean" and asked.sound_s >= SENTENCE_LEAST * FRAME_S:
            self.deaf_once = False
            return replace(heard, segments=())
        if not self.ends_early or asked.care == "clean" or "." not in heard.text:
            return heard
        (segment,) = heard.segments
        words = segment.words[: segment.text[: segment.text.index(".")].count(" ")]
        first = replace(segment, text=segment.text[: segment.text.index(".") + 1], words=words)
        return replace(heard, segments=(first,))

    def _next_s(self, in_hand: tuple[Heard, float] | None, waiting: list[Frame], listening: Listening) -> float:
        coming = [waiting[-1].arrived_s] if waiting and not listening.is_full else []
        due = [*([in_hand[1]] if in_hand else []), *coming]
        assert due or not waiting, "nothing will ever happen"
        return max(self.now_s, min(due, default=self.now_s))

    def of(self, kind: type) -> list[EngineEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def text(self) -> str:
        return " ".join(event.text for event in self.events if isinstance(event, Final) and event.text)


def test_a_partial_that_waits_gets_no_younger() -> None:
    """Else whoever has waited from a fixed moment on, as the pieces of files do, always goes first."""
    listening, wishes = Listening(TranscribeStream()), []
    for at in range(100):
        listening.take(Frame(np.ones(FRAME, np.float32), 1.0, at * FRAME_S), at * FRAME_S)
        wishes.append(listening.wish(at * FRAME_S, 1))
    waiting = [wish for wish in wishes if wish is not None]
    assert len(waiting) > 50
    assert {wish.since_s for wish in waiting} == {waiting[0].since_s}
    assert waiting[-1].newest_s == 99 * FRAME_S


SENTENCES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["red", "green", "blue", "and", "grey."]), min_size=1, max_size=30),
        st.integers(1, 120),
    ),
    min_size=1,
    max_size=5,
)


def talk_of(sentences: Sequence[tuple[Sequence[str], int]]) -> Talk:
    talk = Talk()
    for words, pause in sentences:
        talk.say(words, pause)
    return talk


@settings(max_examples=60)
@given(SENTENCES, st.floats(0.0, 1.5), st.sampled_from([0.0, 0.2, 1.0]), st.booleans())
def test_every_word_is_in_one_final_text_on_any_machine(
    sentences: list[tuple[list[str], int]],
    rtf: float,
    pace: float,
    partials: bool,  # noqa: FBT001 - drawn
) -> None:
    run = Run(talk_of(sentences), TranscribeStream(partials=partials), rtf, pace)
    run.play()
    assert run.text.split() == run.talk.texts
    for kind in (SpeechStarted, SpeechStopped, Final):
        numbers = [event.utterance for event in run.of(kind)]  # type: ignore[union-attr]
        assert numbers == list(range(1, len(numbers) + 1))
    order = [type(event) for event in run.events if not isinstance(event, Partial)]
    assert order.count(SpeechStarted) == order.count(SpeechStopped) == order.count(Final)


@settings(max_examples=60)
@given(SENTENCES, st.floats(0.0, 0.9), st.integers(0, 400))
def test_stable_text_is_a_growing_prefix_under_any_cut_of_the_sound(
    sentences: list[tuple[list[str], int]], rtf: float, cut: int
) -> None:
    talk = talk_of(sentences)
    talk.frames = talk.frames[cut:]
    run = Run(talk, TranscribeStream(), rtf)
    run.play()
    stable: dict[int, str] = {}
    for event in run.events:
        if isinstance(event, Partial):
            assert event.stable.startswith(stable.get(event.utterance, ""))
            stable[event.utterance] = event.stable


@settings(max_examples=40)
@given(SENTENCES, st.floats(0.0, 2.0), st.floats(0.0, 2.0), st.sampled_from([0.0, 1.0]))
def test_where_utterances_end_does_not_depend_on_the_machine(
    sentences: list[tuple[list[str], int]], one_rtf: float, other_rtf: float, pace: float
) -> None:
    runs = [
        Run(talk_of(sentences), TranscribeStream(), one_rtf),
        Run(talk_of(sentences), TranscribeStream(), other_rtf, pace),
    ]
    for run in runs:
        run.play()
    assert [one.end_ms for one in runs[0].of(Final)] == [one.end_ms for one in runs[1].of(Final)]  # type: ignore[union-attr]


def test_ten_minutes_of_talk_on_a_machine_that_is_too_slow_keep_a_bounded_sound() -> None:
    talk = talk_of([(["red", "green", "blue"] * 14, 5)] * 36)  # pauses of 0.16 s end nothing
    assert len(talk.frames) * FRAME_S > 560
    run = Run(talk, TranscribeStream(), 1.1)
    listening = run.play()
    assert run.most_frames <= SOUND_MOST
    assert run.text.split() == talk.texts
    assert listening.thinned == [1]
    assert len(run.of(Partial)) <= TOO_SLOW + 5


def test_a_sentence_that_is_finished_ends_sooner_than_one_that_is_not() -> None:
    for last, pause_ms in (("grey.", 500), ("and", 2_500)):
        talk = talk_of([(["red", last], 200)])
        run = Run(talk, TranscribeStream(partials=False), 0.05)
        run.play()
        at = [type(event) for event in run.events].index(SpeechStopped)
        assert at == 1
        stopped = run.of(SpeechStopped)[0]
        assert isinstance(stopped, SpeechStopped)
        assert stopped.end_ms == 2 * WORD * 32
        assert run.of(Final)[0].lag_ms == 0, pause_ms  # type: ignore[union-attr]


def test_a_pause_within_a_sentence_ends_nothing() -> None:
    run = Run(talk_of([(["red", "and"], 30), (["green", "grey."], 40)]), TranscribeStream(), 0.05)
    run.play()
    assert len(run.of(Final)) == 1
    assert run.text == "red and green grey."


def test_a_stream_without_partials_has_none() -> None:
    run = Run(talk_of([(["red"] * 20, 40)]), TranscribeStream(partials=False), 0.05)
    run.play()
    assert not run.of(Partial)
    assert run.text.split() == ["red"] * 20


def test_partial_texts_follow_the_speaker() -> None:
    words = [f"w{at}" for at in range(60)]
    run = Run(talk_of([(words, 40)]), TranscribeStream(), 0.1)
    run.play()
    partials = [event for event in run.events if isinstance(event, Partial)]
    assert len(partials) > 10
    assert all(event.lag_ms < 2_500 for event in partials)
    said = (partials[-1].stable + partials[-1].tentative).split()
    assert said == words[: len(said)]
    assert len(said) > 50


def test_partial_texts_go_on_where_the_model_takes_the_end_of_a_sentence_for_the_end_of_all() -> None:
    words = [f"w{at}" for at in range(20)]
    run = Run(talk_of([(["red", "grey.", *words], 40)]), TranscribeStream(), 0.1, ends_early=True)
    run.play()
    last = run.of(Partial)[-1]
    assert isinstance(last, Partial)
    said = (last.stable + last.tentative).split()
    assert said == ["red", "grey.", *words][: len(said)]
    assert len(said) > 15


def test_clean_passes_at_pauses_do_not_grow_with_the_talk() -> None:
    talk = talk_of([(["red", "green", "blue", "red", "grey."], 8)] * 40)  # pauses of 0.26 s end nothing
    run = Run(talk, TranscribeStream(), 0.05)
    run.play()
    assert len(run.of(Final)) == 1
    assert run.text.split() == talk.texts
    assert run.clean_s < 3.5 * len(talk.frames) * FRAME_S


def test_a_clean_pass_at_a_pause_that_brought_nothing_is_made_again() -> None:
    talk = talk_of([(["red", "green", "blue", "red", "grey."], 8)] * 6)
    run = Run(talk, TranscribeStream(), 0.01, deaf_once=True)
    run.play()
    assert not run.deaf_once
    assert run.text.split() == talk.texts


def test_at_a_pause_the_whole_text_is_told_before_it_is_final() -> None:
    first, second = ["red", "green", "grey."], ["blue", "red", "grey."]
    run = Run(talk_of([(first, 12), (second, 40)]), TranscribeStream(), 0.01)  # a pause of 0.38 s ends nothing
    run.play()
    told = [event for event in run.events if isinstance(event, Partial) and event.at_pause]
    assert [(one.stable + one.tentative).split() for one in told] == [first, [*first, *second]]
    kinds = [type(event) for event in run.events]
    assert kinds.index(SpeechStopped) > run.events.index(told[-1])
    assert kinds.count(Final) == 1


def test_nothing_is_told_at_a_pause_of_a_stream_without_partials() -> None:
    run = Run(talk_of([(["red", "grey."], 12), (["red", "grey."], 40)]), TranscribeStream(partials=False), 0.1)
    run.play()
    assert {type(event) for event in run.events} == {SpeechStarted, SpeechStopped, Final}
