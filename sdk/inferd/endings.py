"""The errors with which a call ends at this end of the line, and what the daemon's own endings become.

Covers: their wording and details. Does not cover when they happen: that is `session`. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inferd import wire
from inferd.errors import (
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    InferenceError,
    PermissionDenied,
    ProtocolError,
    QueueFull,
    VersionMismatch,
    from_code,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferd.live import Live
    from inferd.messages import events

START: Final = "start it: inferd serve"

_CANCELLED: Final[Mapping[events.CancelReason, str]] = {
    "app": "cancelled by the app",
    "slow_reader": "the stream was not read while it held a slot, and lost it: read faster, or take larger steps",
    "disconnected": "the line broke and the daemon ended the request",
    "shutdown": "the daemon is shutting down: ask its successor",
    "unloaded": "the model was unloaded: ask again to have it loaded",
    "starved_feed": "no sound came for 10 s while the model was listening, and the stream lost its slot: send sound also while "
    "nobody speaks, zeros do, and finish() a stream that has all it will get",
}
_ASK_AGAIN: Final = frozenset({"shutdown", "unloaded"})
"""Reasons that have nothing to do with the request: the same one can succeed later."""


def failure(event: events.Error) -> InferenceError:
    """Return the daemon's error as the exception it stands for."""
    return from_code(
        event.code,
        event.message,
        retryable=event.retryable,
        retry_after_s=event.retry_after_s,
        details=event.details,
    )


def cancellation(event: events.Cancelled) -> InferenceError:
    """Return a `cancelled` event as an exception; a line that broke is ConnectionLost, nobody cancelled there."""
    if event.reason == "disconnected":
        return ConnectionLost(_CANCELLED["disconnected"], details={"started": True})
    return Cancelled(
        _CANCELLED[event.reason],
        retryable=event.reason in _ASK_AGAIN,
        details={"reason": event.reason, "completion_tokens": event.usage.completion_tokens, **_heard(event)},
    )


def _heard(event: events.Cancelled) -> Mapping[str, str | int]:
    if event.heard is None:
        return {}
    return {"heard_text": event.heard.text, "heard_chars": event.heard.chars, "played_ms": event.heard.played_ms}


def left(why: str = _CANCELLED["app"]) -> Cancelled:
    """Return what a stream raises after the app itself ended it."""
    return Cancelled(why, details={"reason": "app"})


def unreachable(where: str, waited_s: float, *, greeted: bool) -> ConnectionLost:
    """Return the error of a call for which no daemon was found. `greeted`: one is there, but says nothing."""
    found = "connected, but the daemon did not answer the hello" if greeted else "no daemon answered"
    return ConnectionLost(
        f"{found} at {where} within {waited_s:g} s; {START}", details={"started": False, "socket": where}
    )


def lost(where: str, *, started: bool) -> ConnectionLost:
    """Return the error of a call whose line broke for good."""
    problem = "in the middle of the request" if started else "before the request was accepted"
    return ConnectionLost(
        f"the line to the daemon at {where} broke {problem}", details={"started": started, "socket": where}
    )


def torn(where: str) -> ConnectionLost:
    """Return the error of a call that was open when an exception broke into the work on its line."""
    return ConnectionLost(
        f"an interrupt of this program broke the line to the daemon at {where}: ask again",
        details={"started": True, "socket": where},
    )


def late(live: Live, complaint: str) -> DeadlineExceeded:
    """Return the error of a request without progress. `complaint`: what the daemon refused meanwhile, if anything."""
    timeout_s, latest = live.call.draft.timeout_s, wire.tag(live.latest) if live.latest else "nothing yet"
    heard = f"; the daemon had refused a message: {complaint}" if complaint else ""
    return DeadlineExceeded(
        f"{live.call.draft.op}: no progress within {timeout_s:g} s; the latest was {latest}{heard}",
        details={"timeout_s": timeout_s, "latest": latest},
    )


def unanswered(timeout_s: float, model: str | None) -> DeadlineExceeded:
    """Return the error of a ping without a pong."""
    return DeadlineExceeded(
        f"{model or 'the daemon'} did not answer a ping within {timeout_s:g} s", details={"timeout_s": timeout_s}
    )


def gap(found: int, expected: int) -> ProtocolError:
    """Return the error of a stream with missing events."""
    return ProtocolError(
        f"the stream jumped to event {found}; expected {expected}", details={"found": found, "expected": expected}
    )


def overfull(found: int, allowed: int) -> QueueFull:
    """Return the error of a call past the daemon's bound on unfinished requests."""
    return QueueFull(
        f"{found} requests of this app are unfinished; the daemon takes {allowed}: wait for one to end",
        details={"found": found, "limit": allowed},
    )


def wrong_end() -> ProtocolError:
    """Return the error of a stream that ended with another operation's answer."""
    return ProtocolError("the request ended with the answer to another operation")


def foreign(where: str, found: int | None, wanted: int) -> PermissionDenied:
    """Return the error of a socket at which somebody else listens."""
    who = "somebody the kernel does not name" if found is None else f"uid {found}"
    return PermissionDenied(f"the socket {where} is served by {who}; expected uid {wanted}, or 0")


def other_version(found: int, lowest: int, highest: int) -> VersionMismatch:
    """Return the error of a welcome in a version that was not offered."""
    return VersionMismatch(
        f"the daemon speaks protocol {found}, this SDK {lowest} to {highest}: upgrade the older one",
        details={"found": found, "lowest": lowest, "highest": highest},
    )
