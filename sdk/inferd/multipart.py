"""Messages of several frames, frame by frame and without waiting: what the sockets of app, daemon and actor have in common.

Why not pyzmq's `send_multipart` and `recv_multipart`: they do arithmetic with enums and check every frame's type, 4.2 us
instead of 1.2 for three frames, and three times that right after a wake-up (measured). Raises what the socket raises:
zmq.Again when there is nothing, or no room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

POLLIN: Final = 1
EVENTS: Final = 15
NOBLOCK: Final = 1
SNDMORE: Final = 2
"""Flags and options of zmq.h, as plain numbers: arithmetic with the library's enums costs microseconds."""


class Socket(Protocol):
    """What is needed of a zmq.Socket, or of the one below it (`zmq.backend.Socket`, its `shadow`).

    zmq.Socket only hands on to that one, for 15 us in a message of two frames right after a wake-up (measured). But the shadow
    does not know when its socket was closed, and to use it then is fatal: for whoever owns a socket to its end.
    """

    def send(self, data: Any, flags: int = 0, copy: bool = True) -> Any:  # noqa: ANN401, FBT001, FBT002 - as pyzmq has it
        """Send one frame."""

    def recv(self, flags: int = 0, copy: bool = True) -> Any:  # noqa: ANN401, FBT001, FBT002 - as pyzmq has it
        """Receive one frame."""

    def get(self, option: int) -> Any:  # noqa: ANN401 - as pyzmq has it
        """Return an option's value."""


def send(socket: Socket, frames: Sequence[bytes | memoryview], *, copy: bool = True) -> None:
    """Send one message. `copy=False`: large frames are handed over as they are, and must not change."""
    left = len(frames)
    for frame in frames:
        left -= 1
        socket.send(frame, NOBLOCK | SNDMORE if left else NOBLOCK, copy)


def is_readable(socket: Socket) -> bool:
    """Return whether there is a message: cheaper than an exception at the end of every batch.

    libzmq takes note of what has happened, so the socket's descriptor tells of the next event only after this was False.
    """
    return bool(int(socket.get(EVENTS)) & POLLIN)


def receive(socket: Socket) -> list[Any]:
    """Return the frames of the next message as zmq.Frame."""
    frame = socket.recv(NOBLOCK, copy=False)
    frames = [frame]
    while frame.more:
        frame = socket.recv(NOBLOCK, copy=False)
        frames.append(frame)
    return frames
