"""What comes through a pipe, passed on as it comes, while the answer is read.

Covers: blocks of stdin, samples and text made of them, feeding in a thread of its own. The thread ends with the process: it may
be waiting for a pipe that never says anything again.
"""

from __future__ import annotations

import codecs
import os
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeVar

from inferd.errors import Cancelled, InferenceError, InvalidRequest
from inferd.uplink import SAMPLE_BYTES

T_contra = TypeVar("T_contra", contravariant=True)
T = TypeVar("T")

_BLOCK_BYTES: Final = 64 * 1024


class Fed(Protocol[T_contra]):
    """A stream that is fed."""

    def send(self, piece: T_contra, /) -> None:
        """Feed the next piece; blocks while there is no room."""

    def finish(self) -> None:
        """Say that this was all."""

    def cancel(self) -> object:
        """Ask for the end."""


class Feeding(Generic[T]):
    """Feeds `stream` with `pieces` while the block that this opens reads it.

    If feeding fails the stream is cancelled, and the block ends with what went wrong.
    """

    def __init__(self, stream: Fed[T], pieces: Iterator[T]) -> None:
        self._stream = stream
        self._pieces = pieces
        self._failure: InferenceError | None = None

    def __enter__(self) -> Self:
        threading.Thread(target=self._feed, name="feeding", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._failure and isinstance(error, Cancelled) and error.details.get("reason") == "app":
            raise self._failure from None

    def _feed(self) -> None:
        try:
            for piece in self._pieces:
                self._stream.send(piece)
            self._stream.finish()
        except InferenceError as failure:
            self._failure = failure
            self._stream.cancel()


def samples_of_stdin() -> Iterator[bytes]:
    """Yield int16 samples as they arrive; half a sample at the end says nothing."""
    rest = b""
    for block in _blocks():
        whole = rest + block
        size = len(whole) - len(whole) % SAMPLE_BYTES
        rest = whole[size:]
        if size:
            yield whole[:size]


def text_of_stdin() -> Iterator[str]:
    """Yield text as it arrives, never a part of a character. Raises InvalidRequest for what is no UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in _blocks():
            yield decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as wrong:
        raise InvalidRequest(f"stdin: not text: {wrong.reason}", details={"field": "stdin"}) from None


def _blocks() -> Iterator[bytes]:
    """Yield what is there. Past Python's own buffer: a thread that waits in it holds a lock that the end needs."""
    source = sys.stdin.fileno()
    while block := os.read(source, _BLOCK_BYTES):
        yield block
