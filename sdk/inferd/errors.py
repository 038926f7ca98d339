"""Everything that can go wrong with a request, as one tree under `InferenceError`.

InferenceError
├── asked wrongly      InvalidRequest (the field) · UnsupportedMode · ContextOverflow · SchemaNotSupported ·
│                      ProtocolError · VersionMismatch
├── not here           ModelNotFound (near matches) · NoEligibleModel (which filter removed whom)
├── not now            QueueFull (retry_after_s) · ResourceBlocked (the preflight) · DeadlineExceeded · Cancelled
├── not allowed        PermissionDenied · ContentRefused · KeyMissing · KeyRejected · QuotaExhausted
├── failed there       ModelFailed (the actor died) · LoadFailed · PullFailed · ProviderError (each attempt listed)
└── the line broke     ConnectionLost (was it started?); never confused with the end of a stream

Covers: the classes, their wire codes and whether a retry can help. Not bugs: those are never in the tree.
See also: `sdk/PROTOCOL.md` §9, which lists the same codes and is compared with this file by a test.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

Detail = str | int | float | bool | None | tuple[str, ...]
"""What an error may carry beside its message: plain values only, so that every client can read them."""


class InferenceError(Exception):
    """A request failed; `str(error)` says what was asked, what was found and what to do next.

    `code`: stable, the same on the wire. `retryable`: whether the same request can succeed later, unchanged.
    `retry_after_s`: when the daemon could tell, the earliest useful moment. `details`: the numbers and names compared.
    """

    code: ClassVar[str] = "inference_error"
    retryable_by_default: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
        details: Mapping[str, Detail] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = self.retryable_by_default if retryable is None else retryable
        self.retry_after_s = retry_after_s
        self.details: Mapping[str, Detail] = MappingProxyType(dict(details or {}))

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling with every field: apps pass errors between their own processes."""
        return _rebuild, (type(self), self.message, self.retryable, self.retry_after_s, dict(self.details))


def _rebuild(
    kind: type[InferenceError],
    message: str,
    retryable: bool,  # noqa: FBT001 - as __reduce__ packs it
    retry_after_s: float | None,
    details: dict[str, Detail],
) -> InferenceError:
    return kind(message, retryable=retryable, retry_after_s=retry_after_s, details=details)


class InvalidRequest(InferenceError):
    """A field has a value that can never work; `details["field"]` names it. Correct it; a retry cannot help."""

    code = "invalid_request"


class UnsupportedMode(InferenceError):
    """This model or backend cannot do what was asked. Choose another model, or ask without it."""

    code = "unsupported_mode"


class ContextOverflow(InferenceError):
    """The prompt does not fit: `details` has `input_tokens` and `context_tokens`. Shorten it."""

    code = "context_overflow"


class SchemaNotSupported(InferenceError):
    """The response schema cannot be compiled into a grammar. Simplify the part that the message names."""

    code = "schema_not_supported"


class ProtocolError(InferenceError):
    """A message was not what PROTOCOL.md allows: one end has a bug or speaks something else."""

    code = "protocol_error"


class VersionMismatch(InferenceError):
    """App and daemon share no protocol version, or a required capability is unknown. Upgrade the older one."""

    code = "version_mismatch"


class ModelNotFound(InferenceError):
    """No model has this id; `details["near"]` lists the closest ones. A named model is never substituted."""

    code = "model_not_found"


class NoEligibleModel(InferenceError):
    """Every candidate was filtered out; `details` tells which filter removed whom."""

    code = "no_eligible_model"


class QueueFull(InferenceError):
    """A bound on waiting work was reached; try again after `retry_after_s`."""

    code = "queue_full"
    retryable_by_default = True


class ResourceBlocked(InferenceError):
    """The machine lacks the memory; `details` holds the preflight's numbers. Or its disk takes no more of what is fed."""

    code = "resource_blocked"
    retryable_by_default = True


class DeadlineExceeded(InferenceError):
    """Nothing progressed for `timeout_s`. Ask with a longer one, or at a quieter time."""

    code = "deadline_exceeded"
    retryable_by_default = True


class Cancelled(InferenceError):
    """The stream was ended early, as `details["reason"]` tells: app, slow_reader, starved_feed, shutdown, unloaded."""

    code = "cancelled"


class PermissionDenied(InferenceError):
    """The configuration does not allow this app what it asked for; the message names the setting."""

    code = "permission_denied"


class ContentRefused(InferenceError):
    """The model's provider refused the content. Another model is not tried."""

    code = "content_refused"


class KeyMissing(InferenceError):
    """The endpoint needs a key and none is configured."""

    code = "key_missing"


class KeyRejected(InferenceError):
    """The endpoint refused every configured key."""

    code = "key_rejected"


class QuotaExhausted(InferenceError):
    """A quota or budget is spent until `retry_after_s`."""

    code = "quota_exhausted"
    retryable_by_default = True


class ProviderError(InferenceError):
    """A remote endpoint failed; the message lists each attempt."""

    code = "provider_error"
    retryable_by_default = True


class ModelFailed(InferenceError):
    """The model's process died while it worked on this request; the next request gets a new life of it."""

    code = "model_failed"
    retryable_by_default = True


class LoadFailed(InferenceError):
    """The model could not be loaded; `details["cause"]` says whether file, memory or engine was at fault."""

    code = "load_failed"


class PullFailed(InferenceError):
    """The model's files could not be fetched; what was fetched is kept and the next pull resumes or starts anew."""

    code = "pull_failed"
    retryable_by_default = True


class ConnectionLost(InferenceError):
    """The line to the daemon broke. `details["started"]`: whether the request had been accepted before that.

    Retry freely when it had not started. When it had, part of it may have been delivered: a retry starts over.
    """

    code = "connection_lost"
    retryable_by_default = True


_TREE: tuple[type[InferenceError], ...] = (InferenceError, *InferenceError.__subclasses__())
BY_CODE: Mapping[str, type[InferenceError]] = MappingProxyType({kind.code: kind for kind in _TREE})
"""Wire code → class. A code that is not here decodes to `InferenceError` with the code in its details."""


def from_code(
    code: str,
    message: str,
    *,
    retryable: bool | None = None,
    retry_after_s: float | None = None,
    details: Mapping[str, Detail] | None = None,
) -> InferenceError:
    """Return the error that `code` stands for; an unknown code, of a newer daemon, becomes the base class."""
    kind = BY_CODE.get(code)
    if kind is None:
        details = {**(details or {}), "code": code}
    return (kind or InferenceError)(message, retryable=retryable, retry_after_s=retry_after_s, details=details)
