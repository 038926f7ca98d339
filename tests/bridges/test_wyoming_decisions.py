"""What the Wyoming bridge makes of bytes, sound, words and names, without a connection."""

from __future__ import annotations

import asyncio
import itertools
import json
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.event import Event
from wyoming.info import Info

from inferd.errors import InvalidRequest, NoEligibleModel, UnsupportedMode
from inferd.messages.reports import Model
from inferd.messages.schemas import ModelSchema
from inferd_bridges.wyoming import asked
from inferd_bridges.wyoming.asked import Format, Wish
from inferd_bridges.wyoming.feeds import AHEAD_SIZE, Feeds
from inferd_bridges.wyoming.framing import DATA_BYTES, LINE_BYTES, PAYLOAD_BYTES, Malformed, read_event, written
from inferd_bridges.wyoming.offer import info, offer
from inferd_bridges.wyoming.places import Tcp, Unix, place
from inferd_bridges.wyoming.sound import CHUNK_SAMPLES, Cutter, Mono
from inferd_bridges.wyoming.wording import Telling

# --- bytes


def events_of(sent: bytes) -> list[Event]:
    async def read() -> list[Event]:
        reader = asyncio.StreamReader(limit=LINE_BYTES)
        reader.feed_data(sent)
        reader.feed_eof()
        found = []
        while (event := await read_event(reader)) is not None:
            found.append(event)
        return found

    return asyncio.run(read())


texts = st.text(st.characters(codec=None), max_size=20)


@given(texts, st.dictionaries(texts, texts | st.integers() | st.none()), st.binary(max_size=50))
def test_an_event_that_was_written_is_read_again(kind: str, data: dict[str, object], payload: bytes) -> None:
    sent = written(Event(kind, data, payload or None))
    assert events_of(sent + sent) == [Event(kind, data, payload or None)] * 2


def test_data_behind_the_line_counts_over_data_in_it() -> None:
    (event,) = events_of(b'{"type": "x", "data": {"a": 1, "b": 1}, "data_length": 8}\n{"a": 2}')
    assert event.data == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    "sent", [b"", b'{"type"', b'{"type": "x", "data_length": 8}\n{"a"', b'{"type": "x", "payload_length": 3}\n12']
)
def test_who_leaves_in_the_middle_of_an_event_has_left(sent: bytes) -> None:
    assert events_of(sent) == []


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n",
        b"[1]\n",
        b"\xff\n",
        b'{"data": {}}\n',
        b'{"type": 1}\n',
        b'{"type": "x", "data": [1]}\n',
        b'{"type": "x", "data_length": 4}\nnull',
        b'{"type": "x", "data_length": "4"}\n{}  ',
        b'{"type": "x", "data_length": -1}\n',
        json.dumps({"type": "x", "data_length": DATA_BYTES + 1}).encode() + b"\n",
        json.dumps({"type": "x", "payload_length": PAYLOAD_BYTES + 1}).encode() + b"\n",
        b"[" * 60_000 + b"\n",
        b"x" * (LINE_BYTES + 1) + b"\n",
    ],
)
def test_what_is_no_event_is_told_from_the_end_of_the_stream(sent: bytes) -> None:
    with pytest.raises(Malformed):
        events_of(sent)


# --- what clients say


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("transcribe", {}, asked.Transcribe()),
        ("transcribe", {"language": "de"}, asked.Transcribe(Wish(language="de"))),
        (
            "transcribe",
            {"transcript_names": ["Ada"], "transcript_terms": ["lamp"]},
            asked.Transcribe(prompt="Ada, lamp"),
        ),
        (
            "synthesize",
            {"text": "a", "voice": {"name": "v", "speaker": "3"}},
            asked.Synthesize(Wish("v", None, "3"), "a"),
        ),
        ("synthesize-start", {"voice": None}, asked.SynthesizeStart(Wish())),
        ("ping", {"text": None}, asked.Ping(None)),
        ("a-newer-event", {"text": 3}, None),
    ],
)
def test_what_clients_say_is_read(kind: str, data: dict[str, Any], said: asked.Asked | None) -> None:
    assert asked.read(Event(kind, data)) == said


@pytest.mark.parametrize(
    ("kind", "data", "field"),
    [
        ("synthesize", {}, "synthesize.text"),
        ("synthesize", {"text": 5}, "synthesize.text"),
        ("synthesize-start", {"voice": "joe"}, "synthesize-start.voice"),
        ("synthesize-start", {"voice": {"name": 1}}, "synthesize-start.voice.name"),
        ("transcribe", {"language": ["en"]}, "transcribe.language"),
        ("transcribe", {"transcript_terms": "lamp"}, "transcribe.transcript_terms"),
        ("audio-start", {"width": 2, "channels": 1}, "audio-start.rate"),
        ("audio-start", {"rate": 1e9, "width": 2, "channels": 1}, "audio-start.rate"),
        ("audio-start", {"rate": 7_999, "width": 2, "channels": 1}, "audio-start.rate"),
        ("audio-chunk", {"rate": 16_000, "width": 0, "channels": 1}, "audio-chunk.width"),
        ("audio-chunk", {"rate": 16_000, "width": True, "channels": 1}, "audio-chunk.width"),
        ("audio-chunk", {"rate": 16_000, "width": 2, "channels": 10**9}, "audio-chunk.channels"),
    ],
)
def test_a_wrong_field_is_named(kind: str, data: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}: expected"):
        asked.read(Event(kind, data))


def test_markup_that_is_not_spoken_is_refused() -> None:
    with pytest.raises(UnsupportedMode, match="ssml"):
        asked.read(Event("synthesize", {"text": "<speak/>", "text_format": "ssml"}))


# --- sound


def int16(*samples: int) -> bytes:
    return array("h", samples).tobytes()


@pytest.mark.parametrize(
    ("width", "channels", "sent", "heard"),
    [
        (1, 1, bytes([0, 64, 128, 255]), int16(0, 16_384, -32_768, -256)),
        (2, 1, int16(1, -2), int16(1, -2)),
        (3, 1, bytes([9, 1, 0, 9, 254, 255]), int16(1, -2)),
        (4, 1, bytes([9, 9, 1, 0, 9, 9, 254, 255]), int16(1, -2)),
        (2, 2, int16(10, 20, -4, -8), int16(15, -6)),
        (2, 3, int16(32_767, 32_767, 32_767), int16(32_767)),
    ],
)
def test_any_width_and_number_of_channels_becomes_one_of_int16(
    width: int, channels: int, sent: bytes, heard: bytes
) -> None:
    assert Mono(Format(16_000, width, channels)).push(sent) == heard


@given(st.integers(1, 4), st.integers(1, 4), st.binary(max_size=100), st.lists(st.integers(0, 100)))
def test_pieces_of_sound_may_be_cut_anywhere(width: int, channels: int, sent: bytes, cuts: list[int]) -> None:
    whole, pieces = (Mono(Format(16_000, width, channels)) for _ in range(2))
    edges = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]
    found = b"".join(pieces.push(sent[a:b]) for a, b in itertools.pairwise(edges))
    assert found == whole.push(sent)


@given(st.lists(st.integers(0, 5_000), max_size=8))
def test_chunks_have_the_size_that_satellites_know_and_follow_each_other(lengths: list[int]) -> None:
    sent = [bytes(range(256)) * (2 * length // 256) + b"\1" * (2 * length % 256) for length in lengths]
    cutter = Cutter(8_000)
    cut = [*(one for piece in sent for one in cutter.push(piece)), *cutter.flush()]
    assert b"".join(chunk for _, chunk in cut) == b"".join(sent)
    assert all(len(chunk) == 2 * CHUNK_SAMPLES for _, chunk in cut[:-1])
    assert [at for at, _ in cut] == [128 * number for number in range(len(cut))]


# --- words


def test_stable_words_are_told_once_and_the_final_ones_after_them() -> None:
    telling = Telling()
    assert [telling.stable(text) for text in ("", "turn", "turn", "turn on")] == ["", "turn", "", " on"]
    assert telling.final("Turn on, the light.") == " the light."
    assert telling.stable("and off") == " and off"
    assert telling.final("and off") == ""
    assert telling.final("Again.") == " Again."


def test_a_final_text_that_differs_from_what_was_stable_is_left_to_the_transcript() -> None:
    telling = Telling()
    telling.stable("recognise speech")
    assert telling.final("wreck a nice beach") == ""


words = st.lists(st.sampled_from(["one", "two", "three"]), max_size=6)


@given(st.lists(st.tuples(words, st.lists(st.integers(0, 6)))))
def test_the_pieces_of_a_transcript_make_it_whole(utterances: list[tuple[list[str], list[int]]]) -> None:
    telling, pieces = Telling(), []
    for said, cuts in utterances:
        pieces += [telling.stable(" ".join(said[:cut])) for cut in sorted(cuts)]
        pieces.append(telling.final(" ".join(said)))
    assert "".join(pieces) == " ".join(" ".join(said) for said, _ in utterances if said)


# --- names


def model(name: str, *capabilities: str, here: bool = True) -> Model:
    return Model(name, name.title(), "stored" if here else "absent", here, here, capabilities)


MODELS = (
    model("w/base:q8", "transcribe"),
    model("w/tiny.en:q8", "transcribe"),
    model("w/large:q8", "transcribe", here=False),
    model("p/joe:f32", "synthesize"),
    model("p/anna:f32", "synthesize"),
    model("p/alba:f32", "synthesize"),
    model("q/chat:q4", "generate"),
)
SCHEMAS = (
    ModelSchema("w/base:q8", languages=("en", "de")),
    ModelSchema("w/tiny.en:q8", languages=("en",)),
    ModelSchema("w/large:q8", languages=("fi",)),
    ModelSchema("p/joe:f32", languages=("en-US",), version="2"),
    ModelSchema("p/anna:f32", languages=("de-DE",)),
    ModelSchema("p/alba:f32", languages=("en-GB",)),
)
OFFER = offer(MODELS, SCHEMAS, {"transcribe": "tiny.en", "synthesize": None})


def test_what_is_offered_is_what_is_installed_and_the_preferred_one_comes_first() -> None:
    told = Info.from_event(info(OFFER).event())
    (hears,), (speaks,) = told.asr, told.tts
    assert [one.name for one in hears.models] == ["w/tiny.en:q8", "w/base:q8"]
    joe = speaks.voices[0]
    assert (joe.name, joe.languages, joe.version) == ("p/joe:f32", ["en-US"], "2")
    assert all(one.installed and one.attribution.name for one in (*hears.models, *speaks.voices))
    assert hears.supports_transcript_streaming
    assert speaks.supports_synthesize_streaming


def test_a_program_without_a_model_is_not_there() -> None:
    nothing = info(offer((), (), {"transcribe": "x", "synthesize": None}))
    assert (nothing.asr, nothing.tts) == ([], [])


@pytest.mark.parametrize(
    ("wish", "preferred", "chosen"),
    [
        (Wish("anything"), "p/joe:f32", "anything"),
        (Wish(), None, "p/joe:f32"),
        (Wish(), "anna", "anna"),
        (Wish(language="de"), "joe", "p/anna:f32"),
        (Wish(language="en_gb"), None, "p/alba:f32"),
        (Wish(language="en-AU"), None, "p/joe:f32"),
        (Wish(language="en"), None, "p/joe:f32"),
    ],
)
def test_who_speaks_is_who_is_named_then_who_is_preferred_then_who_has_the_language(
    wish: Wish, preferred: str | None, chosen: str
) -> None:
    assert OFFER.choose("synthesize", wish, preferred) == chosen


def test_a_preferred_model_without_the_language_makes_way() -> None:
    assert OFFER.choose("transcribe", Wish(language="en"), "tiny.en") == "w/tiny.en:q8"
    assert OFFER.choose("transcribe", Wish(language="de"), "tiny.en") == "w/base:q8"


def test_a_language_that_nobody_has_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(
        NoEligibleModel, match=r"no installed model speaks 'fi'; installed models know de-DE, en-GB, en-US"
    ):
        OFFER.choose("synthesize", Wish(language="fi"), None)


# --- places


@pytest.mark.parametrize(
    ("uri", "found", "access"),
    [
        ("tcp://127.0.0.1:10300", Tcp("127.0.0.1", 10_300), "ours"),
        ("tcp://localhost:0", Tcp("localhost", 0), "ours"),
        ("tcp://[::1]:1", Tcp("::1", 1), "ours"),
        ("tcp://0.0.0.0:10300", Tcp("0.0.0.0", 10_300), "open"),  # noqa: S104 - nobody binds it
        ("tcp://homeserver:10300", Tcp("homeserver", 10_300), "open"),
    ],
)
def test_a_place_tells_whether_others_can_reach_it(uri: str, found: Tcp, access: str) -> None:
    assert (place(uri), found.is_public, str(found)) == (found, access == "open", uri)


def test_a_socket_in_the_file_system_is_ours_alone() -> None:
    assert not place("unix:///run/x.sock").is_public
    assert isinstance(place("unix:///run/x.sock"), Unix)


@pytest.mark.parametrize(
    "uri", ["", "10300", "tcp://h", "tcp://h:x", "tcp://:1", "tcp://h:99999", "unix://x", "http://h:1", "tcp://[:1"]
)
def test_what_is_no_place_is_refused(uri: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^uri: expected tcp://HOST:PORT or unix:///PATH"):
        place(uri)


# --- feeds


def test_who_puts_waits_while_too_much_waits_and_until_nobody_takes_more() -> None:
    async def test() -> None:
        feeds: Feeds[bytes] = Feeds([b"x" * AHEAD_SIZE])
        await feeds.room()
        feeds.put(b"y")
        waiting = asyncio.ensure_future(feeds.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await feeds.next() == b"x" * AHEAD_SIZE
        await waiting
        feeds.put(b"z" * AHEAD_SIZE)
        waiting = asyncio.ensure_future(feeds.room())
        feeds.leave()
        await waiting

    asyncio.run(test())


def test_feeds_end_behind_their_last_piece() -> None:
    async def test() -> None:
        feeds = Feeds(["a"])
        feeds.finish()
        assert [await feeds.next(), await feeds.next()] == ["a", None]

    asyncio.run(test())
