"""What a listener has heard of a spoken text, at any moment of it; and what is stale."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferd.messages import events
from inferd.messages.bounds import Blob
from inferd.messages.speech import AudioStarted, Heard, Spoken, Word
from inferd.spoken import Script, SpeechView

TEXTS = st.lists(st.text(st.characters(exclude_categories=("Cs", "Zs", "Cc")), min_size=1, max_size=8), max_size=12)


def spoken(words: list[str], times: list[int]) -> tuple[str, list[Word]]:
    """Return a text of these words, and when each of them sounds."""
    text, told, start_ms = " ".join(words), [], 0
    at = 0
    for word, length_ms in zip(words, times, strict=False):
        told.append(Word(word, start_ms, start_ms + length_ms, at, at + len(word)))
        start_ms += length_ms
        at += len(word) + 1
    return text, told


@given(TEXTS, st.lists(st.integers(0, 900), min_size=12, max_size=12), st.integers(0, 12_000), st.data())
def test_what_was_heard_is_the_text_up_to_the_last_word_that_had_ended(
    words: list[str], times: list[int], played_ms: int, data: st.DataObject
) -> None:
    text, told = spoken(words, times)
    script, at = Script(), 0
    while at < len(text):
        size = data.draw(st.integers(1, len(text) - at))
        script.give(text[at : at + size])
        at += size
    for word in told:
        script.word(word)
    heard = script.heard(played_ms)
    ended = [word for word in told if word.end_ms <= played_ms]
    assert heard.text == text[: heard.chars]
    assert heard.chars == (ended[-1].end_char if ended else 0)
    assert heard.played_ms == played_ms


def test_markup_that_closes_behind_a_word_was_heard_with_it() -> None:
    text = "Say **bold** [now](http://x.y) to me"
    script = Script()
    script.give(text)
    for at, word in enumerate(("Say", "bold", "now")):
        first = text.index(word)
        script.word(Word(word, at * 100, at * 100 + 100, first, first + len(word)))
    assert [script.heard(at).text for at in (100, 200)] == ["Say", "Say **bold**"]
    script.word(Word("to", 300, 400, 31, 33))
    assert script.heard(300).text == "Say **bold** [now](http://x.y)"


def test_the_mark_behind_the_last_word_was_heard_with_it() -> None:
    script = Script()
    script.give("Well. Good.")
    script.word(Word("Well", 0, 300, 0, 4))
    script.word(Word("Good", 300, 600, 6, 10))
    script.complete = True
    assert script.heard(700) == Heard("Well. Good.", 11, 700)
    assert script.heard(599).text == "Well."


def test_offsets_past_the_text_harm_nothing() -> None:
    script = Script()
    script.give("ab")
    script.word(Word("abc", 0, 10, 0, 99))
    assert script.heard(10) == Heard("ab", 2, 10)
    assert Script().heard(10) == Heard("", 0, 10)


def test_sound_of_an_older_epoch_than_the_newest_seen_is_not_shown() -> None:
    view = SpeechView(0.0, 3, keep=True)
    old, new, newer = (events.AudioChunk(Blob(bytes([at, 0])), 16_000, epoch) for at, epoch in ((1, 2), (2, 3), (3, 4)))
    assert view.show(old, 1.0) is None
    assert view.show(new, 1.0) == new
    assert view.show(newer, 1.0) == newer
    assert view.show(new, 1.0) is None
    view.show(Spoken("m"), 2.0)
    assert view.speech.pcm == b"\2\0\3\0"


def test_nothing_sounds_behind_a_cut_but_state_is_still_shown() -> None:
    view = SpeechView(0.0, 0, keep=False)
    view.cut()
    for event in (AudioStarted(16_000), events.AudioChunk(Blob(b"\0\0"), 16_000), Word("a", 0, 1, 0, 1)):
        assert view.show(event, 1.0) is None
    assert view.show(events.Queued(1), 1.0) == events.Queued(1)
