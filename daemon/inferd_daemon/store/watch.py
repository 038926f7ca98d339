"""The caller's side of one pull: it is told how far the pull is, and may end it.

Covers: progress, stopping, and the error that names the model. Every step of a pull gets the same `Watch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Literal

from inferd.errors import PullFailed
from inferd_daemon.catalogue import ModelId

Phase = Literal["downloading", "verifying", "publishing"]

Cause = Literal[
    "access", "archive", "checksum", "conversion", "disk", "download", "file", "missing", "source", "stopped"
]
"""`details["cause"]` of PullFailed, in this order: the server wants a key or refuses this one; the package is not as
recorded; the bytes are not; its files cannot be converted; no room on the disk or an I/O error; the index, the server or the
line; a file of the user or of another program; no such file at its source; an address that is not followed; the caller's
`stop`."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull is. The three phases follow each other; `done_bytes` starts anew in each."""

    phase: Phase
    done_bytes: int
    total_bytes: int | None
    """None: the server does not tell."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who asked for this pull. `on_progress` is called in the pull's thread; what it raises ends the pull."""

    model: ModelId
    on_progress: Callable[[Progress], None]
    stop: Event

    def report(self, phase: Phase, done_bytes: int, total_bytes: int | None) -> None:
        """Tell the caller, and take the chance to stop."""
        self.raise_if_stopped()
        self.on_progress(Progress(phase, done_bytes, total_bytes))

    def raise_if_stopped(self) -> None:
        """Raise PullFailed (`stopped`) once the caller has set `stop`."""
        if self.stop.is_set():
            raise self.failed("stopped", "was stopped", retryable=True)

    def wait(self, seconds: float) -> None:
        """Block for `seconds`, or raise as soon as the caller stops the pull."""
        self.stop.wait(seconds)
        self.raise_if_stopped()

    def failed(
        self,
        cause: Cause,
        problem: str,
        *,
        retryable: bool,
        retry_after_s: float | None = None,
        numbers: Mapping[str, int] | None = None,
    ) -> PullFailed:
        """Return the error to raise: what was pulled, what went wrong, and whether the same pull may work later."""
        return PullFailed(
            f"pull of {self.model}: {problem}",
            retryable=retryable,
            retry_after_s=retry_after_s,
            details={"model": str(self.model), "cause": cause, **(numbers or {})},
        )
