"""How the deciding parts say no: the terminal `error` that a request gets, made from a class of the error tree.

Covers: the constructors. Does not cover who is refused when: see `admission` and `lifecycle`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inferd.errors import InferenceError
from inferd.messages.events import Error

if TYPE_CHECKING:
    from inferd.errors import Detail

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


def own_fault(bug: Exception) -> Error:
    """Return the end of a request that a bug of the daemon has hit: a kind, without the words, which may quote a prompt."""
    return refusal(
        InferenceError, f"the daemon failed at this request by a bug of its own ({type(bug).__name__}): see its log"
    )
