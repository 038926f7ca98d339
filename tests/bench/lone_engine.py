"""A child of `bench_stream`: the engine alone in a process, as an app would drive it that had loaded the model itself.

`lone_engine.py ENGINE FILE OPTIONS`: the same engine, file and options as in the daemon's actor; events end in a list.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from child import Json, say, serve

from inferd import wire
from inferd.messages.events import Finished, TextDelta
from inferd.messages.operations import Generate
from inferd_actors import engines
from inferd_actors.engine import EngineEvent, StreamId, Submission


class Ear:
    """A sink that keeps the times and texts of one stream."""

    def __init__(self) -> None:
        self.first_s = 0.0
        self.text: list[str] = []
        self.end: EngineEvent | None = None
        self.ended = threading.Event()

    def emit(self, batch: Sequence[tuple[StreamId, EngineEvent]]) -> None:
        """Take the events of one step."""
        for _, event in batch:
            if isinstance(event, TextDelta):
                self.first_s = self.first_s or time.monotonic()
                self.text.append(event.text)
            elif wire.tag(type(event)) in ("done", "error", "cancelled"):
                self.end = event
                self.ended.set()

    def grant(self, stream: StreamId, limit_seq: int, limit_bytes: int) -> None:
        """Nothing is fed here."""

    def urgent(self, *, is_urgent: bool) -> None:
        """Nobody steps aside."""

    def alive(self) -> None:
        """Nobody asks."""

    def fatal(self, reason: str) -> None:
        """End the process: the bench then says so."""
        sys.stderr.write(f"{reason}\n")
        os._exit(1)

    def clear(self) -> None:
        """Be ready for the next stream."""
        self.first_s, self.text, self.end = 0.0, [], None
        self.ended.clear()


class Lone:
    """The engine and what was heard of it."""

    def __init__(self, engine: str, file: str, options: dict[str, Any]) -> None:
        self._ear = Ear()
        self._engine = engines.factory(engine)(self._ear)
        self._engine.load(file, options, lambda _progress, _phase: None)
        self._streams = 0

    def answer(self, operation: Json) -> Json:
        """Run one request to its end and return seconds to the first text and to the end, tokens and text."""
        self._ear.clear()
        self._streams += 1
        asked_s = time.monotonic()
        self._engine.submit(
            Submission(
                StreamId(self._streams),
                model="lone",
                operation=wire.from_fields(operation, Generate),
                priority="interactive",
                salt="bench",
                queue_s=0.0,
                load_s=0.0,
            )
        )
        self._ear.ended.wait()
        ended_s = time.monotonic()
        if not isinstance(self._ear.end, Finished):
            raise TypeError(f"the stream ended with {self._ear.end}")
        return {
            "first_s": self._ear.first_s - asked_s,
            "whole_s": ended_s - asked_s,
            "tokens": self._ear.end.usage.completion_tokens,
            "text": "".join(self._ear.text),
        }


if __name__ == "__main__":
    lone = Lone(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
    say(ready=True)
    serve(lone.answer)
