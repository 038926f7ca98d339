"""Who speaks, decided without streams and clocks: each rule by itself, then all of them in thousands of made-up schedules."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voice_world import World

from inferd.errors import InvalidRequest, ModelFailed
from inferd.messages.bounds import Blob
from inferd.messages.events import AudioChunk
from inferd.messages.operations import Message
from inferd.messages.speech import AudioStarted, Final, Partial, SpeechStarted, SpeechStopped, Word
from inferd.voice import (
    AgentPaused,
    AgentResumed,
    AgentStartedSpeaking,
    AgentStoppedSpeaking,
    Failed,
    FinalTranscript,
    Interrupted,
    ReplyDelta,
    Settings,
    State,
    Thinking,
    TurnEnded,
    UserStartedSpeaking,
)
from inferd.voice.conversation import Conversation
from inferd.voice.orders import (
    Feed,
    Happening,
    Hold,
    Hush,
    Order,
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
from inferd.voice.playback import Playback
from inferd.voice.turns import Turns
from inferd.voice.wording import looks_finished, telling

RATE_HZ = 8_000


class Talk:
    """A machine, and what it has ordered."""

    def __init__(self, **settings: object) -> None:
        self.turns = Turns(Settings(**settings), Conversation("Be brief."))  # type: ignore[arg-type]
        self.now_s = 10.0
        self.orders: list[Order] = []

    def happen(self, *happenings: Happening, after_ms: int = 0) -> list[Order]:
        """Let things happen, `after_ms` later; return what was ordered, sound left out."""
        self.now_s += after_ms / 1000
        orders = [order for one in happenings for order in self.turns.step(one, self.now_s, 5_000)]
        self.orders += orders
        return [order for order in orders if not (isinstance(order, Tell) and isinstance(order.event, AudioChunk))]

    def wait(self, milliseconds: int) -> list[Order]:
        """Let time pass, looking whenever something is due."""
        until_s, orders = self.now_s + milliseconds / 1000, []
        while (due_s := self.turns.next_s()) <= until_s:
            self.now_s = max(self.now_s, due_s)
            orders += self.happen(Passed())
        self.now_s = until_s
        return [*orders, *self.happen(Passed())]

    def user_says(self, text: str, number: int = 1) -> list[Order]:
        """Let the user say something, start to end."""
        partial = Partial(number, "", text, 0)
        return self.happen(
            SpeechStarted(number, 0), partial, SpeechStopped(number, 4_500), Final(number, text, 0, 4_500)
        )

    def answer(self, *words: str, epoch: int = 1, attempt: int = 1) -> None:
        """Let an answer be written and spoken, half a second a word; it has begun to sound."""
        text, char = "", 0
        for at, word in enumerate(words):
            text += word + " "
            self.happen(Written(attempt, word + " "))
            self.happen(Word(word, at * 500, at * 500 + 500, char, char + len(word), epoch))
            self.happen(AudioChunk(Blob(bytes(RATE_HZ)), RATE_HZ, epoch))
            char += len(word) + 1

    def state(self) -> State:
        """Return whose turn it is."""
        return self.turns.state

    def sounded_ms(self) -> int:
        """Return how much sound has been handed out."""
        chunks = [one.event for one in self.orders if isinstance(one, Tell) and isinstance(one.event, AudioChunk)]
        return sum(len(chunk.pcm) // 2 * 1000 // RATE_HZ for chunk in chunks)


def told(orders: list[Order]) -> list[object]:
    return [order.event for order in orders if isinstance(order, Tell)]


def kinds(orders: list[Order]) -> list[type]:
    return [type(order.event) if isinstance(order, Tell) else type(order) for order in orders]


# --- an answer


def test_a_turn_is_written_before_its_text_is_final_and_spoken_after() -> None:
    talk = Talk()
    ahead = talk.happen(SpeechStarted(1, 0), Partial(1, "How deep is it?", "", 0))
    (write,) = [order for order in ahead if isinstance(order, Write)]
    assert write.messages == (Message("system", "Be brief."), Message("user", "How deep is it?"))
    assert told(talk.happen(Written(1, "Very "))) == []
    final = talk.happen(SpeechStopped(1, 0), Written(1, "deep."), Final(1, "how deep is it", 0, 0), WrittenOut(1))
    assert [order for order in final if not isinstance(order, Tell)] == [
        Speak(1),
        Feed(1, "Very "),
        Feed(1, "deep."),
        Feed(1, None),
    ]
    assert talk.state() is State.THINKING


@pytest.mark.parametrize(("text", "begins"), [("How deep is it?", True), ("How deep is", False)])
def test_a_turn_is_written_at_a_pause_if_its_text_looks_finished(text: str, begins: bool) -> None:  # noqa: FBT001 - a case
    talk = Talk()
    assert Write not in kinds(talk.happen(SpeechStarted(1, 0), Partial(1, "How", text.removeprefix("How"), 0)))
    talk.happen(Partial(1, "How", " steep", 0))
    at_pause = talk.happen(Partial(1, "How", text.removeprefix("How"), 0, at_pause=True))
    assert (Write in kinds(at_pause)) is begins


def test_what_was_begun_ahead_is_dropped_when_the_user_said_something_else() -> None:
    talk = Talk()
    talk.happen(SpeechStarted(1, 0), Partial(1, "Stop.", "", 0))
    assert StopWriting(1) in talk.happen(Partial(1, "Stop.", " at the", 0))
    later = talk.happen(SpeechStopped(1, 0), Final(1, "Stop at the sea.", 0, 0))
    assert [order.messages[-1].content for order in later if isinstance(order, Write)] == [
        "Stop. at the",
        "Stop at the sea.",
    ]
    assert talk.happen(Written(1, "stale"), Written(2, "stale")) == []
    assert Feed(1, "new") in talk.happen(Written(3, "new"))


def test_half_a_question_is_not_asked_when_speech_stops() -> None:
    talk = Talk()
    talk.happen(SpeechStarted(1, 0), Partial(1, "Unless to be rather", "", 1_000))
    assert Write not in kinds(talk.happen(SpeechStopped(1, 4_000)))
    whole = talk.happen(Final(1, "Unless to be rather late is rude.", 0, 4_000))
    assert [order.messages[-1].content for order in whole if isinstance(order, Write)] == [
        "Unless to be rather late is rude."
    ]


def test_nothing_is_begun_ahead_when_it_is_not_wanted() -> None:
    talk = Talk(preemptive_generation=False)
    assert Write not in kinds(talk.happen(SpeechStarted(1, 0), Partial(1, "Hello.", "", 0), SpeechStopped(1, 0)))
    assert kinds(talk.happen(Final(1, "Hello.", 0, 0))) == [FinalTranscript, Write, Speak]


def test_no_speech_is_no_turn() -> None:
    talk = Talk()
    assert Write not in kinds(talk.happen(SpeechStarted(1, 0), SpeechStopped(1, 0), Final(1, "", 0, 0)))
    assert talk.state() is State.LISTENING
    assert not talk.turns.is_busy


def test_an_answer_is_played_by_the_clock_and_remembered_when_it_is_over() -> None:
    talk = Talk(output_lead_ms=120)
    talk.user_says("Hello.")
    talk.answer("Good", "day.")
    assert talk.state() is State.SPEAKING
    assert talk.sounded_ms() <= 160
    talk.wait(300)
    assert 400 <= talk.sounded_ms() <= 460
    talk.happen(WrittenOut(1), SpokenOut(1))
    assert Report in kinds(talk.orders)
    assert set(kinds(talk.wait(690))) == {Report}
    assert kinds(talk.wait(20)) == [AgentStoppedSpeaking, TurnEnded]
    assert [message.content for message in talk.turns.conversation.messages] == ["Be brief.", "Hello.", "Good day. "]


def test_dead_air_is_told_once() -> None:
    talk = Talk(thinking_after_ms=1_000)
    talk.user_says("Hello.")
    assert talk.wait(999) == []
    assert told(talk.wait(1)) == [Thinking(1, 1_000)]
    assert talk.wait(5_000) == []
    talk.answer("Good")
    talk.wait(300)
    assert told(talk.wait(1_500)) == [Thinking(1, 1_000)]


def test_the_account_of_a_turn_says_where_its_time_went() -> None:
    talk = Talk()
    talk.happen(SpeechStarted(1, 0), Partial(1, "Hi.", "", 0))
    talk.happen(SpeechStopped(1, 4_400), after_ms=300)
    talk.happen(Final(1, "Hi.", 0, 4_400), after_ms=100)
    talk.happen(Written(1, "Oh. "), after_ms=50)
    talk.happen(AudioChunk(Blob(bytes(1_600)), RATE_HZ, 1), WrittenOut(1), SpokenOut(1), after_ms=70)
    (ended,) = [event for event in told(talk.wait(500)) if isinstance(event, TurnEnded)]
    turn = ended.turn
    assert (turn.silence_ms, turn.first_audio_ms, turn.response_ms) == (600, 220, 820)
    assert turn.stages_ms == {"transcript": 100, "reply": -300, "first_text": 450, "first_audio": 70}
    assert (turn.user_text, turn.agent_text, turn.interrupted) == ("Hi.", "", False)


# --- interruptions


def speaking(**settings: object) -> Talk:
    """Return a talk in the middle of an answer, two seconds after it began."""
    talk = Talk(**settings)
    talk.user_says("Hello.")
    talk.answer("One", "two", "three", "four", "five", "six", "seven", "eight")
    talk.wait(2_000)
    return talk


def test_a_sound_pauses_and_a_word_cuts_off_and_what_was_heard_is_remembered() -> None:
    talk = speaking()
    assert kinds(talk.happen(SpeechStarted(2, 0))) == [UserStartedSpeaking, Hold, AgentPaused]
    assert talk.state() is State.INTERRUPTED
    before_ms = talk.sounded_ms()
    talk.wait(300)
    assert talk.sounded_ms() == before_ms
    cut = talk.happen(Partial(2, "", "wait", 0))
    assert [order for order in cut if not isinstance(order, Tell)] == [StopWriting(1), StopSpeaking(1, 2_120)]
    assert Interrupted(1, "One two three four", 2_120) in told(cut)
    assert talk.state() is State.LISTENING
    stale = (
        AudioChunk(Blob(bytes(800)), RATE_HZ, 1),
        Word("x", 0, 1, 0, 1, 1),
        Written(1, "x"),
        AudioStarted(8_000, "", 1),
    )
    assert talk.happen(*stale, SpokenOut(1), WrittenOut(1)) == []
    (write,) = [order for order in talk.happen(Final(2, "Wait.", 0, 0)) if isinstance(order, Write)]
    assert [message.content for message in write.messages[1:]] == ["Hello.", "One two three four", "Wait."]


def test_a_noise_pauses_for_two_seconds() -> None:
    talk = speaking()
    talk.happen(SpeechStarted(2, 0), SpeechStopped(2, 0))
    assert talk.wait(1_999) == []
    assert Hold(1, held=False) in talk.wait(1)
    assert talk.state() is State.SPEAKING
    before_ms = talk.sounded_ms()
    talk.wait(400)
    assert talk.sounded_ms() >= before_ms + 360


def test_an_utterance_that_says_nothing_is_over_at_once() -> None:
    talk = speaking()
    talk.happen(SpeechStarted(2, 0))
    after = talk.happen(SpeechStopped(2, 0), Final(2, "Mhm.", 0, 0))
    assert told(after)[1:] == [FinalTranscript(2, "Mhm.", ignored=True), AgentResumed(1)]
    assert talk.state() is State.SPEAKING


def test_words_after_a_false_alarm_still_cut_off() -> None:
    talk = speaking()
    talk.happen(SpeechStarted(2, 0))
    talk.wait(2_500)
    assert talk.state() is State.SPEAKING
    assert StopSpeaking in kinds(talk.happen(Partial(2, "", "wait", 0)))


@pytest.mark.parametrize(
    ("settings", "text", "spoken_ms", "cuts"),
    [
        ({"interruption_min_words": 2}, "wait", 900, False),
        ({"interruption_min_words": 2}, "wait please", 900, True),
        ({"interruption_min_words": 0}, "", 499, False),
        ({"interruption_min_words": 0}, "", 500, True),
        ({"allow_interruptions": False}, "wait please stop", 900, False),
        ({"half_duplex": True}, "wait", 900, False),
        ({"half_duplex": True}, "please wait", 900, True),
        ({"half_duplex": True}, "two three four", 900, False),
    ],
)
def test_what_cuts_an_answer_off_can_be_set(
    settings: dict[str, object], text: str, spoken_ms: int, *, cuts: bool
) -> None:
    talk = speaking(**settings)
    talk.happen(SpeechStarted(2, 0))
    talk.wait(spoken_ms)
    talk.happen(Partial(2, "", text, 0))
    assert (StopSpeaking in kinds(talk.orders)) is cuts


def test_short_remarks_right_after_the_beginning_do_not_cut_off() -> None:
    talk = Talk(backchannel_window_ms=1_000)
    talk.user_says("Hello.")
    talk.answer("One", "two", "three", "four", "five", "six")
    talk.wait(500)
    talk.happen(SpeechStarted(2, 0))
    talk.happen(Partial(2, "", "right", 0), after_ms=300)
    assert AgentResumed(1) in told(talk.happen(SpeechStopped(2, 0), Final(2, "Right.", 0, 0)))
    talk.happen(SpeechStarted(3, 0))
    assert StopSpeaking in kinds(talk.happen(Partial(3, "", "but what about", 0), after_ms=600))


def test_without_pauses_our_own_voice_may_come_back_and_is_no_turn() -> None:
    talk = speaking(half_duplex=True)
    assert Hold not in kinds(talk.happen(SpeechStarted(2, 0)))
    talk.happen(WrittenOut(1), SpokenOut(1))
    talk.wait(5_000)
    assert talk.state() is State.LISTENING
    last = talk.happen(SpeechStopped(2, 0), Final(2, "Seven eight.", 0, 0))
    assert FinalTranscript(2, "Seven eight.", ignored=True) in told(last)
    assert talk.state() is State.LISTENING


def test_who_goes_on_before_the_answer_sounds_gets_one_answer_to_both() -> None:
    talk = Talk()
    talk.user_says("I would like")
    talk.happen(Written(1, "What? "))
    assert Hold(1, held=True) in talk.happen(SpeechStarted(2, 0))
    assert talk.happen(AudioChunk(Blob(bytes(800)), RATE_HZ, 1)) == []
    cut = talk.happen(Partial(2, "", "a boat", 0))
    assert StopSpeaking(1, 0) in cut
    assert AgentStoppedSpeaking not in kinds(cut)
    after = talk.happen(SpeechStopped(2, 0), Final(2, "a boat.", 0, 0))
    (write,) = [order for order in after if isinstance(order, Write)]
    assert write.messages[-1] == Message("user", "I would like a boat")
    assert Speak(2) in after


def test_a_cough_before_the_answer_sounds_only_delays_it() -> None:
    talk = Talk()
    talk.user_says("Hello.")
    talk.happen(SpeechStarted(2, 0))
    talk.answer("Good")
    assert talk.sounded_ms() == 0
    talk.happen(SpeechStopped(2, 0), Final(2, "", 0, 0))
    assert talk.sounded_ms() > 0
    assert AgentStartedSpeaking(1, 1) in told(talk.orders)


def test_the_app_may_cut_off_and_may_speak_first() -> None:
    talk = Talk()
    assert told(talk.happen(Utter("Hello there.")))[0] == ReplyDelta(1, "Hello there.")
    assert Feed(1, None) in talk.orders
    assert talk.happen(Utter("Again.")) == []
    talk.happen(AudioChunk(Blob(bytes(80_000)), RATE_HZ, 1), Word("Hello", 0, 400, 0, 5, 1))
    talk.wait(1_000)
    talk.happen(Told(300, 1))
    talk.happen(Told(900, 0))  # late, of an answer before this one
    assert Interrupted(1, "", 300) in told(talk.happen(Hush()))
    assert talk.happen(Hush()) == []
    assert talk.state() is State.LISTENING


# --- failures


def test_an_answer_that_fails_is_told_and_the_talk_goes_on() -> None:
    talk = Talk()
    talk.user_says("Hello.")
    broken = talk.happen(WrittenOut(1, ModelFailed("it died")))
    assert Failed in kinds(broken)
    assert Feed(1, None) in broken
    talk.happen(SpokenOut(1))
    assert talk.state() is State.LISTENING
    assert Speak(2) in talk.user_says("Again.", 2)


def test_a_voice_that_fails_ends_the_turn_behind_what_has_come() -> None:
    talk = speaking()
    failed = talk.happen(SpokenOut(1, ModelFailed("it died")))
    assert StopWriting(1) in failed
    talk.wait(3_000)
    assert talk.state() is State.LISTENING
    assert talk.turns.conversation.messages[-1].role == "assistant"


def test_a_failure_ahead_gives_the_final_text_another_try() -> None:
    talk = Talk()
    talk.happen(SpeechStarted(1, 0), Partial(1, "Hi.", "", 0), WrittenOut(1, ModelFailed("it died")))
    assert [order.attempt for order in talk.happen(Final(1, "Hi.", 0, 0)) if isinstance(order, Write)] == [2]


# --- parts


@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(0, 700)), min_size=1, max_size=20),
    st.lists(st.integers(0, 2_000), max_size=6),
)
def test_sound_is_handed_out_whole_in_order_and_never_far_ahead_of_the_clock(
    arrivals: list[tuple[int, int]], pauses_ms: list[int]
) -> None:
    playback, now_s, handed_ms, playing_s = Playback(3, 120), 5.0, 0, 0.0
    for at, (length_ms, wait_ms) in enumerate(arrivals):
        playback.push(AudioChunk(Blob(bytes(length_ms * 16)), RATE_HZ, 3))
        playback.held = at < len(pauses_ms) and pauses_ms[at] % 2 == 1
        until_s = now_s + wait_ms / 1000
        while now_s <= until_s:
            for frame in playback.due(now_s):
                assert not playback.held
                assert frame.first_sample == handed_ms * 8
                handed_ms += len(frame.pcm) // 16
            assert playback.played_ms(now_s) <= playback.handed_ms == handed_ms
            assert handed_ms <= playback.played_ms(now_s) + 120 + 40
            now_s += 0.013
    playback.held, playback.complete = False, True
    while not playback.is_over(now_s):
        handed_ms += sum(len(frame.pcm) // 16 for frame in playback.due(now_s))
        now_s = max(now_s + 0.001, playback.next_s(now_s))
        playing_s += 0.001
    assert handed_ms == sum(length_ms for length_ms, _ in arrivals) == playback.played_ms(now_s)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("speech_start_ms", -1),
        ("min_endpointing_delay_ms", 10**9),
        ("false_interruption_timeout_ms", 1.5),
        ("interruption_min_words", -1),
        ("vad_threshold", float("nan")),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field: str, value: object) -> None:
    make: Callable[..., Settings] = Settings
    with pytest.raises(InvalidRequest, match=field) as refused:
        make(**{field: value})
    assert refused.value.details["field"] == field


def test_words_are_compared_without_case_and_marks() -> None:
    backchannels = Settings().backchannels
    assert telling("Uh-huh, mhm!", backchannels) == []
    assert telling("Uh, wait.", backchannels) == ["wait"]
    assert [looks_finished(text) for text in ("a.", "a? ", "a", "a,", "")] == [True, True, False, False, False]


# --- everything at once


@pytest.mark.parametrize("block", range(10))
def test_in_every_schedule_each_request_ends_once_and_nothing_stale_is_heard(block: int) -> None:
    for seed in range(block * 1_000, block * 1_000 + 1_000):
        world = World(seed)
        try:
            world.run()
        except AssertionError:
            pytest.fail(f"seed {seed}, {world.settings}:\n" + "\n".join(f"{line!s:.200}" for line in world.log[-40:]))
