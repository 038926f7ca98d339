"""The voice's thread without a voice: what a library's fault over one text does."""

from __future__ import annotations

from typing import cast

import pytest

worker = pytest.importorskip("inferd_actors.engines.piper.worker", exc_type=ImportError)

from inferd_actors.engine import StreamId  # noqa: E402 - behind the question whether it is there
from inferd_actors.engines.piper.jobs import Job, Manner, Over, Result, Utterance  # noqa: E402
from inferd_actors.engines.piper.segmenting import Piece  # noqa: E402


class Stumbling:
    """A voice that cannot say one word."""

    def utterances(self, text: str) -> list[Utterance]:
        if text == "bad":
            raise RuntimeError("no phonemes")
        return []


def job(stream: int, text: str) -> Job:
    return Job(StreamId(stream), Piece(text, range(len(text))), Manner(0, (0.0, 1.0, 0.0), 1.0), is_first=True)


def test_a_text_that_the_library_fails_over_ends_its_stream_alone() -> None:
    told: list[Result] = []
    working = worker.Worker(Stumbling(), told.append)
    for one in (job(1, "bad"), job(2, "good")):
        working.begin(one)
    working.close()
    working.run()
    bad, good = cast("list[Over]", told)
    assert bad.failure is not None
    assert "no phonemes" in bad.failure.message
    assert (good.is_whole, good.failure) == (True, None)
