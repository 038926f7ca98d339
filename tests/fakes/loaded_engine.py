"""An engine under test: how it is loaded, asked, listened to and closed, whatever it computes.

Covers: `LoadedEngine`. See also: `hearing_rig`, `voice_rig`, `engine_kinds`, which know what to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Generic, Self, TypeVar

from listening_sink import ListeningSink

from inferd.messages.control import Priority
from inferd.messages.operations import Operation
from inferd_actors.engine import Engine, Sink, StreamId, Submission

E_co = TypeVar("E_co", bound=Engine, covariant=True)


class LoadedEngine(Generic[E_co]):
    """What `make` makes, with a model in it."""

    def __init__(
        self, make: Callable[[Sink], E_co], path: str, options: Mapping[str, str | int | float | bool]
    ) -> None:
        self.sink = ListeningSink()
        self.engine = make(self.sink)
        self.progress: list[tuple[float, str]] = []
        self._numbers = count(1)
        self.capacity = self.engine.load(path, options, lambda *told: self.progress.append(told))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()
        assert not self.sink.failures

    def submit(self, operation: Operation, priority: Priority = "interactive") -> StreamId:
        """Ask for something."""
        stream = StreamId(next(self._numbers))
        self.engine.submit(Submission(stream, "me/model:1", operation, priority, "1000/test", 0.25, 0.5))
        return stream
