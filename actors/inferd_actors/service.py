"""The life of the service's own actors: greet the daemon, answer for their counters, leave when told.

Covers: what `router`, `keypool` and `tracker` have in common. Does not cover a model's life: `model`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from inferd import wire
from inferd.errors import InferenceError
from inferd_actors import messages
from inferd_actors.host import ActorSpec, Line, prepare_process

PROTOCOL: Final = 1


def serve_plain(spec: ActorSpec, *, stats: Callable[[], Mapping[str, float]] = dict) -> None:
    """Live as this actor until told to leave. Blocks. `stats()` runs in this thread and must not block."""
    prepare_process()
    began_s = time.monotonic()

    def greeting() -> Sequence[bytes]:
        hello = messages.ActorHello(spec.kind, spec.life, os.getpid(), spec.secret, PROTOCOL, spec.model)
        return messages.encode_control(hello)

    def hear(frames: Sequence[wire.Frame]) -> None:
        try:
            message = wire.decode(frames, messages.TO_ACTOR)
        except InferenceError:
            return  # the daemon is newer than this process; what it asks finds no answer, and it will give up on us
        match message:
            case messages.AskStats():
                counters = {"up_s": time.monotonic() - began_s, **stats()}
                line.send(messages.encode_control(messages.Stats(counters)))
            case messages.Leave():
                line.send(messages.encode_control(messages.Left("told to")))
                line.close()

    line = Line(spec.address, greeting=greeting, on_message=hear)
    line.run()
