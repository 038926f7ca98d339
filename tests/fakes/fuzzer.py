"""Throws mutated messages at a daemon's two sockets: `python fuzzer.py RUNTIME_DIR SEED SECONDS`, then says how many.

Mutations of messages that were in order: flipped bits, cuts, splices, other values in a field, frames too many and too
few, lengths that are lies, nests, sizes past each limit. It never asks the daemon to stop, pull or unload: only what harms.
"""

from __future__ import annotations

import contextlib
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgpack
import zmtp

from inferd import wire
from inferd.messages import control, operations
from inferd.messages.bounds import Blob
from inferd.messages.events import TextDelta
from inferd_actors import messages as actors

Frames = list[bytes]
Mutation = Callable[[random.Random, Frames], Frames]

ECHO: Final = "inferd/echo:default"
MESSAGES_PER_CONNECTION: Final = 40
"""Several times what a daemon hears before it hangs up: what is left in its buffers then is part of the test."""
GIANTS: Final = (9 * 2**20, 17 * 2**20, 33 * 2**20)
"""Past the limit of a header, of a blob, of a frame."""
GIANT_CHANCE: Final = 0.002
WHOLE_CHANCE: Final = 0.3
"""Messages in order among the others: so that what follows meets live requests."""
AT_APPS: Final = 0.8
HELLO_CHANCE: Final = 0.9
BROKEN_CHANCE: Final = 0.005
"""Of breaking the frames themselves: it ends the connection, so it must be rare."""
LISTEN_CHANCE: Final = 0.7
"""Of waiting for an answer before leaving."""
HELLO: Final = wire.encode(control.Hello(1, 1, "fuzzer", "f" * 32))


def _request(number: int, operation: operations.Operation, model: str | None = ECHO) -> Frames:
    body: Any = {}
    request = control.Request(number, "", body, control.Window(16, 1 << 20), 5_000, model=model)
    return wire.encode_request(request, operation)


GENERATE: Final = operations.Generate(
    (operations.Message("system", "be brief"), operations.Message("user", "one two three")),
    max_tokens=5,
    stop=("three",),
    logit_bias={"7": 1.0},
    tools=({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},),
)
FROM_APPS: Final[Sequence[Frames]] = (
    HELLO,
    _request(1, operations.Generate((operations.Message("user", "one two three four"),), max_tokens=5)),
    _request(2, GENERATE),
    _request(3, operations.Loopback()),
    _request(4, operations.ListModels(), None),
    _request(5, operations.Status(), None),
    *(
        wire.encode(message)
        for message in (
            control.Credit(1, 1, 64, 1 << 20),
            control.Feed(3, 1, data=Blob(bytes(640))),
            control.Feed(3, 2, offset=320, text="la"),
            control.Finish(3),
            control.Pause(3),
            control.Resume(3),
            control.Played(3, 0, 20),
            control.Cancel(1),
            control.Reattach(2, 1, 64, 1 << 20),
            control.Ping(1),
            control.Ping(2, ECHO),
            control.Goodbye("enough"),
        )
    ),
)
FROM_ACTORS: Final[Sequence[Frames]] = (
    actors.encode_control(actors.ActorHello("model", 1, 1, "f" * 32, 1, ECHO)),
    actors.encode_control(actors.ActorHello("keeper", 0, 1, "f" * 32, 1)),
    actors.encode_control(actors.Alive(1, 1, idle=False)),
    actors.encode_control(actors.KeeperReady((actors.HeldLife(1, "model", ECHO, 1, "f" * 64),), (1, 2))),
    [actors.pong_route(1), *actors.forward_ping(1, 1)[1:]],
    [
        actors.pack_route(actors.KIND_EVENTS, 1, [actors.Row(1, 1, 1, 9, is_terminal=False)]),
        *wire.join_events([wire.pack_event(1, 1, TextDelta("x"))]),
    ],
)
VALUES: Final[Sequence[object]] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**53,
    2**63,
    2**64 - 1,
    -(2**63),
    0.5,
    math.nan,
    math.inf,
    "",
    "\0",
    "x" * 5_000,
    "\u202e",
    b"",
    b"\xff" * 300,
    [],
    {},
    [0] * 5_000,
    [[]] * 500,
    {str(key): key for key in range(2_000)},
    {"type": "hello"},
    msgpack.ExtType(1, b"\0"),
    msgpack.ExtType(1, b"\xff"),
    msgpack.ExtType(9, b"?"),
    msgpack.Timestamp(1, 1),
)
LIES: Final = (
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01",
    b"\x91" * 2_000,
    b"\x81\xa1a" * 700,
    b"\xc1",
)
"""Beginnings that promise more than there is, or deeper than can be."""


def _flip(rng: random.Random, frames: Frames) -> Frames:
    changed = bytearray(frames[0])
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return [bytes(changed), *frames[1:]]


def _cut(rng: random.Random, frames: Frames) -> Frames:
    return [frames[0][: rng.randrange(len(frames[0]))], *frames[1:]]


def _splice(rng: random.Random, frames: Frames) -> Frames:
    other = rng.choice(FROM_APPS)[0]
    return [frames[0][: rng.randrange(len(frames[0]))] + other[rng.randrange(len(other)) :], *frames[1:]]


def _lie(rng: random.Random, frames: Frames) -> Frames:
    at = rng.randrange(len(frames[0]))
    return [frames[0][:at] + rng.choice(LIES) + frames[0][at:], *frames[1:]]


def _swap(rng: random.Random, frames: Frames) -> Frames:
    """Put another value somewhere into the tree, leave a key out, or add one."""
    tree = msgpack.unpackb(frames[0], ext_hook=msgpack.ExtType, strict_map_key=False)
    places = list(_places(tree))
    container, key = rng.choice(places)
    match rng.randrange(4):
        case 0 if isinstance(container, dict) and key != "type":
            del container[key]
        case 1 if isinstance(container, dict):
            container[rng.choice(["model", "op", "id", "xyz", ""])] = rng.choice(VALUES)
        case _:
            container[key] = rng.choice(VALUES)
    return [msgpack.packb(tree), *frames[1:]]


def _places(tree: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401 - a decoded msgpack value is anything
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
    return [(tree, key) for key in keys] + [place for key in keys for place in _places(tree[key])]


def _crowd(rng: random.Random, frames: Frames) -> Frames:
    return [*frames, *[rng.randbytes(rng.randint(0, 50))] * rng.randint(1, 300)]


def _thin(rng: random.Random, frames: Frames) -> Frames:
    return [b"", *frames] if rng.random() < 0.5 else frames[1:] or [b""]


def _noise(rng: random.Random, frames: Frames) -> Frames:
    return [rng.randbytes(rng.randint(0, 400)) for _ in range(rng.randint(1, 3))]


MUTATIONS: Final[Sequence[Mutation]] = (_flip, _cut, _splice, _lie, _swap, _swap, _swap, _swap, _crowd, _thin, _noise)


def mutated(rng: random.Random, frames: Frames) -> Frames:
    """Return what is left of a message after one to three mutations."""
    for _ in range(rng.randint(1, 3)):
        try:
            frames = rng.choice(MUTATIONS)(rng, frames)
        except (ValueError, TypeError, IndexError, RecursionError, msgpack.exceptions.UnpackException):
            continue  # an earlier mutation left nothing that this one could read
    if rng.random() < GIANT_CHANCE:
        frames = [*frames, bytes(rng.choice(GIANTS))]
    return frames


def _connection(rng: random.Random, folder: Path) -> int:
    """Say some forty things on one connection and leave it; return how many the daemon took."""
    at_apps = rng.random() < AT_APPS
    corpus = FROM_APPS if at_apps else FROM_ACTORS
    sent = 0
    with contextlib.suppress(OSError), zmtp.greeted(folder / ("inferd.sock" if at_apps else "actors.sock")) as peer:
        if at_apps and rng.random() < HELLO_CHANCE:
            peer.sendall(zmtp.message(HELLO))
        for _ in range(rng.randint(1, MESSAGES_PER_CONNECTION)):
            frames = rng.choice(corpus)
            octets = zmtp.message(frames if rng.random() < WHOLE_CHANCE else mutated(rng, frames))
            if rng.random() < BROKEN_CHANCE:
                octets = octets[: rng.randrange(len(octets))] + rng.randbytes(rng.randint(0, 9))
            peer.sendall(octets)
            sent += 1
        if rng.random() < LISTEN_CHANCE:
            peer.recv(65_536)
    return sent


def main(folder: Path, seed: int, seconds: float) -> int:
    """Return how many messages the daemon took in this time."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    ends_s, sent = time.monotonic() + seconds, 0
    while time.monotonic() < ends_s:
        sent += _connection(rng, folder)
    return sent


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
