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


class ChatTemplate:
    """The template in the model file `name`. Raises LoadFailed when it cannot be compiled."""

    def __init__(self, source: str, *, name: str, begin_text: str, end_text: str) -> None:
        self._source = source
        self._name = name
        self._marks = {"bos_token": begin_text, "eos_token": end_text}
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._start()

    def render(self, asked: Generate, model: str, still_wanted: Callable[[], bool] = lambda: True) -> str | None:
        """Return the prompt; None when `still_wanted`, asked while waiting, became False. Blocks for at most 2 s.

        Raises InvalidRequest naming `model` when the template refuses the messages, fails, or passes a limit.
        """
        if self._line is None:
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
        return self._process.pid if self._process else None

    def close(self) -> None:
        """End the process. Does not wait for a template that runs: it is killed."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._line = self._process = None

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-I", str(PROGRAM)]
            end = theirs.fileno()
            self._process = subprocess.Popen(
                command,
                stdin=end,
                stdout=end,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,  # an interrupt typed into the daemon's terminal is not meant for it
            )
        self._line = ours
        try:
            answer = self._ask({"template": self._source}, START_S, lambda: True) or {}
        except (OSError, EOFError) as reason:
            self.close()
            problem = f"the process that renders chat templates does not start: {type(reason).__name__} {reason}"
            raise LoadFailed(problem, details={"cause": "engine"}) from None
        if "problem" in answer:
            self.close()
            problem = f"the chat template in {self._name} cannot be compiled: {answer['problem']}"
            raise LoadFailed(problem, details={"cause": "file_corrupt"})

    def _ask(
        self, question: Mapping[str, object], limit_s: float, still_wanted: Callable[[], bool]
    ) -> dict[str, str] | None:
        """Return the answer, None if nobody wants it any more. Raises TimeoutError, EOFError, OSError."""
        line = self._line
        if line is None:
            raise EOFError
        data = json.dumps(question).encode()
        deadline_s = time.monotonic() + limit_s
        line.settimeout(limit_s)
        line.sendall(LENGTH.pack(len(data)) + data)
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
