"""`inferd speech …`: what is asked, what is printed, and the exit codes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from scripted_client import ScriptedClient, ScriptedSpeechSet
from typer.testing import CliRunner, Result

from inferd import Preflight, Problem, SmokeStep, SmokeTest, SpeechHealth, SpeechPolicy, SpeechSetup, SpeechStage
from inferd_cli.app import app

EAR = SpeechStage("a/ear:1", "is loaded", True, True, True, ("en",), 7)
VOICE = SpeechStage("a/voice:1", "is stored", True, False, False, problem="a/voice:1 is not stored", next="pull it")
VAD = SpeechStage("silero", "comes with the ear's engine", True, True, True)
LACKING = SpeechHealth(False, SpeechPolicy("de"), EAR, VOICE, VAD)
WELL = replace(LACKING, healthy=True, voice=replace(VOICE, weights_ready=True, problem="", next=""))
NEED = Preflight("a/ear:1", "fits_after_eviction", 283_000_000, "header", 0, 9, 9, 1, 10)
MISSING = Problem("voice", "a/voice:1 is \x1b[31mnot stored", "pull it", broken=True)
STEPS = (
    SmokeStep("voice", "a/voice:1", 4.0, 0.0, 2.0, 0.5, 1.0, 3.5),
    SmokeStep("ear", "a/ear:1", 4.0, 0.0, 0.0, None, 1.0, 1.1),
)


def invoke(room: ScriptedSpeechSet, *args: str) -> Result:
    result = CliRunner().invoke(app, ["speech", *args], obj=ScriptedClient(speech=room).connect)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_health_says_what_is_missing_and_who_was_chosen_why() -> None:
    result = invoke(ScriptedSpeechSet(LACKING), "health")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "missing: a/voice:1 is not stored",
        "next: pull it",
        "",
        "PART   MODEL      INSTALLED  STORED  LOADED  WHY",
        "ear    a/ear:1    yes        yes     yes     is loaded",
        "voice  a/voice:1  yes        no      no      is stored",
        "vad    silero     yes        yes     yes     comes with the ear's engine",
    ]
    assert invoke(ScriptedSpeechSet(WELL), "health").stdout.startswith("nothing is missing")
    assert json.loads(invoke(ScriptedSpeechSet(WELL), "health", "--json").stdout)["health"]["ear"]["model"] == "a/ear:1"


def test_the_policy_is_shown_and_changed_in_what_is_named_alone() -> None:
    room = ScriptedSpeechSet(WELL)
    shown = invoke(room, "policy").stdout
    assert "language: de" in shown
    assert "ear, chosen: a/ear:1 (is loaded)" in shown
    assert room.given == []
    assert invoke(room, "policy", "--prefer", "quality", "--voice", "", "--remote-too").exit_code == 0
    assert room.given == [{"language": None, "prefer": "quality", "ear": None, "voice": "", "local_only": False}]
    assert json.loads(invoke(room, "policy", "--json").stdout)["policy"]["language"] == "de"
    assert invoke(room, "policy", "--prefer", "speed").exit_code == 2


@pytest.mark.parametrize("command", ["prepare", "install"])
def test_a_setup_says_what_was_done_and_what_is_missing(command: str) -> None:
    done = SpeechSetup(False, ("fetched a/ear:1",), (MISSING,), (NEED,), LACKING)
    result = invoke(ScriptedSpeechSet(setup=done), command)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[:4] == [
        "fetched a/ear:1",
        "missing: a/voice:1 is [31mnot stored",
        "next: pull it",
        "memory: a/ear:1 takes 283 MB (fits after eviction)",
    ]
    ready = SpeechSetup(True, (), (), (), WELL)
    assert invoke(ScriptedSpeechSet(setup=ready), command).exit_code == 0
    assert json.loads(invoke(ScriptedSpeechSet(setup=ready), command, "--json").stdout)["ready"] is True


def test_the_smoke_test_shows_both_texts_and_the_times() -> None:
    done = SmokeTest(True, "hello", "Hello", 0.0, STEPS, ())
    room = ScriptedSpeechSet(smoke=done)
    result = invoke(room, "smoke-test", "hello")
    assert room.given == [("hello", False)]
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:3] == ["said: hello", "heard: Hello", "passed, word error rate 0.00"]
    assert "voice  a/voice:1  4.0 s  2.0 s  0.5 s     1.0 s   3.5 s" in result.stdout
    failed = SmokeTest(False, "", "", None, (), (MISSING,))
    result = invoke(ScriptedSpeechSet(smoke=failed), "smoke-test", "--remote")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "failed")
    assert json.loads(invoke(ScriptedSpeechSet(smoke=done), "smoke-test", "--json").stdout)["wer"] == 0
