"""What the exit status of `inferd` means: fixed numbers that scripts may rely on.

Covers: the codes, their meaning in one line each, and which error ends in which. See also: `advice` (what to do next).
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from inferd.errors import (
    Cancelled,
    ConnectionLost,
    ContextOverflow,
    DeadlineExceeded,
    InferenceError,
    InvalidRequest,
    ModelNotFound,
    NoEligibleModel,
    QueueFull,
    QuotaExhausted,
    ResourceBlocked,
    SchemaNotSupported,
    UnsupportedMode,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class ExitCode(IntEnum):
    """How a command ended; numbers are never given a new meaning."""

    OK = 0
    FAILED = 1
    USAGE = 2  # the number that typer itself gives to a mistyped command line
    NOT_RUNNING = 3  # as `systemctl status` says it of a service that is not active
    NOT_FOUND = 4
    NOT_NOW = 5
    INTERRUPTED = 130  # 128 + SIGINT, as shells count


MEANINGS: Final[Mapping[ExitCode, str]] = MappingProxyType(
    {
        ExitCode.OK: "done",
        ExitCode.FAILED: "failed; the error says why",
        ExitCode.USAGE: "asked wrongly: the command line, or a value in the request",
        ExitCode.NOT_RUNNING: "the daemon is not running",
        ExitCode.NOT_FOUND: "no such model, or none that can serve this",
        ExitCode.NOT_NOW: "not now: busy, no memory, deadline passed, or ended by the daemon",
        ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
    }
)

_BY_ERROR: Final[Mapping[type[InferenceError], ExitCode]] = MappingProxyType(
    {
        InvalidRequest: ExitCode.USAGE,
        UnsupportedMode: ExitCode.USAGE,
        ContextOverflow: ExitCode.USAGE,
        SchemaNotSupported: ExitCode.USAGE,
        ModelNotFound: ExitCode.NOT_FOUND,
        NoEligibleModel: ExitCode.NOT_FOUND,
        QueueFull: ExitCode.NOT_NOW,
        ResourceBlocked: ExitCode.NOT_NOW,
        DeadlineExceeded: ExitCode.NOT_NOW,
        QuotaExhausted: ExitCode.NOT_NOW,
        Cancelled: ExitCode.NOT_NOW,
    }
)
"""Errors that are not here end in `FAILED`."""


def daemon_absent(error: InferenceError) -> bool:
    """Return whether `error` says that no daemon answered, as against a line that broke over a running request."""
    return isinstance(error, ConnectionLost) and not error.details.get("started")


def exit_code(error: InferenceError) -> ExitCode:
    """Return the status that a command ends with when `error` ended it."""
    if daemon_absent(error):
        return ExitCode.NOT_RUNNING
    return _BY_ERROR.get(type(error), ExitCode.FAILED)


def table() -> str:
    """Return the codes and their meanings, one per line, for `inferd --help`."""
    return "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())
