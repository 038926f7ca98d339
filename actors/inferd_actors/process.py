"""What the keeper has Ray start: one actor process, whatever its kind. A plain class that knows nothing of Ray.

Covers: beginning the host's thread and telling that it lives. Orders to an actor come over its own line (`host`); a Ray
call is made twice in a life, `start` and `wait`, and never for a request.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from inferd_actors.host import ActorSpec


class Process:
    """One actor process. Made by Ray; every method returns at once but `wait`."""

    def __init__(self, spec: ActorSpec) -> None:
        self._thread = threading.Thread(target=_live, args=(spec,), name="host", daemon=True)

    def start(self) -> int:
        """Begin the actor's life and return the process id."""
        self._thread.start()
        return os.getpid()

    def wait(self) -> None:
        """Block for the process's life: the end of this call is how its death is noticed."""
        threading.Event().wait()


def _live(spec: ActorSpec) -> None:
    """Serve, then end the process: one that lost its line must not look alive."""
    code = 1
    try:
        if spec.kind != "model":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # half a GiB of a GPU, only for having seen it
        _serve(spec)
        code = 0
    except BaseException:  # noqa: BLE001 - told here, then the process ends
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)  # an interpreter's teardown hangs on the threads of GPU libraries


def _serve(spec: ActorSpec) -> None:
    """Live the life of this kind; each is imported in its own process alone."""
    match spec.kind:
        case "model":
            from inferd_actors.model import serve
        case "router":
            from inferd_actors.router import serve
        case "keypool":
            from inferd_actors.keypool import serve
        case "tracker":
            from inferd_actors.tracker import serve
        case "vocab":
            from inferd_actors.vocab import serve
        case "keeper":
            raise ValueError("a keeper is no actor")
        case _:
            assert_never(spec.kind)
    serve(spec)
