"""Many requests at once in the llama.cpp engine: each is answered as if it were alone, whatever happens around it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from engine_rig import Rig, gap

from inferd.messages.control import PRIORITIES
from inferd.messages.events import TERMINALS, Finished, Parked, Resumed, TokenLogprob
from inferd_actors import engines
from inferd_actors.engine import StreamId
from inferd_daemon.catalogue import curated

pytestmark = pytest.mark.skipif(
    bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"
)

CLOSE = 0.1
"""Natural logarithm: two tokens of which neither is a tenth likelier than the other may change places."""
TEXTS = [f"Tell me about {what}, and why." for what in ("amber", "the birch", "cedar wood", "a dahlia", "old elder")]

Alone = Callable[..., list[TokenLogprob]]


@pytest.fixture(scope="module", params=["chat", "recurrent", "windowed", "starter"])
def path(request: pytest.FixtureRequest) -> Path:
    if request.param == "starter":
        found = request.getfixturevalue("starter_store").path(curated().starter)
        assert isinstance(found, Path)
        return found
    models: Mapping[str, Path] = request.getfixturevalue("tiny_models")
    return models[request.param]


@pytest.fixture(scope="module")
def alone(path: Path) -> Iterator[Alone]:
    """Yield how a request is answered by an engine that has one seat and keeps nothing."""
    with Rig(path, slots=1, prefixes=0, shelf_bytes=0) as rig:

        @functools.cache
        def answered(text: str, **fields: Any) -> list[TokenLogprob]:  # noqa: ANN401 - fields of the case
            return rig.tokens(rig.ask(text, **fields))

        yield answered


def test_each_answer_in_a_batch_is_the_answer_alone(path: Path, alone: Alone) -> None:
    with Rig(path) as rig:
        streams = [rig.ask(text) for text in TEXTS]
        for text, stream in zip(TEXTS, streams, strict=True):
            assert gap(alone(text), rig.tokens(stream)) < CLOSE


@pytest.mark.parametrize("fields", [{}, {"temperature": 0.9, "top_k": 40, "seed": 7}], ids=["greedy", "by chance"])
def test_voice_takes_a_seat_and_who_was_parked_goes_on_as_if_nothing_had_been(
    path: Path, alone: Alone, fields: Mapping[str, Any]
) -> None:
    with Rig(path, slots=2) as rig:
        low = [rig.ask(text, priority="background", max_tokens=40, **fields) for text in TEXTS[:2]]
        rig.sink.hold_after(low, 2)
        rig.sink.held()
        spoken = rig.ask(TEXTS[2], priority="voice", **fields)
        rig.sink.let_go()
        assert gap(alone(TEXTS[2], **fields), rig.tokens(spoken)) < CLOSE
        answers = [rig.tokens(stream) for stream in low]
        moves = [[event for event in rig.sink.events(one) if isinstance(event, Parked | Resumed)] for one in low]
    assert moves == [[], [Parked(), Resumed()]]
    for text, answer in zip(TEXTS, answers, strict=False):
        assert gap(alone(text, max_tokens=40, **fields), answer) < CLOSE


def test_requests_that_do_not_fit_at_once_are_answered_one_after_the_other(path: Path, alone: Alone) -> None:
    with Rig(path, context_tokens=256, cache_tokens=256, slots=4) as rig:
        texts = [text + " And then?" * 25 for text in TEXTS]
        streams = [rig.ask(text, priority=PRIORITIES[at % 4]) for at, text in enumerate(texts)]
        for text, stream in zip(texts, streams, strict=True):
            assert gap(alone(text), rig.tokens(stream)) < CLOSE


def test_thirty_requests_of_all_classes_over_four_seats(path: Path, alone: Alone) -> None:
    with Rig(path) as rig:
        asked: list[tuple[str, StreamId]] = []
        for at in range(30):
            text = TEXTS[at % len(TEXTS)]
            asked.append((text, rig.ask(text, priority=PRIORITIES[at % 4], salt=f"app {at % 2}")))
        for text, stream in asked:
            assert gap(alone(text), rig.tokens(stream)) < CLOSE
            events = rig.sink.events(stream)
            assert sum(isinstance(event, TERMINALS) for event in events) == 1
            assert isinstance(events[-1], Finished)
            moves = [type(event) for event in events if isinstance(event, Parked | Resumed)]
            assert moves == [Parked, Resumed] * (len(moves) // 2)
        assert rig.engine.stats()["busy"] == 0
