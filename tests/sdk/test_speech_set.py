"""Speech as a whole through both clients: prepared, installed, chosen, tried; against a scripted daemon."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_daemon import Heard, ScriptedDaemon

import inferd
from inferd import AsyncClient, Client, wer
from inferd.aio_speech_set import AsyncSpeechSet
from inferd.messages import events, reports, speech
from inferd.messages.bounds import Blob
from inferd.speech_set import SpeechSet
from inferd.speech_setup import SENTENCES

EAR = speech.SpeechStage("ear", "is stored", True, True, False, ("en",), 7)
VOICE = speech.SpeechStage("voice", "is stored", True, True, False, ("en-US",), 8)
VAD = speech.SpeechStage("silero", "comes with the ear's engine", True, True, False)
HEALTH = speech.SpeechHealth(True, speech.SpeechPolicy(), EAR, VOICE, VAD)
WARM = replace(HEALTH, ear=replace(EAR, loaded=True), voice=replace(VOICE, loaded=True))
ABSENT = replace(
    HEALTH, healthy=False, ear=replace(EAR, weights_ready=False, problem="ear is not stored", next="pull it")
)
UNINSTALLED = replace(HEALTH, vad=replace(VAD, available=False, problem="no package", next="pip install it"))


def fitting(model: str, verdict: str = "fits") -> reports.Preflight:
    return reports.Preflight(model, verdict, 5, "guess", 0, 9, 9, 1, 10)  # type: ignore[arg-type]


Answers = Sequence[tuple[events.Event, ...]]


class Play:
    """A daemon's answers by operation, each used once but the last."""

    def __init__(self, **answers: Answers) -> None:
        self.answers = {op: list(said) for op, said in answers.items()}
        self.asked: list[tuple[str, str | None, Mapping[str, object]]] = []

    def __call__(self, daemon: ScriptedDaemon, heard: Heard) -> None:
        request = heard.request
        self.asked.append((request.op, request.model, request.body))
        lines = self.answers[request.op]
        said = lines.pop(0) if len(lines) > 1 else lines[0]
        if request.op == "preflight" and not said:
            said = (events.PreflightReport(fitting(str(request.body["name"]))),)
        daemon.tell(request.id, events.Accepted("t"), *said, peer=heard.peer)

    def ops(self) -> list[str]:
        return [op for op, _, _ in self.asked]


def status(*health: speech.SpeechHealth) -> list[tuple[events.Event, ...]]:
    return [(speech.SpeechReport(one),) for one in health]


def blocking(path: Path, play: Play, call: Callable[[SpeechSet], object]) -> object:
    with ScriptedDaemon(path, script=play), Client("test", socket=path) as client:
        return call(client.speech)


def awaited(path: Path, play: Play, call: Callable[[AsyncSpeechSet], Awaitable[object]]) -> object:
    async def main() -> object:
        async with AsyncClient("test", socket=path) as client:
            return await call(client.speech)

    with ScriptedDaemon(path, script=play):
        return asyncio.run(main())


@pytest.fixture(params=[blocking, awaited], ids=["blocking", "asyncio"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Play, Callable[..., object]], object]:
    return lambda play, call: request.param(tmp_path / "s", play, call)


Ask = Callable[[Play, Callable[..., object]], object]


def test_both_clients_have_the_same_names_and_arguments() -> None:
    names = [name for name in dir(SpeechSet) if not name.startswith("_")]
    assert names == [name for name in dir(AsyncSpeechSet) if not name.startswith("_")]
    assert set(names) == {"health", "install", "policy", "prepare", "set_policy", "smoke_test"}
    for name in names:
        first, second = (inspect.signature(getattr(kind, name)).parameters for kind in (SpeechSet, AsyncSpeechSet))
        assert first == second


def test_health_policy_and_its_changes_are_the_daemons_words(ask: Ask) -> None:
    play = Play(speech_status=status(HEALTH), set_speech_policy=status(WARM))
    assert ask(play, lambda room: room.health()) == HEALTH
    assert ask(play, lambda room: room.policy()) == HEALTH.policy
    assert ask(play, lambda room: room.set_policy(language="de", prefer="quality", voice="")) == WARM
    body = play.asked[-1][2]
    assert {key: value for key, value in body.items() if value is not None} == {
        "language": "de",
        "prefer": "quality",
        "voice": "",
    }
    with pytest.raises(inferd.InvalidRequest, match="prefer"):
        ask(play, lambda room: room.set_policy(prefer="speed"))


def test_prepare_loads_the_chosen_two_when_nothing_is_missing(ask: Ask) -> None:
    warmed = (reports.Warmed("ear", "ear", True, 1.5), reports.Warmed("voice", "voice", True))
    play = Play(
        speech_status=status(HEALTH, WARM),
        preflight=[()],
        warm_up=[(events.Loading("ear", 0.5), events.WarmedUp(warmed))],
    )
    progress: list[inferd.Loading] = []
    done = ask(play, lambda room: room.prepare(on_progress=progress.append))
    assert isinstance(done, inferd.SpeechSetup)
    assert (done.ready, done.did, done.missing) == (True, ("loaded ear in 1.5 s",), ())
    assert [one.model for one in done.needs] == ["ear", "voice"]
    assert progress == [events.Loading("ear", 0.5)]
    assert play.ops() == ["speech_status", "preflight", "preflight", "warm_up", "speech_status"]
    assert play.asked[3][2] == {"names": ["ear", "voice"]}


@pytest.mark.parametrize(
    ("health", "verdict", "about", "says"),
    [
        (ABSENT, "fits", "ear", "not stored"),
        (UNINSTALLED, "fits", "vad", "no package"),
        (HEALTH, "too_large", "voice", "too large: it needs 5 bytes"),
        (HEALTH, "squeezed", "voice", "squeezed"),
    ],
)
def test_prepare_tells_what_is_missing_and_loads_nothing(
    ask: Ask, health: speech.SpeechHealth, verdict: str, about: str, says: str
) -> None:
    judged = [(events.PreflightReport(fitting("ear")),), (events.PreflightReport(fitting("voice", verdict)),)]
    play = Play(speech_status=status(health), preflight=judged)
    done = ask(play, lambda room: room.prepare())
    assert isinstance(done, inferd.SpeechSetup)
    assert (done.ready, done.did) == (False, ())
    assert [one.about for one in done.missing] == [about]
    assert says in done.missing[0].what
    assert done.missing[0].next


def test_prepare_tells_a_load_that_failed_and_a_model_that_has_left_again(ask: Ask) -> None:
    warmed = (
        reports.Warmed("ear", "ear", False, code="load_failed", message="broken"),
        reports.Warmed("voice", "voice", True),
    )
    play = Play(speech_status=status(HEALTH), preflight=[()], warm_up=[(events.WarmedUp(warmed),)])
    done = ask(play, lambda room: room.prepare())
    assert isinstance(done, inferd.SpeechSetup)
    assert not done.ready
    assert [(one.about, one.what) for one in done.missing] == [
        ("ear", "broken"),
        ("voice", "voice was loaded and has left again"),
    ]


def test_install_fetches_what_is_not_stored_and_nothing_else(ask: Ask) -> None:
    moved, here = events.PullProgress("downloading", 1, 2), events.Pulled("ear", 7_000)
    play = Play(speech_status=status(ABSENT, HEALTH), preflight=[()], pull=[(moved, here)])
    seen: list[object] = []
    done = ask(play, lambda room: room.install(on_pull=lambda name, event: seen.append((name, event))))
    assert isinstance(done, inferd.SpeechSetup)
    assert (done.ready, done.did, done.health) == (True, ("fetched ear, 7,000 bytes",), HEALTH)
    assert seen == [("ear", moved), ("ear", here)]
    assert play.ops().count("pull") == 1


def test_install_tells_a_download_that_failed_and_what_only_a_person_can_install(ask: Ask) -> None:
    play = Play(
        speech_status=status(replace(ABSENT, vad=UNINSTALLED.vad)),
        preflight=[()],
        pull=[(events.Error("pull_failed", "no line"),)],
    )
    done = ask(play, lambda room: room.install())
    assert isinstance(done, inferd.SpeechSetup)
    assert (done.ready, done.did) == (False, ())
    assert {(one.what, one.next) for one in done.missing} >= {
        ("no package", "pip install it"),
        ("no line", "`inferd pull ear` tries again"),
    }


SOUND = (events.AudioChunk(Blob(b"\1\0\2\0"), 22_050), speech.Spoken("voice", 0.5, 0.1, 0.0, 2.0))


def heard(text: str) -> list[tuple[events.Event, ...]]:
    return [(speech.TranscriptSegment(text, 0, 500), speech.Transcribed("ear", "en", 1.0, 0.5, 0.5, 0.2))]


def test_the_smoke_test_speaks_hears_and_compares(ask: Ask) -> None:
    play = Play(speech_status=status(HEALTH), synthesize=[SOUND], transcribe=heard(f" {SENTENCES['en'].upper()}"))
    done = ask(play, lambda room: room.smoke_test())
    assert isinstance(done, inferd.SmokeTest)
    assert (done.passed, done.said, done.wer, done.missing) == (True, SENTENCES["en"], 0.0, ())
    assert [(one.stage, one.model, one.sound_s, one.load_s) for one in done.steps] == [
        ("voice", "voice", 0.5, 2.0),
        ("ear", "ear", 0.5, 0.0),
    ]
    assert all(one.latency_s > 0 for one in done.steps)
    (_, voice, spoken), (_, ear, body) = play.asked[1:]
    assert (voice, spoken["text"], ear, body["rate_hz"], body["language"]) == (
        "voice",
        SENTENCES["en"],
        "ear",
        22_050,
        "en",
    )


def test_a_sentence_that_comes_back_wrong_fails(ask: Ask) -> None:
    play = Play(speech_status=status(HEALTH), synthesize=[SOUND], transcribe=heard("four words of six"))
    done = ask(play, lambda room: room.smoke_test("quite another thing"))
    assert isinstance(done, inferd.SmokeTest)
    assert (done.passed, done.heard, done.missing) == (False, "four words of six", ())
    assert done.wer is not None
    assert done.wer > 1


def test_a_half_that_fails_is_told_with_what_came_before(ask: Ask) -> None:
    deaf = [(events.Error("model_failed", "it died"),)]
    play = Play(speech_status=status(HEALTH), synthesize=[SOUND], transcribe=deaf)
    done = ask(play, lambda room: room.smoke_test())
    assert isinstance(done, inferd.SmokeTest)
    assert (done.passed, done.wer, [one.stage for one in done.steps]) == (False, None, ["voice"])
    assert [(one.about, one.what) for one in done.missing] == [("ear", "it died")]


def test_what_cannot_be_tested_is_told_and_not_tried(ask: Ask) -> None:
    french = replace(HEALTH, voice=replace(VOICE, languages=("ja-JP",)))
    for health, options, about in (
        (ABSENT, {}, ["ear"]),
        (HEALTH, {"local": False, "remote": True}, ["remote"]),
        (french, {}, ["voice", "ear"]),
        (french, {"text": "x"}, ["ear"]),
    ):
        play = Play(speech_status=status(health))
        done = ask(play, lambda room, given=options: room.smoke_test(**given))
        assert isinstance(done, inferd.SmokeTest)
        assert (done.passed, done.wer) == (False, None)
        assert [one.about for one in done.missing] == about
    play = Play(speech_status=status(HEALTH), synthesize=[SOUND], transcribe=heard(SENTENCES["en"]))
    both = ask(play, lambda room: room.smoke_test(remote=True))
    assert isinstance(both, inferd.SmokeTest)
    assert (both.passed, both.wer) == (False, 0.0)


def test_calls_about_speech_carry_the_wish_how_long_the_model_stays(tmp_path: Path) -> None:
    wishes: list[float | None] = []

    def script(daemon: ScriptedDaemon, heard: Heard) -> None:
        wishes.append(heard.request.keep_alive_s)
        end = speech.Spoken("v") if heard.request.op.startswith("synth") else speech.Transcribed("e")
        daemon.tell(heard.request.id, events.Accepted("t"), end, peer=heard.peer)

    with ScriptedDaemon(tmp_path / "s", script=script), Client("test", socket=tmp_path / "s") as client:
        client.transcribe(b"\0\0", 16_000, keep_alive_s=1)
        client.synthesize("hi", keep_alive_s=2)
        list(client.transcribe_stream(keep_alive_s=3))
        list(client.synthesize_stream(keep_alive_s=4))
        client.synthesize("hi")
    assert wishes == [1, 2, 3, 4, None]


def test_words_are_compared_as_they_are_said() -> None:
    assert wer.rate([("It's 21 degrees, Mr. Ö!", "its twenty one degrees mister ö")]) == 0
    assert wer.rate([("one two three four", "one too three")]) == 0.5
