"""A ping from the app through the daemon to the actor and back, against the bare two hops.

The bare way has the same processes, sockets, frames and sizes, and nothing else: no packing, no checks, no second thread
at either end. Blocks of both are alternated in one run, since the state of a sleeping core is half the figure.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import zmq
from child import Child
from measure import Goal, Row, alternate, percentile, ratio_row
from service import ECHO, load, service

from inferd import wire
from inferd.messages import control
from inferd_actors import messages as actors

PINGS: Final = 400
"""Of a block: its 99th percentile has four above it."""
WARM_UP: Final = 200
BLOCKS: Final = 3
"""Pairs of blocks for each pair asked for: they are short, and what else the machine does shows in them."""
P50_GOAL: Final = Goal(1.6)
P99_GOAL: Final = Goal(2.5)


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    with service() as daemon, daemon.client("bench") as client, _bare() as bare_ping:
        load(client, ECHO)
        ours, bare = _block(lambda: client.ping(ECHO)), _block(bare_ping)
        daemon_only = _block(client.ping)
        ours(WARM_UP), bare(WARM_UP), daemon_only(WARM_UP)
        blocks = alternate(lambda _: ours(PINGS), lambda _: bare(PINGS), BLOCKS * pairs)
        half = daemon_only(PINGS)
    rows = [
        ratio_row(f"ping p{share * 100:.0f}", "ms", _percentiles(blocks, share), goal)
        for share, goal in ((0.50, P50_GOAL), (0.99, P99_GOAL))
    ]
    note = f"ping: of this, app -> daemon -> app takes {percentile(half, 0.5) * 1e3:.3f} ms p50"
    return rows, [note, f"ping: {len(blocks)} pairs of blocks of {PINGS}"]


Block = Callable[[int], list[float]]


def _block(ping: Callable[[], float]) -> Block:
    """Return what makes a number of pings and returns the seconds that each took."""
    return lambda count: [ping() for _ in range(count)]


def _percentiles(blocks: Sequence[tuple[list[float], list[float]]], share: float) -> list[tuple[float, float]]:
    return [(percentile(ours, share) * 1e3, percentile(bare, share) * 1e3) for ours, bare in blocks]


@contextmanager
def _bare() -> Iterator[Callable[[], float]]:
    """Yield the bare ping: frames of the sizes that ours has, through a forwarder to an actor that answers."""
    ask, answer = _len(control.Ping(1, ECHO)), _len(control.Pong(1, "0" * 32))
    forward, route = _len(actors.ForwardPing(1)), len(actors.pack_route(actors.KIND_PONG, 1))
    context = zmq.Context()
    with tempfile.TemporaryDirectory(prefix="ifd-") as folder:
        apps_at, actors_at = f"ipc://{folder}/apps", f"ipc://{folder}/actors"
        with Child("two_hops.py", "forward", apps_at, actors_at, str(forward)) as forwarder:
            forwarder.hear()
            with Child("two_hops.py", "echo", actors_at, str(route), str(answer)) as echo:
                echo.hear()
                dealer = context.socket(zmq.DEALER)
                dealer.connect(apps_at)
                yield _bare_ping(dealer, bytes(ask))
                dealer.close(linger=0)
    context.term()


def _bare_ping(dealer: zmq.Socket[bytes], frame: bytes) -> Callable[[], float]:
    def ping() -> float:
        asked_s = time.monotonic()
        dealer.send_multipart([frame])
        dealer.recv_multipart()
        return time.monotonic() - asked_s

    return ping


def _len(message: object) -> int:
    (frame,) = wire.encode(message)
    return len(frame)
