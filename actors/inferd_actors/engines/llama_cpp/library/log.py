"""What llama.cpp says: kept for the message of a failure, instead of written to stderr.

Covers: opening the library, its log, and whose fault a failure is as far as the log tells.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from inferd.errors import LoadFailed
from inferd_actors.engines.llama_cpp.library.binding import lib

WARNING: Final = 3
"""`GGML_LOG_LEVEL_WARN`; errors are 4, 5 continues the line before."""

_complaints: deque[str] = deque(maxlen=20)


def _listen(level: int, text: bytes, _: object) -> None:
    if level >= WARNING:
        _complaints.append(text.decode(errors="replace").strip())


_LISTENER: Final = lib.llama_log_callback(_listen)
"""Kept for the life of the process: the library calls it whenever it likes, a collected one would crash there."""


def open_library() -> None:
    """Make the library ready and quiet: it writes to stderr otherwise."""
    lib.llama_log_set(_LISTENER, None)
    lib.llama_backend_init()


def forget_complaints() -> None:
    """Begin anew, before a call whose failure is to be explained."""
    _complaints.clear()


def complaints() -> str:
    """Return what was said since, in one line."""
    return " ".join(_complaints)


def load_failed(problem: str, cause: str = "") -> LoadFailed:
    """Return the error of a failed load; its cause as far as the log tells, a malformed file unless it says otherwise."""
    return LoadFailed(f"{problem}: {complaints() or 'no reason given'}", details={"cause": cause or _cause()})


def _cause() -> str:
    said = complaints().lower()
    if "alloc" in said or "out of memory" in said:
        return "no_memory"
    return "engine" if "unknown model architecture" in said else "file_corrupt"
