"""The pure parts of hearing: beginnings and ends, what is stable, pace, order, pieces, texts."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

np = pytest.importorskip("numpy")

from inferd.messages.control import PRIORITIES  # noqa: E402 - behind the question whether numpy is there
from inferd_actors.engine import StreamId  # noqa: E402
from inferd_actors.engines.faster_whisper.agreement import STALLED, Agreement, Word  # noqa: E402
from inferd_actors.engines.faster_whisper.cadence import SHARE, TOO_SLOW, Cadence  # noqa: E402
from inferd_actors.engines.faster_whisper.endpointing import (  # noqa: E402
    FRAME_MS,
    GAP_MS,
    PAUSE_MS,
    Endpointing,
    Patience,
    Signal,
)
from inferd_actors.engines.faster_whisper.hearing import RATE_HZ, Heard, HeardSegment  # noqa: E402
from inferd_actors.engines.faster_whisper.line import RANKS, Turn, next_turn  # noqa: E402
from inferd_actors.engines.faster_whisper.pieces import LEEWAY_S, PIECE_S, Piece, divided, packed  # noqa: E402
from inferd_actors.engines.faster_whisper.texts import (  # noqa: E402
    is_aside,
    is_credible,
    is_doubtful,
    looks_finished,
    max_tokens,
)
from inferd_actors.engines.faster_whisper.words import unrepeated, words_of  # noqa: E402

# --- beginnings and ends


def signals(probabilities: Sequence[float], *, finished: bool = True) -> list[Signal]:
    machine = Endpointing(Patience())
    return [machine.step(one, looks_finished=finished) for one in probabilities]


def test_an_utterance_begins_after_enough_speech_and_ends_after_enough_silence() -> None:
    said = signals([0.0] * 10 + [0.9] * 20 + [0.0] * 20)
    assert [(at, one) for at, one in enumerate(said) if one is not Signal.NONE] == [
        (16, Signal.STARTED),
        (36, Signal.PAUSED),
        (45, Signal.STOPPED),
    ]


def test_a_click_begins_nothing() -> None:
    assert set(signals(([0.9] * 3 + [0.0] * (GAP_MS // FRAME_MS + 1)) * 30)) == {Signal.NONE}


def test_a_text_that_goes_on_is_given_more_time() -> None:
    heard = [0.9] * 20 + [0.0] * 90
    finished, unfinished = signals(heard), signals(heard, finished=False)
    assert (finished.index(Signal.STOPPED) - 19) * FRAME_MS == pytest.approx(500, abs=FRAME_MS)
    assert (unfinished.index(Signal.STOPPED) - 19) * FRAME_MS == pytest.approx(2_500, abs=FRAME_MS)


def test_between_the_thresholds_speech_goes_on_being_speech_and_silence_silence() -> None:
    said = signals([0.9] * 10 + [0.4] * 100 + [0.0] * 30)
    assert said.index(Signal.STOPPED) >= 110
    assert set(signals([0.4] * 100)) == {Signal.NONE}


@given(st.lists(st.floats(0, 1), max_size=300), st.integers(100, 3_000), st.integers(100, 3_000), st.booleans())
def test_signals_come_in_an_order_that_makes_sense(
    probabilities: list[float],
    silence_ms: int,
    unfinished_ms: int,
    finished: bool,  # noqa: FBT001 - drawn
) -> None:
    machine = Endpointing(Patience(0.5, 200, silence_ms, unfinished_ms))
    speaking = paused = False
    for one in probabilities:
        match machine.step(one, looks_finished=finished):
            case Signal.STARTED:
                assert not speaking
                speaking, paused = True, False
            case Signal.PAUSED:
                assert speaking
                assert not paused
                assert machine.silence_ms >= PAUSE_MS
                paused = True
            case Signal.RESUMED:
                assert paused
                paused = False
            case Signal.STOPPED:
                assert speaking
                assert machine.silence_ms >= min(silence_ms, unfinished_ms)
                speaking = False
            case Signal.NONE:
                pass
        assert machine.is_speaking is speaking
        assert machine.beginning <= machine.first + len(probabilities)


# --- what is stable


def words(text: str) -> list[Word]:
    return [Word(f" {one}", at + 1.0) for at, one in enumerate(text.split())]


def test_words_that_two_hearings_share_are_stable() -> None:
    agreement = Agreement()
    agreement.hear(words("the cat"))
    assert (agreement.stable, agreement.tentative) == ("", " the cat")
    agreement.hear(words("The cat, said"))
    assert (agreement.stable, agreement.tentative) == (" The cat,", " said")


def test_a_word_found_later_in_front_doubles_nothing() -> None:
    agreement = Agreement()
    for heard in ("John had then", "John had then", "And John had then leisure", "And John had then leisure to"):
        agreement.hear(words(heard))
    assert agreement.stable + agreement.tentative == " John had then leisure to"


def test_after_a_cut_what_overlaps_is_not_said_twice() -> None:
    agreement = Agreement()
    agreement.hear(words("one two three"))
    agreement.hear(words("one two three four"))
    assert agreement.cut() == 3.0
    agreement.hear(words("three four five"))
    agreement.hear(words("three four five six"))
    assert (agreement.stable, agreement.tentative) == (" one two three four five", " six")


def test_words_that_the_last_hearing_does_not_have_are_not_cut_off_and_heard_anew() -> None:
    agreement = Agreement()
    for text in ("one two three", "one two three", "one two three four", "one two three four"):
        agreement.hear(words(text))
    agreement.cut()
    rest = "five six seven eight nine ten"
    agreement.hear(words(rest))
    agreement.hear(words(rest))
    agreement.hear(words("four"))  # the front of the sound, and nothing of what is stable in it
    assert agreement.cut() == 0.0
    agreement.hear(words(rest))
    agreement.hear(words(rest))
    assert agreement.stable == f" one two three four {rest}"


def test_one_hearing_that_ends_early_takes_nothing_back() -> None:
    agreement = Agreement()
    for text in ("one two", "one two three four", "one two"):
        agreement.hear(words(text))
    assert (agreement.stable, agreement.tentative) == (" one two", " three four")
    agreement.hear(words("one two three four five"))
    assert (agreement.stable, agreement.tentative) == (" one two three four", " five")


def test_two_hearings_that_end_early_are_believed() -> None:
    agreement = Agreement()
    for text in ("one two", "one two three", "one two", "one two"):
        agreement.hear(words(text))
    assert (agreement.stable, agreement.tentative, agreement.stalled) == (" one two", "", STALLED)
    assert agreement.cut() == 2.0
    assert agreement.stalled == 0


@given(st.integers(10, 60), st.integers(0, 60), st.integers(0, 2))
def test_what_follows_the_stable_words_is_found_in_another_hearing(stable: int, more: int, missing: int) -> None:
    """The other hearing has the same words, but for one or two of the stable ones."""
    agreement, text = Agreement(), [f"w{at}" for at in range(stable + more)]
    for _ in range(2):
        agreement.hear(words(" ".join(text[:stable])))
    heard = [word for at, word in enumerate(text) if at >= stable or at % 5 or at // 5 >= missing]
    assert agreement.following(words(" ".join(heard))).split() == text[stable:]


HEARINGS = st.lists(
    st.one_of(st.lists(st.sampled_from("abcd"), max_size=8), st.sampled_from(["cut", "drop"])), max_size=30
)


@given(HEARINGS)
def test_stable_text_is_a_growing_prefix_whatever_is_heard_and_cut(hearings: list[list[str] | str]) -> None:
    agreement, before = Agreement(), ""
    for one in hearings:
        if one == "cut":
            assert agreement.cut() >= 0.0
        elif one == "drop":
            agreement.drop()
        else:
            agreement.hear(words(" ".join(one)))
        assert agreement.stable.startswith(before)
        before = agreement.stable


@given(st.lists(st.sampled_from(["red", "green", "blue"]), min_size=1, max_size=20), st.data())
def test_one_text_heard_as_it_grows_becomes_stable_as_it_is(text: list[str], data: st.DataObject) -> None:
    agreement = Agreement()
    for length in [*sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8))), len(text), len(text)]:
        agreement.hear(words(" ".join(text[:length])))
    assert agreement.stable.split() == text
    assert agreement.tentative == ""


@pytest.mark.parametrize(
    ("heard", "kept"),
    [
        ("please hold on please hold on", "please hold on"),
        ("please hold on please hold on please hold", "please hold on"),
        ("press two to go press two to go", "press two to go"),
        ("press two to go press two", "press two to go press two"),
        ("no no no", "no no no"),
        ("it is what it is", "it is what it is"),
        ("", ""),
    ],
)
def test_a_hearing_that_runs_on_in_repetition_is_kept_once(heard: str, kept: str) -> None:
    assert "".join(word.text for word in unrepeated(words(heard))).split() == kept.split()


def test_words_of_scripts_without_blanks_are_their_characters() -> None:
    heard = Heard((HeardSegment(" 你好 OK吧", 0.0, 1.0),), "zh", 1.0, 0.0, 0.1)
    assert [word.text for word in words_of(heard)] == [" 你", "好", " OK", "吧"]


# --- pace and order


def test_the_pace_is_that_of_the_last_pass_shared_among_those_who_speak() -> None:
    cadence = Cadence()
    assert cadence.due_s(4) < 0
    assert cadence.passed(10.0, 0.5, 2.0) == 0.25
    assert cadence.due_s(1) == 10.0 + SHARE * 0.5
    assert cadence.due_s(3) == 10.0 + SHARE * 1.5


def test_a_machine_that_cannot_follow_gives_up_after_three_passes_in_a_row() -> None:
    cadence = Cadence()
    for sound_s in (1.0, 1.0, 3.0, 1.0, 1.0):
        cadence.passed(0.0, 2.0, sound_s)
        assert not cadence.is_given_up
    cadence.passed(0.0, 2.0, 1.0)
    assert cadence.slow == TOO_SLOW
    assert cadence.is_given_up


TURNS = st.builds(
    Turn,
    st.integers(1, 9).map(StreamId),
    st.sampled_from(PRIORITIES),
    st.sampled_from(sorted(RANKS)),
    st.floats(0, 10),
)


@given(st.lists(TURNS, min_size=1))
def test_class_goes_before_kind_and_kind_before_age(waiting: list[Turn]) -> None:
    chosen = next_turn(waiting)
    assert chosen is not None
    for other in waiting:
        mine, theirs = PRIORITIES.index(chosen.priority), PRIORITIES.index(other.priority)
        assert (mine, RANKS[chosen.kind], chosen.since_s) <= (theirs, RANKS[other.kind], other.since_s)


@given(st.lists(st.floats(0.1, 3.0), min_size=2, max_size=6), st.integers(20, 200))
def test_nobody_laps_another(pass_s: list[float], rounds: int) -> None:
    """Streams whose sound comes at the same pace are heard in turn, however long their passes take."""
    heard, now_s = dict.fromkeys(range(len(pass_s)), 0.0), 0.0
    order = []
    for _ in range(rounds):
        turn = next_turn(Turn(StreamId(at), "voice", "partial", since_s) for at, since_s in heard.items())
        assert turn is not None
        now_s += pass_s[turn.stream]
        heard[turn.stream] = now_s
        order.append(turn.stream)
    for first in range(len(order) - len(pass_s)):
        assert len(set(order[first : first + len(pass_s)])) == len(pass_s)


# --- pieces of files

SPANS = st.lists(st.tuples(st.integers(1, 29 * RATE_HZ), st.integers(0, 5 * RATE_HZ)), max_size=20)


def spans_of(lengths: list[tuple[int, int]]) -> list[tuple[int, int]]:
    spans, at = [], 0
    for length, gap in lengths:
        spans.append((at + gap, at + gap + length))
        at += gap + length
    return spans


@given(SPANS)
def test_pieces_keep_all_spans_in_order_and_fit_a_window(lengths: list[tuple[int, int]]) -> None:
    spans = spans_of(lengths)
    groups = packed(spans)
    assert [one for group in groups for one in group] == spans
    assert all(sum(end - first for first, end in group) <= PIECE_S * RATE_HZ for group in groups)


@given(SPANS.filter(bool), st.floats(0, 1))
def test_a_moment_of_a_piece_is_found_in_the_file(lengths: list[tuple[int, int]], share: float) -> None:
    spans = packed(spans_of(lengths))[0]
    piece = Piece(np.zeros(0, np.float32), spans)
    total = sum(end - first for first, end in spans)
    index = min(int(share * total), total - 1)
    samples = [at for first, end in spans for at in (first, end)]
    expected = next(
        first + index - before
        for (first, end), before in zip(spans, np.cumsum([0, *(end - first for first, end in spans)]), strict=False)
        if index < before + end - first
    )
    moment_s = (index + 0.5) / RATE_HZ
    assert piece.place_s(moment_s, moment_s)[0] * RATE_HZ == pytest.approx(expected + 0.5, abs=1.0)
    assert piece.start_s * RATE_HZ == pytest.approx(samples[0])
    assert piece.end_s * RATE_HZ == pytest.approx(samples[-1])


@pytest.mark.parametrize(
    ("start_s", "end_s", "leeway_s", "placed"),
    [
        (0.6, 1.0, inf, (0.6, 1.0)),
        (0.6, 1.1, inf, (0.6, 1.1)),
        (0.95, 1.2, inf, (9.95, 10.2)),
        (0.2, 1.0, LEEWAY_S, (0.2, 1.0)),
        (0.2, 1.1, LEEWAY_S, (0.2, 1.1)),
        (0.9, 1.9, LEEWAY_S, (9.9, 10.9)),
        (0.2, 1.9, LEEWAY_S, (0.2, 10.9)),
    ],
)
def test_the_silence_that_was_cut_out_is_in_no_word_and_no_phrase_that_only_touches_it(
    start_s: float, end_s: float, leeway_s: float, placed: tuple[float, float]
) -> None:
    piece = Piece(np.zeros(0, np.float32), ((0, RATE_HZ), (10 * RATE_HZ, 11 * RATE_HZ)))
    assert piece.place_s(start_s, end_s, leeway_s) == pytest.approx(placed)


def test_speech_that_reaches_the_end_of_a_stretch_is_looked_at_again() -> None:
    assert divided([(0, 10), (20, 50)], 50, is_last=False) == ([(0, 10)], 20)
    assert divided([(0, 10), (20, 50)], 50, is_last=True) == ([(0, 10), (20, 50)], 50)
    assert divided([(0, 10), (20, 40)], 50, is_last=False) == ([(0, 10), (20, 40)], 50)
    assert divided([(0, 50)], 50, is_last=False) == ([(0, 50)], 50)
    assert divided([], 50, is_last=False) == ([], 50)


# --- texts


@pytest.mark.parametrize(
    "text", ["Yes.", "Is it late?", " Stop!", "He said “no.”", "好的。", "", "Turn on the light. "]
)
def test_a_sentence_with_an_end_is_finished(text: str) -> None:
    assert looks_finished(text)


@pytest.mark.parametrize("text", ["I want to", "Give me the.", "Well, and...", "Wait…", "Ich möchte, dass.", "Hello,"])
def test_a_sentence_that_asks_for_more_is_not(text: str) -> None:
    assert not looks_finished(text)


@pytest.mark.parametrize("text", [" [Music]", "(applause)", "♪ ♪", " . . .", "", " [BLANK_AUDIO] [Music]", "*sighs*"])
def test_notes_on_the_sound_are_no_words(text: str) -> None:
    assert is_aside(text)


@pytest.mark.parametrize("text", [" Hello", "(He laughs) no", "10", "It is [beep] fine"])
def test_words_are_words(text: str) -> None:
    assert not is_aside(text)


def test_repetition_and_guesswork_are_not_credible() -> None:
    assert is_credible("He was not an ill disposed young man", -0.3)
    assert not is_credible("He was not an ill-s" + "-y" * 200, -0.1)
    assert not is_credible("He was not an ill disposed young man", -1.2)
    assert max_tokens(0.0) < max_tokens(10.0) < 100


@pytest.mark.parametrize(
    "text",
    [
        "Press 1-4. Press 1-4.",
        "to leave the conference to leave the conference",
        "5, 5, 5, 5, 5",
        "ha ha ha ha",
        "好的" * 40,
    ],
)
def test_what_is_said_again_at_once_is_doubtful(text: str) -> None:
    assert is_doubtful(text, -0.2)


@pytest.mark.parametrize("text", ["No, no!", "It is what it is.", "Five five", "It is it.", "One two one three"])
def test_what_people_do_say_twice_is_not(text: str) -> None:
    assert not is_doubtful(text, -0.2)


def test_a_guess_is_doubtful_long_before_it_is_not_credible() -> None:
    assert is_doubtful("No empty conference", -0.7)
    assert is_credible("No empty conference", -0.7)
