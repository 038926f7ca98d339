"""How an actor says no: the terminal `error` event made from an error of the tree.

Covers: the one conversion. Does not cover who is refused when: engines and `model` raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inferd.messages.events import Error

if TYPE_CHECKING:
    from inferd.errors import InferenceError

MAX_MESSAGE_CHARS: Final = 4096
"""As long as a short text may be on the wire (`bounds.ShortText`); a library's own words can be longer."""


def as_event(problem: InferenceError) -> Error:
    """Return what the app is told."""
    return Error(
        code=problem.code,
        message=problem.message[:MAX_MESSAGE_CHARS],
        retryable=problem.retryable,
        retry_after_s=problem.retry_after_s,
        details=dict(problem.details) or None,
    )
