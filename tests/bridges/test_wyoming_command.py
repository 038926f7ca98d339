"""`inferd wyoming`: what it says, what it warns of, how it ends. The bridge is a real process, the daemon follows a script."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from wyoming_rig import HEARS, SPEAKS, SpeechDaemon

END_S = 60.0
"""For a process that was told to end; only a failing test waits that long."""


@contextmanager
def bridge(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the bridge for the length of a block; it has said where it serves."""
    command = [sys.executable, "-m", "inferd_cli", "wyoming", "--socket", str(folder / "s"), *options]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with SpeechDaemon(folder / "s"), subprocess.Popen(command, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_says_what_it_serves_and_ends_when_it_is_asked_to(tmp_path: Path, by: signal.Signals) -> None:
    options = ("--uri", "tcp://127.0.0.1:0", "--uri", f"unix://{tmp_path}/w")
    with bridge(tmp_path, *options) as process:
        assert process.stdout
        lines = [process.stdout.readline().strip() for _ in range(4)]
        assert lines[0].startswith("serving tcp://127.0.0.1:")
        assert lines[1:] == [f"serving unix://{tmp_path}/w", f"speech to text: {HEARS}", f"text to speech: {SPEAKS}"]
        process.send_signal(by)
        out, err = process.communicate(timeout=END_S)
    assert (process.returncode, out, err) == (0, "", "")
    assert not (tmp_path / "w").exists()


def test_json_has_the_same_on_one_line_and_warns_of_what_is_not_here_and_of_open_ports(tmp_path: Path) -> None:
    with bridge(tmp_path, "--json", "--uri", "tcp://0.0.0.0:0", "--tts", "anna", "--stt", "tiny") as process:
        assert process.stdout
        said = json.loads(process.stdout.readline())
    assert (said["event"], said["transcribe"], said["synthesize"]) == ("serving", [HEARS], [SPEAKS])
    is_open, is_missing = said["warnings"]
    assert "no authentication" in is_open
    assert is_missing == "'anna' is not installed: `inferd pull anna`"


@pytest.mark.parametrize(
    ("uri", "status", "said"),
    [("http://x", 2, "uri: expected"), ("unix:///nowhere/at/all/w", 1, "cannot listen on unix:///nowhere/at/all/w")],
)
def test_what_cannot_be_served_is_an_error(tmp_path: Path, uri: str, status: int, said: str) -> None:
    with bridge(tmp_path, "--uri", uri) as process:
        _, err = process.communicate(timeout=END_S)
    assert process.returncode == status
    assert err.startswith(f"error: {said}")


def test_without_the_library_it_says_how_to_install_it() -> None:
    script = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'wyoming' else find(name, *a)\n"
        "from inferd_cli.__main__ import main; sys.argv = ['inferd', 'wyoming']; main()\n"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert shown.stderr == "error: the Wyoming bridge is not installed here\nnext: pip install 'inferd[wyoming]'\n"
