"""A server of another program on loopback, for tests of discovery: it answers what a test says, or behaves badly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

GIVE_UP_S: Final = 20.0
"""Far beyond the patience of whoever asks; a test that waits for so long has failed."""


class ModelServer(ThreadingHTTPServer):
    """Answers each path with a document, or with raw bytes; `trickles`: a byte at a time, without an end."""

    daemon_threads = True

    def __init__(self, answers: Mapping[str, object]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.trickles = False
        self.closing = threading.Event()
        self.asked: list[str] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer

    def do_GET(self) -> None:
        """Answer one request."""
        self.server.asked.append(self.path)
        answer = self.server.answers.get(self.path)
        if answer is None:
            self.send_error(404)
            return
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # whoever asked has had enough
            self._send(body)

    def _send(self, body: bytes) -> None:
        if not self.server.trickles:
            self.wfile.write(body)
            return
        for byte in body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.closing.wait(GIVE_UP_S / len(body)):
                return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(answers: Mapping[str, object], *, trickles: bool = False) -> Iterator[ModelServer]:
    """Run a server for the length of a block."""
    with ModelServer(answers) as server:
        server.trickles = trickles
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
