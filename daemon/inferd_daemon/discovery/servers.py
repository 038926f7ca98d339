"""One GET to a server on this machine, within bounds of time and size: the only place that speaks HTTP here.

Covers: loopback alone, no proxy, no redirect, no credentials. Why not a library: this is one request to an address that
cannot be another. What answers may be anything that listens there.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

HOST: Final = "127.0.0.1"

PATIENCE_S: Final = 2.0
"""For the whole answer. These servers answer such a question from memory, in milliseconds; the app waits 10 s in all."""

MAX_BYTES: Final = 4 * 2**20
"""Of an answer: thousands of models; more is no list of models."""


class Unusable(Exception):
    """Somebody answered, and not with JSON in good time; the message says what came."""


def get(port: int, path: str) -> object:
    """Return the JSON that a server on `port` answers. Blocks for PATIENCE_S at most.

    Raises ConnectionRefusedError when nobody listens there, Unusable for any other answer than one document of JSON.
    """
    body = _body(port, path)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Unusable(f"its answer to {path} is no JSON") from None


def _body(port: int, path: str) -> bytes:
    late = threading.Event()
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE_S)
    try:
        connection.connect()
        with _cut_off(connection.sock, late):
            body = _ask(connection, path)
    except ConnectionRefusedError:
        raise
    except (OSError, http.client.HTTPException) as wrong:
        if late.is_set() or isinstance(wrong, TimeoutError):
            raise _late(path) from None
        raise Unusable(f"its answer to {path} is no HTTP: {type(wrong).__name__}") from None
    finally:
        connection.close()
    if late.is_set():  # what was read by then looks complete if the server had told no length
        raise _late(path)
    return body


def _ask(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path, headers={"Accept": "application/json"})
    response = connection.getresponse()
    if response.status != http.client.OK:
        raise Unusable(f"it answered {path} with status {response.status}")
    body = response.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise Unusable(f"its answer has more than {MAX_BYTES:,} bytes")
    return body


@contextmanager
def _cut_off(line: socket.socket, late: threading.Event) -> Iterator[None]:
    """End what is read in the block after PATIENCE_S: a socket's own timeout starts anew with every byte that trickles in."""

    def cut() -> None:
        late.set()
        with suppress(OSError):  # it has just ended by itself
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(PATIENCE_S, cut)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _late(path: str) -> Unusable:
    return Unusable(f"it did not answer {path} within {PATIENCE_S:g} s")
