"""The Wyoming bridge as its clients see it: the library's own client, a daemon that follows a script."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeVoice
from wyoming_rig import HEARS, SPEAKS, Bridge, answer, bridged, send, types

import inferd
from inferd.errors import PermissionDenied
from inferd.messages import control, events, speech
from inferd.messages.bounds import Blob
from inferd_bridges.wyoming import connection, conversation
from inferd_bridges.wyoming import server as serving
from inferd_bridges.wyoming.daemon import Daemon
from inferd_bridges.wyoming.framing import written
from inferd_bridges.wyoming.jobs import REPORT_MS
from inferd_bridges.wyoming.places import Unix
from inferd_bridges.wyoming.server import Server

if TYPE_CHECKING:
    from inferd.messages.events import Event as Said

LINES: Sequence[Sequence[Said]] = (
    (),
    (speech.SpeechStarted(1, 0), speech.Partial(1, "turn", "on", 300)),
    (speech.Partial(1, "turn on", "the", 600),),
    (speech.SpeechStopped(1, 900), speech.Final(1, "Turn on the light.", 0, 900)),
    (events.Error("model_failed", "it died"),),
    (events.Cancelled("starved_feed"),),
)
START = AudioStart(16_000, 2, 1)
STEREO = AudioStart(48_000, 4, 2)


def sound(line: int, form: AudioStart = START) -> AudioChunk:
    """Return sound by which the daemon hears this line."""
    sample = bytes([0] * (form.width - 2) + [line, 0])
    return AudioChunk(form.rate, form.width, form.channels, sample * form.channels * 160)


def run(tmp_path: Path, test: Callable[[Bridge], Awaitable[None]]) -> None:
    async def main() -> None:
        async with bridged(tmp_path, LINES) as bridge:
            await test(bridge)
            await bridge.idle()

    asyncio.run(main())


def test_info_tells_what_is_installed_on_every_place(tmp_path: Path) -> None:
    async def test(bridge: Bridge) -> None:
        for place in range(2):
            async with bridge.client(place) as client:
                await send(client, Describe())
                (event,) = await answer(client, "info")
                told = Info.from_event(event)
                assert [one.name for one in told.asr[0].models] == [HEARS]
                assert [(one.name, one.languages) for one in told.tts[0].voices] == [(SPEAKS, ["en-US"])]
        assert stat.S_IMODE((tmp_path / "w").stat().st_mode) == 0o600

    run(tmp_path, test)
    assert not (tmp_path / "w").exists()


def test_speech_becomes_text_with_partial_texts_on_the_way(tmp_path: Path) -> None:
    async def test(bridge: Bridge) -> None:
        async with bridge.client() as client:
            await send(client, Transcribe(language="en"), START, sound(1))
            begun = await answer(client, "transcript-chunk")
            assert types(begun) == ["transcript-start", "transcript-chunk"]
            await send(client, sound(2), sound(3), AudioStop())
            rest = await answer(client, "transcript-stop")
        assert [one.data["text"] for one in (*begun[1:], *rest[:-1])] == [
            "turn",
            " on",
            " the light.",
            "Turn on the light.",
        ]
        (live,) = bridge.daemon.begun
        assert (live.request.model, live.request.priority) == (HEARS, "voice")
        assert live.request.body["language"] == "en"

    run(tmp_path, test)


def test_sound_of_another_width_and_more_channels_is_brought_to_what_models_hear(tmp_path: Path) -> None:
    async def test(bridge: Bridge) -> None:
        async with bridge.client() as client:
            await send(client, Transcribe(), STEREO, sound(3, STEREO), AudioStop())
            assert (await answer(client, "transcript"))[-1].data["text"] == "Turn on the light."
        assert bridge.daemon.begun[0].request.body["rate_hz"] == 48_000

    run(tmp_path, test)


@pytest.mark.parametrize("voice", [None, SynthesizeVoice(name=SPEAKS), SynthesizeVoice(language="en_US")])
def test_a_text_is_spoken_in_small_chunks_behind_one_start(tmp_path: Path, voice: SynthesizeVoice | None) -> None:
    async def test(bridge: Bridge) -> None:
        async with bridge.client() as client:
            await send(client, Synthesize("Good day to you", voice))
            start, *chunks, stop = await answer(client, "audio-stop")
        assert (start.type, start.data["rate"], stop.data["timestamp"]) == ("audio-start", 8_000, 800)
        sounds = [AudioChunk.from_event(one) for one in chunks]
        assert [one.samples for one in sounds] == [1_024] * 6 + [256]
        assert [one.timestamp for one in sounds] == [128 * number for number in range(7)]
        assert bridge.daemon.begun[0].request.priority == "voice"

    run(tmp_path, test)


def test_the_voice_is_told_exactly_how_much_was_taken_for_it_works_a_second_ahead_of_that(tmp_path: Path) -> None:
    odd = events.AudioChunk(Blob(b"\1\0" * 333), 8_000)  # 41.625 ms: whole ones would lose a second within a minute

    async def test(bridge: Bridge) -> None:
        async with bridge.client() as client:
            await send(client, SynthesizeStart())
            await answer(client, "audio-start")
            (live,) = bridge.daemon.begun
            for _ in range(100):
                bridge.daemon.tell(live.request.id, *[odd] * 20, peer=live.peer)
            told_ms = 0
            while told_ms < 2_000 * 333 // 8 - REPORT_MS:
                told_ms = (await asyncio.to_thread(bridge.daemon.next, control.Played)).played_ms

    run(tmp_path, test)


def test_text_is_spoken_as_it_is_written_and_only_once(tmp_path: Path) -> None:
    async def test(bridge: Bridge) -> None:
        async with bridge.client() as client:
            await send(
                client, SynthesizeStart(), SynthesizeChunk("Good d"), SynthesizeChunk("ay "), SynthesizeChunk("to")
            )
            begun = await answer(client, "audio-chunk")  # nothing says yet that this is all
            await send(client, Synthesize("Good day to"), SynthesizeStop())
            rest = await answer(client, "synthesize-stopped")
        assert types([*begun, *rest]) == ["audio-start", "audio-chunk", "audio-stop", "synthesize-stopped"]
        assert sum(AudioChunk.from_event(one).samples for one in (*begun[1:], *rest[:-2])) == 3 * 1_600
        assert bridge.daemon.begun[0].text == "Good day to"

    run(tmp_path, test)


def test_a_wrong_name_is_an_error_with_the_closest_and_the_connection_stays(tmp_path: Path) -> None:
    async def test(bridge: Bridge) -> None:
        async with bridge.client() as client:
            await send(client, Synthesize("Hi", SynthesizeVoice(name="jo")))
            (refused,) = await answer(client, "audio-stop")
            assert refused.data["code"] == "model_not_found"
            assert SPEAKS in refused.data["text"]
            await send(client, Transcribe(name="wisper"), START, sound(1), sound(1), AudioStop())
            assert (await answer(client, "transcript"))[-1].data["code"] == "model_not_found"
            await send(client, Transcribe(language="fi"), START, AudioStop())
            assert (await answer(client, "transcript"))[-1].data["code"] == "no_eligible_model"
            await send(client, Synthesize("Hi"))
            assert types(await answer(client, "audio-stop")) == ["audio-start", "audio-chunk", "audio-stop"]

    run(tmp_path, test)


def test_a_wrong_field_is_an_error_and_what_is_unknown_is_nothing(tmp_path: Path) -> None:
    async def test(bridge: Bridge) -> None:
        async with bridge.client() as client:
            await client.write_event(Event("select-program", {"name": "inferd"}))
            await client.write_event(Event("synthesize", {"text": 5}))
            (refused,) = await answer(client, "audio-stop")
            assert refused.data == {"text": "synthesize.text: expected a string, got 5", "code": "invalid_request"}
            await send(client, Ping("still here"))
            (pong,) = await answer(client, "pong")
            assert pong.data["text"] == "still here"

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("line", "text", "code"),
    [(4, "it died", "model_failed"), (5, conversation.STARVED, "cancelled")],
    ids=["a model that died", "a microphone that stopped"],
)
def test_a_failure_that_no_client_can_correct_is_told_and_ends_the_connection(
    tmp_path: Path, line: int, text: str, code: str
) -> None:
    async def test(bridge: Bridge) -> None:
        async with bridge.client() as client:
            await send(client, Transcribe(), START, sound(line))
            (failed,) = await answer(client, "transcript")
            assert failed.data == {"text": text, "code": code}
            assert await client.read_event() is None

    run(tmp_path, test)


def test_bad_json_ends_the_connection_and_no_other(tmp_path: Path) -> None:
    async def test(bridge: Bridge) -> None:
        async with bridge.client(1) as other, bridge.client(1) as client:
            await send(client, SynthesizeStart(), SynthesizeChunk("Good day"))
            await answer(client, "audio-start")
            await send(other, SynthesizeStart())
            await answer(other, "audio-start")
            assert client._writer
            client._writer.write(b"GET / HTTP/1.1\r\n")
            assert await client.read_event() is None or await client.read_event() is None
            await send(other, SynthesizeChunk("Hi"), SynthesizeStop())
            assert (await answer(other, "synthesize-stopped"))[-1].type == "synthesize-stopped"

    run(tmp_path, test)


@pytest.mark.parametrize(
    "said",
    [
        (SynthesizeStart(), SynthesizeChunk("Good day to you")),
        (Transcribe(), START, sound(1)),
    ],
    ids=["speaking", "hearing"],
)
def test_who_leaves_in_the_middle_frees_the_model(tmp_path: Path, said: tuple[AudioStart, ...]) -> None:
    async def test(bridge: Bridge) -> None:
        async with bridge.client() as client:
            await send(client, *said)
            await client.read_event()
            assert bridge.daemon.open == 1
        await bridge.idle()
        assert bridge.daemon.account.ended.total() == 1

    run(tmp_path, test)


def test_one_connection_hears_and_speaks_at_once_and_answers_requests_of_a_kind_in_their_order(tmp_path: Path) -> None:
    async def test(bridge: Bridge) -> None:
        async with bridge.client() as client:
            await send(client, Transcribe(), START, sound(1), Synthesize("one"), Synthesize("one two"))
            await answer(client, "transcript-chunk")
            first, second = await answer(client, "audio-stop"), await answer(client, "audio-stop")
            assert [found[-1].data["timestamp"] for found in (first, second)] == [200, 400]
            await send(client, sound(3), AudioStop())
            assert (await answer(client, "transcript"))[-1].data["text"] == "Turn on the light."

    run(tmp_path, test)


def test_many_connections_are_served_side_by_side(tmp_path: Path) -> None:
    async def talk(bridge: Bridge, number: int) -> int:
        async with bridge.client(number % 2) as client:
            await send(client, Synthesize("word " * (number % 5 + 1)))
            found = await answer(client, "audio-stop")
            return sum(AudioChunk.from_event(one).samples for one in found if one.type == "audio-chunk") // 1_600

    async def test(bridge: Bridge) -> None:
        counts = await asyncio.gather(*(talk(bridge, number) for number in range(50)))
        assert counts == [number % 5 + 1 for number in range(50)]

    run(tmp_path, test)


def test_who_comes_when_all_connections_are_taken_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "CONNECTIONS", 1)

    async def test(bridge: Bridge) -> None:
        async with bridge.client(1) as client:
            await send(client, Ping("x"))
            await answer(client, "pong")
            reader, writer = await asyncio.open_unix_connection(tmp_path / "w")
            assert await reader.read() == b""
            writer.close()

    run(tmp_path, test)


def test_a_client_that_takes_nothing_is_let_go_and_disturbs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SLOW_READER_S", 0.2)

    async def test(bridge: Bridge) -> None:
        _, writer = await asyncio.open_unix_connection(tmp_path / "w", limit=1)
        for said in (SynthesizeStart(), SynthesizeChunk("word " * 2_000)):
            writer.write(written(said.event()))
        async with bridge.client() as client:
            await send(client, Synthesize("Hi"))
            await answer(client, "audio-stop")
        await bridge.idle()
        assert bridge.daemon.account.ended.total() == 2
        writer.transport.abort()

    run(tmp_path, test)


def test_without_a_daemon_clients_are_told_and_the_bridge_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with inferd.AsyncClient("wyoming", socket=tmp_path / "none", connect_timeout_s=0.05) as client:
            server = Server(Daemon(client, {"transcribe": None, "synthesize": None}))
            async with server.serving([Unix(tmp_path / "w")]):
                for _ in range(2):
                    reader, writer = await asyncio.open_unix_connection(tmp_path / "w")
                    writer.write(written(Describe().event()))
                    assert b"connection_lost" in await reader.read()
                    writer.close()

    asyncio.run(main())


def test_a_place_where_somebody_listens_is_not_taken_from_him(tmp_path: Path) -> None:
    async def test(bridge: Bridge) -> None:
        server = Server(
            Daemon(inferd.AsyncClient("other", socket=tmp_path / "s"), {"transcribe": None, "synthesize": None})
        )
        with pytest.raises(PermissionDenied, match=r"cannot listen on unix:///.*/w"):
            async with server.serving([Unix(tmp_path / "w")]):
                pass
        async with bridge.client(1) as client:
            await send(client, Ping("x"))
            await answer(client, "pong")

    run(tmp_path, test)


def test_a_socket_that_a_killed_bridge_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "w"))

    async def test(bridge: Bridge) -> None:
        async with bridge.client(1) as client:
            await send(client, Ping("x"))
            await answer(client, "pong")

    run(tmp_path, test)
