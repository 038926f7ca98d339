"""A model's chat template and the process that renders it: conversation in, prompt out, within limits.

Covers: starting that process, talking to it, ending it when it takes too long, starting it anew. Does not cover the sandbox:
`rendering`. Owned by the engine's loop; a render of an ordinary conversation costs well under a millisecond.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from inferd.errors import InvalidRequest, LoadFailed
from inferd.messages.operations import Generate
from inferd_actors.engines.abilities import words_of

PROGRAM: Final = Path(__file__).with_name("rendering.py")
RENDER_S: Final = 2.0
"""Honest templates take milliseconds, 50 ms with the longest conversations."""
START_S: Final = 20.0
"""An interpreter and jinja2 take 0.1 s; a machine that is starting everything at once may take a hundred times that."""
LOOK_S: Final = 0.05
"""How often a long wait asks whether the request is still wanted."""
RECEIVE_BYTES: Final = 2**16
LENGTH: Final = struct.Struct(">I")
"""In front of every message; `rendering` says the same and is not imported, for jinja2's sake."""


class Renderer:
    """The process that renders one template, which it is told first. Begun at once; raises LoadFailed when it cannot."""

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair()
        end = theirs.fileno()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(PROGRAM)],
                stdin=end,
                stdout=end,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,  # an interrupt typed into the daemon's terminal is not meant for it
            )
        except OSError as reason:
            self.line.close()
            raise _does_not_start(reason) from None
        finally:
            theirs.close()

    @property
    def process_id(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process. Does not wait for a template that runs: it is killed. Harmless when repeated."""
        self.line.close()
        self._process.kill()
        self._process.wait()


class ChatTemplate:
    """The template in the model file `name`, compiled by `renderer`: await that before the first render.

    Without a `renderer` one is started, and the template is compiled when this returns. Raises LoadFailed.
    """

    def __init__(
        self, source: str, *, name: str, begin_text: str, end_text: str, renderer: Renderer | None = None
    ) -> None:
        self._source = source
        self._name = name
        self._marks = {"bos_token": begin_text, "eos_token": end_text}
        self._renderer: Renderer | None = renderer or Renderer()
        self._tell_source()
        if renderer is None:
            self.await_compiled()

    def render(self, asked: Generate, model: str, still_wanted: Callable[[], bool] = lambda: True) -> str | None:
        """Return the prompt; None when `still_wanted`, asked while waiting, became False. Blocks for at most 2 s.

        Raises InvalidRequest naming `model` when the template refuses the messages, fails, or passes a limit.
        """
        if self._renderer is None:
            self._start()
        try:
            answer = self._ask(_variables(asked, self._marks), RENDER_S, still_wanted)
        except TimeoutError:
            self.close()
            raise _refused(model, f"it ran longer than {RENDER_S:g} s and was stopped") from None
        except (OSError, EOFError):
            self.close()
            raise _refused(model, "the process that rendered it died") from None
        if answer is None:
            self.close()
            return None
        if "problem" in answer:
            raise _refused(model, answer["problem"])
        return answer["text"]

    @property
    def process_id(self) -> int | None:
        """Of the process that renders; None while there is none."""
        return self._renderer.process_id if self._renderer else None

    @property
    def is_alive(self) -> bool:
        """Whether there is a process that renders."""
        return self._renderer is not None and self._renderer.is_alive

    def close(self) -> None:
        """End the process. Does not wait for a template that runs: it is killed."""
        if self._renderer is not None:
            self._renderer.close()
        self._renderer = None

    def await_compiled(self) -> None:
        """Return when the template has been compiled. Blocks; raises LoadFailed when it cannot be."""
        try:
            answer = self._hear(START_S, lambda: True) or {}
        except (OSError, EOFError) as reason:
            self.close()
            raise _does_not_start(reason) from None
        if "problem" in answer:
            self.close()
            problem = f"the chat template in {self._name} cannot be compiled: {answer['problem']}"
            raise LoadFailed(problem, details={"cause": "file_corrupt"})

    def _start(self) -> None:
        self._renderer = Renderer()
        self._tell_source()
        self.await_compiled()

    def _tell_source(self) -> None:
        try:
            self._tell({"template": self._source}, START_S)
        except (OSError, EOFError) as reason:
            self.close()
            raise _does_not_start(reason) from None

    def _ask(
        self, question: Mapping[str, object], limit_s: float, still_wanted: Callable[[], bool]
    ) -> dict[str, str] | None:
        """Return the answer, None if nobody wants it any more. Raises TimeoutError, EOFError, OSError."""
        self._tell(question, limit_s)
        return self._hear(limit_s, still_wanted)

    @property
    def _line(self) -> socket.socket:
        if self._renderer is None:
            raise EOFError
        return self._renderer.line

    def _tell(self, question: Mapping[str, object], limit_s: float) -> None:
        data = json.dumps(question).encode()
        self._line.settimeout(limit_s)
        self._line.sendall(LENGTH.pack(len(data)) + data)

    def _hear(self, limit_s: float, still_wanted: Callable[[], bool]) -> dict[str, str] | None:
        line, deadline_s = self._line, time.monotonic() + limit_s
        received = bytearray()
        while len(received) < LENGTH.size or len(received) < LENGTH.size + LENGTH.unpack_from(received)[0]:
            line.settimeout(LOOK_S)
            try:
                piece = line.recv(RECEIVE_BYTES)
            except TimeoutError:
                if not still_wanted():
                    return None
                if time.monotonic() >= deadline_s:
                    raise
                continue
            if not piece:
                raise EOFError
            received += piece
        answer: dict[str, str] = json.loads(received[LENGTH.size :])
        return answer


def _does_not_start(reason: Exception) -> LoadFailed:
    problem = f"the process that renders chat templates does not start: {type(reason).__name__} {reason}"
    return LoadFailed(problem, details={"cause": "engine"})


def _refused(model: str, problem: str) -> InvalidRequest:
    return InvalidRequest(
        f"the chat template of {model} does not take these messages: {problem}",
        details={"field": "body.messages", "model": model},
    )


def _variables(asked: Generate, marks: Mapping[str, str]) -> dict[str, Any]:
    """Return what templates know by these names since Hugging Face's own."""
    thinking = {} if asked.thinking == "auto" else {"enable_thinking": asked.thinking == "on"}
    return {"messages": _plain(asked), "add_generation_prompt": True, "tools": None, **marks, **thinking}


def _plain(asked: Generate) -> Sequence[Mapping[str, str]]:
    return [
        {"role": message.role, "content": words_of(message), **({"name": message.name} if message.name else {})}
        for message in asked.messages
    ]
