"""A model file's header, read by a process of its own: the call for whoever is about to hand the file to an engine.

Covers: opening the file, starting the program, its end in any case, and whose fault a failure is. Does not cover the format
(`gguf_header`) nor remembering (the daemon's `headers`). May be called by several threads at once.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import PurePath
from threading import Event
from typing import Any, Final

from inferd import wire
from inferd.errors import InvalidRequest, LoadFailed
from inferd_actors.headers.cursor import Malformed
from inferd_actors.headers.header import Header
from inferd_actors.headers.parts import joined, siblings
from inferd_actors.headers.reading import CPU_S

PROGRAM: Final = "inferd_actors.headers.reading"
READ_S: Final = 30.0
"""Beyond the program's limit of processor time: a disk that sleeps takes 10 s to wake up, a busy machine its time."""
STOP_S: Final = 0.2
"""Between two looks at whether to stop; an answer is taken at once."""


def read_header(path: str, stop: Event | None = None) -> Header:
    """Return what a model file says of itself, of all its parts where it has several. Blocks: 0.1 s, at most 30 s for a part.

    Setting `stop` ends it within a fraction of a second. Raises LoadFailed naming the file and what is wrong;
    `details["cause"]`: `file_corrupt`, `file_missing`, or `engine` when it could not be found out.
    """
    stop = stop or Event()
    first = _read(path, stop)
    try:
        return joined(first, [(sibling, _read(sibling, stop)) for sibling in siblings(path, first)])
    except Malformed as wrong:
        raise _corrupt(path, str(wrong)) from None


def _read(path: str, stop: Event) -> Header:
    with _opened(path) as file:
        try:
            program = subprocess.Popen(
                [sys.executable, "-P", "-m", PROGRAM],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,  # an interrupt typed into the daemon's terminal is not meant for it
            )
        except OSError as failed:
            raise _unknown(path, f"the process that reads its header does not start: {failed}") from None
        with program:
            try:
                said = _said(path, program, stop)
            finally:
                program.kill()
    if program.returncode == -signal.SIGXCPU:
        raise _corrupt(path, f"its header takes more than {CPU_S} s to read")
    if program.returncode:
        raise _unknown(path, f"the process that reads its header ended with {program.returncode}")
    return _header(path, json.loads(said))


def _said(path: str, program: subprocess.Popen[bytes], stop: Event) -> bytes:
    """Return what the program has said at its end."""
    deadline_s = time.monotonic() + READ_S
    while not stop.is_set():
        with suppress(subprocess.TimeoutExpired):
            return program.communicate(timeout=STOP_S)[0]
        if time.monotonic() >= deadline_s:
            raise _unknown(path, f"its header was not read in {READ_S:g} s")
    raise _unknown(path, "reading its header was stopped")


@contextmanager
def _opened(path: str) -> Iterator[int]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe without a writer would be waited for
    except OSError as failed:
        raise _failed(path, f"cannot be read: {failed.strerror}", "file_missing") from None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise _corrupt(path, "it is no regular file")
        yield file
    finally:
        os.close(file)


def _header(path: str, answer: Mapping[str, Any]) -> Header:
    if "problem" in answer:
        raise _corrupt(path, str(answer["problem"]))
    try:
        return wire.from_fields(answer["header"], Header)
    except InvalidRequest as wrong:
        raise _unknown(path, f"the process that reads its header answered {wrong.message}") from None


def _corrupt(path: str, problem: str) -> LoadFailed:
    return _failed(path, f"is no sound model file: {problem}", "file_corrupt")


def _unknown(path: str, problem: str) -> LoadFailed:
    return _failed(path, problem, "engine")


def _failed(path: str, problem: str, cause: str) -> LoadFailed:
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in problem)  # names come from the file
    return LoadFailed(f"{PurePath(path).name} {shown}", details={"cause": cause})
