"""A web server on loopback with one file, which misbehaves when a test says so.

Covers: a proper server with ranges and an entity tag; acts that take the place of its next answers; what was asked. See
also: `hub_server`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from waiting import until

from inferd_daemon.store import Patience

GIVE_UP_S = 60
"""Longest wait for a client that must hang up."""
ONCE = Patience(connect_s=GIVE_UP_S, stall_s=GIVE_UP_S, tries=1)
"""Every setback is told at once."""
STEADY = replace(ONCE, tries=4, pause_s=0.0)
"""Setbacks are overcome."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its first line and its headers by lower-case names."""

    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def start_bytes(self) -> int:
        """From where on the file was asked for."""
        return int(self.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


@dataclass
class Shelf:
    """What a server has, says and was asked."""

    content: bytes = b""
    etag: str | None = '"one"'
    acts: deque[Act] = field(default_factory=deque)
    """Each takes the place of one answer; then the server is proper again."""
    asked: list[Asked] = field(default_factory=list)
    sent: threading.Event = field(default_factory=threading.Event)
    """An act has sent all it will."""
    hung_up: threading.Event = field(default_factory=threading.Event)
    """The client of a stalled answer has gone."""


class FileServer(ThreadingHTTPServer):
    """Serves `shelf.content` at every path."""

    daemon_threads = False  # so that closing waits for the handlers

    def __init__(self, handler: type[FileHandler] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), handler or FileHandler)
        self.shelf = Shelf()
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.url = f"{self.address}/models/tiny.gguf"

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base class has it
        """Say nothing: clients are killed here."""


class FileHandler(BaseHTTPRequestHandler):
    """One connection, one request."""

    server: FileServer

    def do_GET(self) -> None:
        """Answer as the next act says, or properly."""
        shelf = self.note()
        with suppress(BrokenPipeError, ConnectionResetError):
            (shelf.acts.popleft() if shelf.acts else proper)(self)

    def note(self) -> Shelf:
        """Remember what was asked."""
        shelf = self.server.shelf
        headers = {name.lower(): value for name, value in self.headers.items()}
        shelf.asked.append(Asked(self.command, self.path, headers))
        return shelf

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the beginning of an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def begin(self) -> bytes:
        """Send the head of a proper answer and return the body that belongs to it."""
        shelf, asked = self.server.shelf, self.server.shelf.asked[-1]
        tag = {"ETag": shelf.etag} if shelf.etag else {}
        start_bytes, size_bytes = asked.start_bytes, len(shelf.content)
        if asked.headers.get("if-range", shelf.etag) != shelf.etag:
            start_bytes = 0
        if start_bytes >= size_bytes > 0:
            self.head(416, {"Content-Range": f"bytes */{size_bytes}", "Content-Length": "0"})
            return b""
        body = shelf.content[start_bytes:]
        told = {"Content-Type": "application/octet-stream", "Content-Length": str(len(body)), **tag}
        if start_bytes:
            told["Content-Range"] = f"bytes {start_bytes}-{size_bytes - 1}/{size_bytes}"
        self.head(206 if start_bytes else 200, told)
        return body

    def log_message(self, *args: object) -> None:
        """Say nothing: pytest shows what tests print."""


Act = Callable[[FileHandler], None]


def proper(handler: FileHandler) -> None:
    """Send what was asked for."""
    handler.wfile.write(handler.begin())


def answering(status: int, body: bytes = b"", **headers: str) -> Act:
    """Answer with these; `_` in a header's name stands for `-`."""

    def act(handler: FileHandler) -> None:
        told = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
        handler.head(status, told)
        handler.wfile.write(body)

    return act


def unmeasured(handler: FileHandler) -> None:
    """Send the whole file without its length: its end is the end of the line."""
    handler.head(200, {"Content-Type": "application/octet-stream"})
    handler.wfile.write(handler.server.shelf.content)


def chunked(after_bytes: int | None = None) -> Act:
    """Send the whole file in chunks; with `after_bytes` break off there, without the last chunk that says so."""

    def act(handler: FileHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        tag = {"ETag": handler.server.shelf.etag} if handler.server.shelf.etag else {}
        handler.head(200, {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked", **tag})
        body = handler.server.shelf.content[:after_bytes]
        handler.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        if after_bytes is None:
            handler.wfile.write(b"0\r\n\r\n")

    return act


def partly(count: int) -> Act:
    """Send so many of the bytes that were asked for, and say so: an answer that is whole and not all."""

    def act(handler: FileHandler) -> None:
        content, start_bytes = handler.server.shelf.content, handler.server.shelf.asked[-1].start_bytes
        told = f"bytes {start_bytes}-{start_bytes + count - 1}/{len(content)}"
        handler.head(206, {"Content-Length": str(count), "Content-Range": told})
        handler.wfile.write(content[start_bytes : start_bytes + count])

    return act


def cut(after_bytes: int) -> Act:
    """Begin properly and close the line after so many bytes."""

    def act(handler: FileHandler) -> None:
        handler.wfile.write(handler.begin()[:after_bytes])
        handler.wfile.flush()

    return act


def stalled(after_bytes: int) -> Act:
    """Begin properly and say nothing more after so many bytes, until the client hangs up."""

    def act(handler: FileHandler) -> None:
        handler.wfile.write(handler.begin()[:after_bytes])
        handler.wfile.flush()
        handler.server.shelf.sent.set()
        handler.connection.settimeout(GIVE_UP_S)
        with suppress(ConnectionResetError):
            handler.connection.recv(1)
        handler.server.shelf.hung_up.set()

    return act


def stalled_until(goes_on: Callable[[], bool]) -> Act:
    """Send half of what was asked for, and the rest once `goes_on()`."""

    def act(handler: FileHandler) -> None:
        body = handler.begin()
        handler.wfile.write(body[: len(body) // 2])
        until(goes_on, "the server may go on", GIVE_UP_S)
        handler.wfile.write(body[len(body) // 2 :])

    return act


def silent(handler: FileHandler) -> None:
    """Hang up without a word."""


@contextmanager
def serving(server: FileServer) -> Iterator[FileServer]:
    """Run the server in a thread of its own."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serving_file(monkeypatch: pytest.MonkeyPatch, content: bytes) -> Iterator[FileServer]:
    """Serve one file for the length of the block, past every proxy."""
    monkeypatch.setenv("no_proxy", "*")
    with serving(FileServer()) as running:
        running.shelf.content = content
        yield running
