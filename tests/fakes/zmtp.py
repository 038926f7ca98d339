"""ZMTP by hand, as far as a peer needs it that wants to break it: one Unix socket, one handshake, frames as bytes."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
READY: Final = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
PATIENCE_S: Final = 30.0
"""A hang is a failure; a loaded machine is not."""


def dialled(path: Path) -> socket.socket:
    """Return a connection on which nothing has been said."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.settimeout(PATIENCE_S)
        peer.connect(str(path))
    except OSError:
        peer.close()
        raise
    return peer


def greeted(path: Path) -> socket.socket:
    """Return a connection whose handshake is done: what follows is frames, whole or not."""
    peer = dialled(path)
    try:
        peer.sendall(GREETING + READY)
        answer = b""
        while b"ROUTER" not in answer:
            piece = peer.recv(4096)
            if not piece:
                raise ConnectionResetError("closed in the handshake")
            answer += piece
    except OSError:
        peer.close()
        raise
    return peer


def frame(content: bytes, *, more: bool = False) -> bytes:
    """Return one frame; `more`: others of the same message follow."""
    return bytes([2 | more]) + len(content).to_bytes(8, "big") + content


def message(frames: Sequence[bytes]) -> bytes:
    """Return the frames of one message."""
    return b"".join(frame(one, more=at < len(frames)) for at, one in enumerate(frames, 1))


def is_closed(peer: socket.socket) -> bool:
    """Return whether the other end hangs up within `PATIENCE_S`; what it says before does not count."""
    try:
        while peer.recv(65_536):
            continue
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True
