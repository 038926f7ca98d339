"""A llama.cpp engine under test: how it is opened, asked, held still and heard.

Covers: `Rig`, and the comparison of two answers to the same request. Does not cover models: `tiny_models`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from listening_sink import PATIENCE_S, ListeningSink
from waiting import until

from inferd.messages.control import Priority
from inferd.messages.events import Finished, TextDelta, TokenLogprob
from inferd.messages.operations import Generate, Message
from inferd_actors.engine import EngineEvent, StreamId, Submission
from inferd_actors.engines.llama_cpp.engine import LlamaCpp

CONTEXT_TOKENS: Final = 512


class HoldingSink(ListeningSink):
    """A sink that can hold the engine between two steps, as the host does when its line is full."""

    def __init__(self) -> None:
        super().__init__()
        self._until: Callable[[], bool] | None = None
        self._is_held = False
        self._holds, self._goes = threading.Semaphore(0), threading.Semaphore(0)

    def emit(self, batch: Sequence[tuple[StreamId, EngineEvent]]) -> None:
        super().emit(batch)
        if self._until is not None and self._until():
            self._until = None
            self._holds.release()
            assert self._goes.acquire(timeout=PATIENCE_S), "nobody let the engine go on"

    def hold_when(self, streams: Sequence[StreamId], deltas: int) -> None:
        """Have the engine held in the step after which each of these has so many deltas; one that is held goes on until then.

        Said before they are asked for, or while the engine is held: it may be faster otherwise.
        """
        self._until = lambda: all(len(self._texts(stream)) >= deltas for stream in streams)
        if self._is_held:
            self.let_go()

    def hold(self, streams: Sequence[StreamId] = (), deltas: int = 0) -> None:
        """As `hold_when`, and return when it is held."""
        self.hold_when(streams, deltas)
        self.held()

    def held(self) -> None:
        """Return when the engine is held."""
        assert self._holds.acquire(timeout=PATIENCE_S), "the engine did not come so far"
        self._is_held = True

    def let_go(self) -> None:
        """Let the engine go on."""
        self._is_held = False
        self._goes.release()


class Rig:
    """A loaded engine."""

    def __init__(self, path: Path, **options: str | float | bool) -> None:
        self.sink = HoldingSink()
        self.engine = LlamaCpp(self.sink)
        self._n_asked = 0
        chosen = {"context_tokens": CONTEXT_TOKENS, "slots": 4, "threads": 1, **options}
        self.capacity = self.engine.load(str(path), chosen, lambda done, phase: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sink.let_go()
        self.engine.close()
        assert not self.sink.failures

    def ask(
        self,
        text: str | tuple[Message, ...],
        *,
        priority: Priority = "interactive",
        salt: str = "salt",
        **fields: Any,  # noqa: ANN401 - fields of the case
    ) -> StreamId:
        """Begin an answer; greedy, 24 tokens, with log-probabilities, unless the case says otherwise."""
        chosen = {"max_tokens": 24, "temperature": 0.0, "logprobs": 2, **fields}
        talk = (Message("user", text),) if isinstance(text, str) else text
        asked = Generate(talk, **chosen)
        self._n_asked += 1
        stream = StreamId(self._n_asked)
        self.engine.submit(Submission(stream, "me/model:1", asked, priority, salt, 0.0, 0.0))
        return stream

    def begin(self, text: str, *, deltas: int, **fields: Any) -> StreamId:  # noqa: ANN401 - as `ask`
        """Begin an answer, and return when the engine is held in the step after which it has so many deltas."""
        self.sink.hold_when([StreamId(self._n_asked + 1)], deltas)
        stream = self.ask(text, **fields)
        self.sink.held()
        return stream

    def ask_meanwhile(self, text: str, **fields: Any) -> StreamId:  # noqa: ANN401 - as `ask`
        """Begin an answer while the engine is held and others write; the next step will know of this one."""
        stream = self.ask(text, **fields)
        until(lambda: any(made.stream == stream for made in tuple(self.engine._made)), "the prompt is prepared")
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


def distance(alone: Sequence[TokenLogprob], other: Sequence[TokenLogprob]) -> float:
    """Return how far two answers to one request are apart: the largest difference between log-probabilities of a token.

    Looked at as far as both have the same tokens, and at the first place where they differ: floats are summed in another order
    when more is computed at once, so that of two tokens that are nearly as likely the other may be taken; what follows is
    another text. Infinite: one is a part of the other, or they have no likely token in common.
    """
    furthest = 0.0
    for one, two in zip(alone, other, strict=False):
        likely = {top.token: top.logprob for top in two.top}
        shared = [abs(top.logprob - likely[top.token]) for top in one.top if top.token in likely]
        furthest = max(furthest, max(shared, default=float("inf")))
        if one.token != two.token:
            return furthest
    return furthest if len(alone) == len(other) else float("inf")
