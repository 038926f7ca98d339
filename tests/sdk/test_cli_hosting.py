"""The demo's daemon: found, started, shown when it fails, and gone afterwards. The daemon is a stand-in process."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from scripted_client import ECHO, REPORT, ScriptedClient, ScriptedDaemon, answer
from typer.testing import CliRunner, Result

from inferd import ConnectionLost, Process
from inferd_cli.app import app
from inferd_cli.client import Client
from inferd_cli.ending import watching

LIVES = "import os, pathlib, signal; pathlib.Path('pid').write_text(str(os.getpid())); signal.pause()"
HAS_A_SLOW_CHILD = f"""
import pathlib, subprocess, sys
slow = "import sys, time; sys.stdin.read(); time.sleep(0.3)"
child = subprocess.Popen([sys.executable, "-c", slow], stdin=subprocess.PIPE)
pathlib.Path("child").write_text(str(child.pid))
{LIVES}
"""
"""The child notices that the stand-in has ended, and takes its time."""
FAILS = "import sys; print('reading settings'); sys.exit('socket: expected a path\\x1b[2J')"


@dataclass
class Place:
    """Where the stand-in runs, and what it is; its daemon answers as long as the process lives."""

    root: Path
    client: ScriptedClient

    def install(self, program: str) -> None:
        room = self.root / "inferd_daemon"
        room.mkdir()
        (room / "__init__.py").touch()
        (room / "__main__.py").write_text(program)

    @property
    def pid(self) -> int | None:
        """The stand-in's process; None before it has come up."""
        written = self.root / "pid"
        return int(text) if written.exists() and (text := written.read_text()) else None

    def connect(self, socket: str | None) -> Client:
        there = self.pid is not None and alive(self.pid)
        if (child := self.root / "child").exists():
            row = Process(int(child.read_text()), "keeper", "", pss_bytes=1, cpu_s=0.0)
            self.client.daemon.report = replace(REPORT, processes=(row,))
        self.client.daemon.failure = None if there else ConnectionLost("nobody", details={"started": False})
        return self.client


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A folder of its own, where logs of the daemon are written too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = Place(
        tmp_path, ScriptedClient([answer("The ", "sea.")], daemon=ScriptedDaemon(replace(REPORT, processes=())))
    )
    yield made
    if made.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(made.pid, 9)


def demo(connect: Callable[[str | None], Client], *args: str) -> Result:
    result = CliRunner().invoke(app, ["demo", "--model", ECHO.id, *args], obj=connect)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_daemon_that_is_not_there_is_started_used_and_gone_afterwards(place: Place) -> None:
    place.install(LIVES)
    result = demo(place.connect)
    assert (result.exit_code, result.stdout) == (0, "The sea.\n")
    steps = [line.split(":")[0] for line in result.stderr.splitlines()]
    assert steps == [
        "daemon",
        "keeper",
        "model",
        "question",
        "first token after 200 ms, 1.0 tokens/s, 2 tokens",
        "daemon",
    ]
    assert place.pid is not None
    assert not alive(place.pid)
    assert list(place.root.glob("inferd-demo-*")) == []


def test_what_was_running_before_is_left_running(place: Place) -> None:
    result = demo(ScriptedClient([answer("The ", "sea.")]).connect)
    assert result.exit_code == 0
    assert "daemon: found running" in result.stderr
    assert "stopped" not in result.stderr


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # that is what is asked for
def test_a_daemon_that_is_to_be_kept_is_left_with_its_log_named(place: Place) -> None:
    place.install(LIVES)
    result = demo(place.connect, "--keep")
    assert result.exit_code == 0
    assert place.pid is not None
    assert alive(place.pid)
    (log,) = place.root.glob("inferd-demo-*.log")
    assert f"left running, pid {place.pid}, log {log}" in result.stderr


def test_a_daemon_that_fails_shows_the_end_of_its_log(place: Place) -> None:
    place.install(FAILS)
    result = demo(place.connect)
    assert result.exit_code == 3
    lines = result.stderr.splitlines()
    assert lines[:2] == ["reading settings", "socket: expected a path[2J"]
    assert any(line.startswith("error: the daemon ended with status 1, ") for line in lines)


def test_an_answer_that_fails_or_is_interrupted_leaves_nothing_behind(place: Place) -> None:
    place.install(LIVES)
    place.client.answers = [[KeyboardInterrupt()]]
    assert demo(place.connect).exit_code == 130
    assert place.pid is not None
    assert not alive(place.pid)


def test_the_processes_of_the_daemon_are_gone_too(place: Place) -> None:
    place.install(HAS_A_SLOW_CHILD)
    assert demo(place.connect).exit_code == 0
    with watching([int((place.root / "child").read_text())]) as wait:
        assert wait(0.0) == frozenset()


def test_json_tells_each_step_on_a_line(place: Place) -> None:
    place.install(LIVES)
    lines = demo(place.connect, "--json").stdout.splitlines()
    assert [line.split('"')[3] for line in lines] == [
        *["note"] * 4,
        "text_delta",
        "text_delta",
        "done",
        "note",
    ]
