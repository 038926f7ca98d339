"""Who hears and who speaks, in the loop: chosen, told with the reason, changed by the policy, kept in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from house import House, house

from inferd.messages import operations as ops
from inferd.messages import speech
from inferd.messages.events import Error, Event
from inferd.messages.speech import SetSpeechPolicy, SpeechHealth, SpeechPolicy, SpeechReport, SpeechStatus
from inferd_actors import engines
from inferd_daemon.lifecycle import FilesChanged
from inferd_daemon.speech_policy import PolicyFile

TINY, BASE, JOE = "openai/whisper-tiny.en:int8", "openai/whisper-base:int8", "piper/en_us-joe-medium:f32"
THORSTEN = "rhasspy/piper-de-de-thorsten:medium"


@pytest.fixture(autouse=True)
def _everything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "missing", lambda _name: ())


@pytest.fixture
def home() -> Iterator[House]:
    with house() as built:
        built.connect()
        built.keeper_comes()
        built.settle()
        yield built


def end(home: House, operation: ops.Operation) -> Event:
    asked = home.ask(operation, model=None)
    home.run(lambda: None)
    home.settle()
    home.wait_until(lambda: bool(asked.ends))
    return asked.end


def told(home: House, operation: ops.Operation) -> SpeechHealth:
    event = end(home, operation)
    assert isinstance(event, SpeechReport), event
    return event.health


def store(home: House, *names: str) -> None:
    for name in names:
        home.store.stored.add(name)
        model = home.catalogue.find(name).id
        home.run(partial(home.fleet.step, FilesChanged(model, stored=True), home.clock[0]))
    home.settle()


def test_without_any_file_the_smallest_are_chosen_and_what_is_missing_is_told(home: House) -> None:
    found = told(home, SpeechStatus())
    assert (found.ear.model, found.voice.model) == (TINY, JOE)
    assert not found.healthy
    assert found.ear.available
    assert not found.ear.weights_ready
    assert f"inferd pull {TINY}" in found.ear.next
    assert found.ear.size_bytes > 0
    assert found.policy == SpeechPolicy()


def test_what_is_stored_is_chosen_and_nothing_is_missing(home: House) -> None:
    store(home, BASE, JOE)
    found = told(home, SpeechStatus())
    assert found.healthy
    assert (found.ear.model, found.ear.reason) == (BASE, "is stored")
    assert not found.ear.loaded
    assert home.supervisor.default_model("transcribe_stream") == BASE
    assert home.supervisor.default_model("synthesize") == JOE


def test_a_request_in_another_language_goes_to_an_ear_that_knows_it(home: House) -> None:
    store(home, TINY, BASE)
    assert home.supervisor.default_model("transcribe") == TINY
    assert home.supervisor.default_model("transcribe", "de") == BASE


def test_a_policy_counts_at_once_and_after_a_restart(home: House) -> None:
    store(home, TINY, BASE, JOE)
    found = told(home, SetSpeechPolicy(language="de", prefer="quality", ear="whisper-tiny.en"))
    policy = SpeechPolicy("de", "quality", "whisper-tiny.en")
    assert (found.policy, found.ear.model, found.ear.reason) == (policy, TINY, "set by the policy")
    assert found.voice.model == THORSTEN
    file = home.rows_file.with_name("speech.json")
    assert PolicyFile(file).policy == policy
    assert told(home, SetSpeechPolicy(language="", ear="")).ear.model == BASE
    assert PolicyFile(file).policy == SpeechPolicy(prefer="quality")


@pytest.mark.parametrize(
    ("wish", "code", "says"),
    [
        (SetSpeechPolicy(ear="joe"), "invalid_request", "body.ear"),
        (SetSpeechPolicy(voice="whisper-tiny.en"), "invalid_request", "body.voice"),
        (SetSpeechPolicy(voice="nobody"), "model_not_found", "nobody"),
        (SetSpeechPolicy(language="x"), "invalid_request", "body.language"),
        (SetSpeechPolicy(language="de\n"), "invalid_request", "body.language"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_and_changes_nothing(
    home: House, wish: SetSpeechPolicy, code: str, says: str
) -> None:
    refused = end(home, wish)
    assert isinstance(refused, Error)
    assert refused.code == code
    assert says in refused.message
    assert told(home, SpeechStatus()).policy == SpeechPolicy()
    assert not home.rows_file.with_name("speech.json").exists()


def test_an_engine_that_is_not_installed_is_told_with_the_line_that_installs_it(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "missing", lambda name: ("faster_whisper",) if name == "faster_whisper" else ())
    found = told(home, SpeechStatus())
    for stage in (found.ear, found.vad):
        assert not stage.available
        assert "pip install 'inferd[speech]'" in stage.next
    assert found.voice.available


def test_a_named_model_that_has_left_the_list_is_told(home: House) -> None:
    row = {"engine": "piper", "capabilities": ["synthesize"], "file": "/nowhere"}
    home.rows_file.write_text(json.dumps({"models": {"me/voice:x": row}}))
    assert told(home, SetSpeechPolicy(voice="me/voice:x")).voice.model == "me/voice:x"
    home.rows_file.write_text(json.dumps({"models": {}}))
    found = told(home, SpeechStatus()).voice
    assert found.model == ""
    assert "me/voice:x" in found.problem
    refused = end(home, speech.Synthesize("hi"))
    assert isinstance(refused, Error)
    assert refused.code == "model_not_found"


@pytest.mark.parametrize("text", ["{", "[]", '{"prefer": "speed"}', '{"language": 7}', "x" * 70_000])
def test_a_broken_file_leaves_the_defaults_is_told_and_is_not_written_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "speech.json").write_text(text)
    broken = PolicyFile(tmp_path / "speech.json")
    assert broken.policy == SpeechPolicy()
    assert "speech.json" in broken.problem
    with pytest.raises(Exception, match="correct the file"):
        broken.changed(SetSpeechPolicy(prefer="quality"))
