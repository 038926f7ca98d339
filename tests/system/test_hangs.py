"""Models that take requests and do nothing: found out, ended, replaced, told of; and nobody else notices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from daemon_process import DaemonProcess, running

import inferd
from inferd import TextDelta

STUCK, HUNG, WELL = "test/stuck:echo", "test/hung:echo", "test/well:echo"
CONFIG = """
[models."test/stuck:echo"]
engine = "echo"
engine_options = { tokens_per_s = 50, stick_after_tokens = 4 }

[models."test/hung:echo"]
engine = "echo"
engine_options = { tokens_per_s = 50, hang_after_tokens = 4 }

[models."test/well:echo"]
engine = "echo"
engine_options = { tokens_per_s = 20 }
"""
WORDS = "one two three four five six"


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running(CONFIG) as process:
        yield process


def fail(daemon: DaemonProcess, model: str) -> tuple[list[str], inferd.ModelFailed]:
    """Return the words that an answer had and how it ended."""
    heard: list[str] = []
    with daemon.client(model) as client, pytest.raises(inferd.ModelFailed) as failed:
        heard.extend(event.text for event in client.stream(WORDS, model=model) if isinstance(event, TextDelta))
    return heard, failed.value


def test_models_that_hang_with_and_without_signs_of_life_are_replaced_and_nobody_else_notices(
    daemon: DaemonProcess,
) -> None:
    over = threading.Event()

    def undisturbed() -> int:
        with daemon.client("well") as client, client.stream(WORDS, model=WELL, max_tokens=100_000) as events:
            words = 0
            for event in events:
                words += isinstance(event, TextDelta)
                if over.is_set():
                    break
        return words

    with ThreadPoolExecutor(3) as threads:
        well = threads.submit(undisturbed)
        lives = {model: daemon.model(model).life for model in (STUCK, HUNG)}
        ends = list(threads.map(lambda model: fail(daemon, model), (STUCK, HUNG)))
        over.set()
        assert well.result() > 0
    for heard, failed in ends:
        assert heard == ["one ", "two ", "three ", "four "]
        assert failed.retryable
    with daemon.client() as client:
        for model in (STUCK, HUNG):
            assert client.generate("one two", model=model).text.split() == ["one", "two"]
            assert daemon.model(model).life > lives[model]
            loads = [one for one in client.daemon.why(model) if one.kind in ("load", "failure")]
            assert [one.kind for one in loads] == ["load", "failure", "load"]
            failure = loads[1]
            assert "no step for" in failure.rule
            assert failure.help.startswith("Next attempt")
