"""A child of `bench_ping`: one half of the bare way there and back, as little as two hops can be.

`two_hops.py forward APPS ACTORS PREFIX_BYTES`: two ROUTERs drained in one synchronous thread, as the daemon's are; puts a
frame in front towards the actor and takes one away towards the app. `two_hops.py echo ACTORS ROUTE_BYTES REPLY_BYTES`:
the actor. Nothing is packed, checked or looked up but the sender's routing id.
"""

from __future__ import annotations

import sys

import zmq
from child import end_with_parent, say

BATCH_MESSAGES = 64
"""As in the daemon's I/O thread."""


def forward(apps_address: str, actors_address: str, prefix_bytes: int) -> None:
    """Pass messages between one app and one actor, for ever."""
    context = zmq.Context()
    apps, actors = context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)
    apps.bind(apps_address)
    actors.bind(actors_address)
    say(ready=True)
    actor, _ = actors.recv_multipart()  # its hello
    prefix = bytes(prefix_bytes)
    app = b""
    poller = zmq.Poller()
    poller.register(apps, zmq.POLLIN)
    poller.register(actors, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if actors in ready:
            for _, _route, body in _drained(actors):
                apps.send_multipart([app, body], zmq.NOBLOCK)
        if apps in ready:
            for one, body in _drained(apps):
                app = one
                actors.send_multipart([actor, prefix, body], zmq.NOBLOCK)


def _drained(socket: zmq.Socket[bytes]) -> list[list[bytes]]:
    messages: list[list[bytes]] = []
    while len(messages) < BATCH_MESSAGES:
        try:
            messages.append(socket.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            break
    return messages


def echo(actors_address: str, route_bytes: int, reply_bytes: int) -> None:
    """Answer every message, for ever."""
    dealer = zmq.Context().socket(zmq.DEALER)
    dealer.connect(actors_address)
    dealer.send(b"hello")
    say(ready=True)
    reply = [bytes(route_bytes), bytes(reply_bytes)]
    while True:
        dealer.recv_multipart()
        dealer.send_multipart(reply)


if __name__ == "__main__":
    end_with_parent()
    match sys.argv[1:]:
        case ["forward", apps_at, actors_at, prefix]:
            forward(apps_at, actors_at, int(prefix))
        case ["echo", actors_at, route, answer]:
            echo(actors_at, int(route), int(answer))
