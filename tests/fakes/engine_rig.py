"""A llama.cpp engine under test: how it is opened, asked, held still and heard.

Covers: `Rig`, and the comparison of two answers to the same request. Does not cover models: `tiny_models`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

from listening_sink import PATIENCE_S, ListeningSink

from inferd.messages.control import Priority
from inferd.messages.events import Finished, TextDelta, TokenLogprob
from inferd.messages.operations import Generate, Message
from inferd_actors import engines
from inferd_actors.engine import Engine, EngineEvent, StreamId, Submission

CONTEXT_TOKENS: Final = 512


class HoldingSink(ListeningSink):
    """A sink that can hold the engine between two steps, as the host does when its line is full."""

    def __init__(self) -> None:
        super().__init__()
        self._until: Callable[[], bool] | None = None
        self._is_held = threading.Event()
        self._may_go = threading.Event()

    def emit(self, batch: Sequence[tuple[StreamId, EngineEvent]]) -> None:
        super().emit(batch)
        if self._until is not None and self._until():
            self._until = None
            self._is_held.set()
            assert self._may_go.wait(PATIENCE_S), "nobody let the engine go on"

    def hold_after(self, streams: Sequence[StreamId], deltas: int) -> None:
        """Hold the engine in the step after which each of these has so many deltas."""
        self._is_held.clear()
        self._may_go.clear()
        self._until = lambda: all(len(self._texts(stream)) >= deltas for stream in streams)

    def held(self) -> None:
        """Return when the engine is held."""
        assert self._is_held.wait(PATIENCE_S), "the engine did not come so far"

    def let_go(self) -> None:
        """Let the engine go on."""
        self._may_go.set()


class Rig:
    """A loaded engine."""

    def __init__(self, path: Path, **options: str | float | bool) -> None:
        self.sink = HoldingSink()
        self.engine: Engine = engines.factory("llama_cpp")(self.sink)
        self._numbers = count(1)
        chosen = {"context_tokens": CONTEXT_TOKENS, "slots": 4, **options}
        self.capacity = self.engine.load(str(path), chosen, lambda done, phase: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sink.let_go()
        self.engine.close()
        assert not self.sink.failures

    def ask(
        self,
        text: str,
        *,
        priority: Priority = "interactive",
        salt: str = "salt",
        **fields: Any,  # noqa: ANN401 - fields of the case
    ) -> StreamId:
        """Begin an answer; greedy, 24 tokens, with log-probabilities, unless the case says otherwise."""
        chosen = {"max_tokens": 24, "temperature": 0.0, "logprobs": 2, **fields}
        asked = Generate((Message("user", text),), **chosen)
        stream = StreamId(next(self._numbers))
        self.engine.submit(Submission(stream, "me/model:1", asked, priority, salt, 0.0, 0.0))
        return stream

    def tokens(self, stream: StreamId) -> list[TokenLogprob]:
        """Return the tokens of an answer that asked for log-probabilities, waiting for its end."""
        deltas = [event for event in self.sink.whole(stream) if isinstance(event, TextDelta)]
        return [token for delta in deltas for token in delta.logprobs]

    def finished(self, stream: StreamId) -> Finished:
        """Return how an answer ended, waiting for it."""
        end = self.sink.whole(stream)[-1]
        assert isinstance(end, Finished), end
        return end

    def cached(self, stream: StreamId) -> int:
        """Return how many tokens of a prompt had been computed before, waiting for the end."""
        return self.finished(stream).usage.cached_tokens


def gap(alone: Sequence[TokenLogprob], other: Sequence[TokenLogprob]) -> float:
    """Return 0 for the same tokens, else how far apart the two were, alone, where the answers first differ.

    Sums of floats depend on how much is computed at once, so that of two tokens that are nearly as likely the other may be
    taken. Infinite: one is longer, or the other's token was not the second likeliest.
    """
    for one, two in zip(alone, other, strict=False):
        if one.token != two.token:
            return next((one.logprob - top.logprob for top in one.top if top.token == two.token), float("inf"))
    return 0.0 if len(alone) == len(other) else float("inf")
