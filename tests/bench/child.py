"""A helper process of a bench: started beside it, told what to do line by line, ended with it, whatever happens.

Covers: both ends. The bench holds a `Child`; the program in it calls `serve` (answers one JSON line per line) or
`end_with_parent` (does its work elsewhere). A child whose bench is gone sees the end of its input and ends.
"""

from __future__ import annotations

import json
import os
import queue
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

HERE: Final = Path(__file__).resolve().parent
ANSWER_S: Final = 120.0
"""Longest wait for an answer; a bench that hangs is a failure with a name."""
END_S: Final = 5.0

Json = dict[str, Any]
"""One line. Its fields are those that the program of the child names."""


class Child:
    """A running program of this folder. A context manager: leaving ends it."""

    def __init__(self, program: str, *arguments: str) -> None:
        self.name = program
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / program), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # a line that Python had read ahead would be invisible to `select`
            start_new_session=True,  # as the daemon: Linux shares the cores between sessions first
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def tell(self, **order: object) -> None:
        """Send an order; several children may be told before the first is heard."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    def hear(self, timeout_s: float = ANSWER_S) -> Json:
        """Return the next answer. Raises RuntimeError when none comes."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], timeout_s)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            state = f"ended with code {self._process.poll()}" if ready else f"gave no answer within {timeout_s:g} s"
            raise RuntimeError(f"{self.name} {state}")
        answer: Json = json.loads(line)
        return answer

    def ask(self, **order: object) -> Json:
        """Send an order and return its answer."""
        self.tell(**order)
        return self.hear()

    def signal(self, number: int) -> None:
        """Send it a signal that its program knows."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it by SIGKILL, without waiting."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def say(**answer: object) -> None:
    """In the child: send one line to the bench."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def serve(answer: Callable[[Json], Json]) -> None:
    """In the child: answer every line; ends the process when the bench has closed its end, in the midst of an answer too."""
    lines = queue.SimpleQueue[str]()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        say(**answer(json.loads(lines.get())))


def end_with_parent() -> None:
    """In the child: end the process when the bench has closed its end."""

    def watch() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
