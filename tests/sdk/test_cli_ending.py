"""Waiting for the end of processes, with real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferd_cli.ending import watching

LONG_S = 60.0
"""Never waited for in full: the processes end at once."""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is told otherwise."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_process_that_lives_on_is_named(sleeper: subprocess.Popen[bytes]) -> None:
    with watching([sleeper.pid]) as wait:
        assert wait(0.0) == {sleeper.pid}
        assert wait(0.01) == {sleeper.pid}


def test_a_process_that_nobody_has_reaped_counts_as_ended(sleeper: subprocess.Popen[bytes]) -> None:
    with watching([sleeper.pid]) as wait:
        sleeper.kill()
        assert wait(LONG_S) == frozenset()
    assert sleeper.returncode is None


def test_only_those_that_stay_are_named(sleeper: subprocess.Popen[bytes]) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
        watching([sleeper.pid, other.pid, other.pid]) as wait,
    ):
        other.kill()
        other.wait()
        assert wait(0.1) == {sleeper.pid}


def test_a_process_that_was_gone_before_is_not_waited_for(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    with watching([sleeper.pid]) as wait:
        assert wait(LONG_S) == frozenset()


def test_no_descriptor_is_left(sleeper: subprocess.Popen[bytes]) -> None:
    before = sorted(Path("/dev/fd").iterdir())
    with watching([sleeper.pid, os.getpid()]):
        pass
    assert len(sorted(Path("/dev/fd").iterdir())) == len(before)
