"""How the deciding parts say no: the terminal `error` that a request gets, made from a class of the error tree.

Covers: the one constructor. Does not cover who is refused when: see `admission` and `lifecycle`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inferd.messages.events import Error

if TYPE_CHECKING:
    from inferd.errors import Detail, InferenceError

MAX_MESSAGE_CHARS: Final = 4096
"""As long as a short text may be on the wire (`bounds.ShortText`); engines' own words can be longer."""


def refusal(
    kind: type[InferenceError],
    message: str,
    *,
    retryable: bool | None = None,
    retry_after_s: float | None = None,
    **details: Detail,
) -> Error:
    """Return the error event for `kind`; with `retryable` None it is retryable if `kind` is by nature."""
    return Error(
        code=kind.code,
        message=message[:MAX_MESSAGE_CHARS],
        retryable=kind.retryable_by_default if retryable is None else retryable,
        retry_after_s=retry_after_s,
        details=details or None,
    )
