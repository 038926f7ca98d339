"""What a person can do after an error: the `next:` line.

Covers: one sentence for each error of the tree, complete by a test.
See also: `exit_codes` (the status that scripts see), `failures` (where both are put out).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from inferd_cli import amounts
from inferd_cli.exit_codes import daemon_absent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferd.errors import InferenceError

_BY_CODE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "invalid_request": "correct the value that is named; asking again unchanged cannot help",
        "unsupported_mode": "ask without it, or choose another model: `inferd list`",
        "context_overflow": "shorten the prompt, or choose a model with a larger context: `inferd list`",
        "schema_not_supported": "simplify the part of the schema that is named",
        "protocol_error": "see that command and daemon are of one version: `inferd --version`, `inferd status`",
        "version_mismatch": "upgrade the older of the two: `inferd --version` here, and the daemon",
        "model_not_found": "`inferd list` shows every model",
        "no_eligible_model": "`inferd list` shows every model and whether it is available",
        "queue_full": "`inferd ps` shows who is waiting",
        "resource_blocked": "`inferd ps` shows what is loaded, `inferd stop MODEL` unloads it",
        "deadline_exceeded": "allow more with --timeout, or look at `inferd ps` for what is in the way",
        "cancelled": "`inferd ps` shows what the daemon is doing; then try again",
        "permission_denied": "change what is named: a setting of the daemon, or the owner and mode of a directory",
        "content_refused": "ask for something else: the refusal came from the model's provider",
        "key_missing": "configure a key for this endpoint",
        "key_rejected": "replace the key of this endpoint: it was refused",
        "quota_exhausted": "or use a local model: `inferd list`",
        "provider_error": "or use a local model: `inferd list`",
        "model_failed": "the next request gets a new process of this model",
        "load_failed": "`inferd ps` shows the reason",
        "pull_failed": "`inferd pull MODEL` begins where it can",
        "connection_lost": "a part of the work may have been done",
        "inference_error": "see what the daemon says: `inferd status`, and its log",
    }
)
NOT_RUNNING: Final = "start the daemon with `inferd serve`"


def next_step(error: InferenceError) -> str:
    """Return one sentence that says what to do after `error`."""
    if daemon_absent(error):
        return NOT_RUNNING
    step = _BY_CODE[error.code]
    if error.retry_after_s:
        return f"try again in {amounts.span(error.retry_after_s)}; {step}"
    return f"try again; {step}" if error.retryable else step
