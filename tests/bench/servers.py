"""The servers that inferd is compared with, each a process of its own on loopback: llama-server, llama-cpp-python's server.

Covers: their settings, starting them, waiting until they answer. Does not cover building them (`tools/llama_server.py`,
`tools/python_server.py`) or asking them (`http_side`).
"""

from __future__ import annotations

import http.client
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import llama_server
import python_server
from child import Child
from http_side import HOST, asking
from ours import Room, model_file
from suite import ROOT
from traffic import Ask

from inferd_actors.engines import cores

START_S: Final = 60.0
LOOK_S: Final = 0.05
CORES: Final = cores.count()
LOG_TAIL_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers."""

    ask: Ask
    pid: int


@contextmanager
def llama(room: Room, *, threads: int | None = None) -> Iterator[Server]:
    """Run llama-server with the same context and slots as ours. `threads` None: its own choice.

    The cache is divided by slot, its way when the number of slots is told, and its prompt cache is on, its default.
    """
    program = llama_server.find_or_build(ROOT / "requirements.lock")
    settings = ["--ctx-size", str(room.cache_tokens), "--parallel", str(room.slots)]
    settings += [] if threads is None else ["--threads", str(threads)]
    with _served([str(program), "--model", str(model_file()), *settings, "--offline"], "/health", {}) as server:
        yield server


@contextmanager
def llama_cpp_python(room: Room, *, threads: int) -> Iterator[Server]:
    """Run llama-cpp-python's server; it answers one request at a time."""
    settings = ["--n_ctx", str(room.context_tokens), "--n_threads", str(threads), "--n_threads_batch", str(threads)]
    # Its default breaks off the running answer when another is asked for.
    settings += ["--interrupt_requests", "False", "--verbose", "False"]
    path = str(python_server.find_or_install())
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model_file()), *settings]
    with _served(command, "/v1/models", {"PYTHONPATH": path}) as server:
        yield server


@contextmanager
def _served(command: Sequence[str], sign_of_life: str, environment: Mapping[str, str]) -> Iterator[Server]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        telling = ["env", *(f"{name}={value}" for name, value in environment.items())]
        place = ["--host", HOST, "--port", str(port)]
        with Child("held_program.py", str(log), *telling, *command, *place) as child:
            pid = child.hear()["pid"]
            _await_answer(port, sign_of_life, log)
            yield Server(asking(port), pid)


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _await_answer(port: int, path: str, log: Path) -> None:
    """Return when the server answers 200. Raises RuntimeError with its log when it does not."""
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == http.client.OK:
                return
        except (OSError, http.client.HTTPException):
            pass  # not there yet
        finally:
            connection.close()
        time.sleep(LOOK_S)
    raise RuntimeError(f"no server within {START_S:g} s: {log.read_text(errors='replace')[-LOG_TAIL_CHARS:]}")
