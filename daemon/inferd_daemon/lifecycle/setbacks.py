"""What a failure costs: how long a model is left alone after it, and when it is given up.

Covers: the two schedules and the error that waiters get. Pure functions of the number of failures in a row.
A load that failed says so to every request until its delay is over: the cause would be the same for the next one.
A death of a loaded model lets requests wait: most deaths do not repeat, and the next life answers them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inferd.errors import InferenceError, LoadFailed, ModelFailed, PullFailed
from inferd_daemon.refusal import refusal

if TYPE_CHECKING:
    from inferd.messages.events import Error
    from inferd_daemon.catalogue.names import ModelId
    from inferd_daemon.lifecycle import events
    from inferd_daemon.lifecycle.events import LoadCause

LOAD_DELAY_S: Final = 10.0
MAX_LOAD_DELAY_S: Final = 300.0
"""Cooldown after failed loads, 10 s doubling to 5 min: the schedule LocalAI settled on; a load that failed for want of
memory may succeed once an app has ended, and more often than that it is only work."""

DEATH_DELAY_S: Final = 1.0
"""After the second death in a row, then doubling. The first costs nothing: the next request gets a new life at once."""

MAX_DEATHS: Final = 5
"""Deaths in a row after which only a person helps: by then 7 s of waiting and four reloads have not."""

HOPELESS: Final[frozenset[LoadCause]] = frozenset({"file_missing", "file_corrupt"})
"""Causes that no waiting cures; a changed file does."""


@dataclass(frozen=True, slots=True)
class Setback:
    """A failure, and what comes after it."""

    kind: type[InferenceError]
    cause: str
    message: str
    in_a_row: int
    retry_at_s: float | None
    """None: not by itself."""

    @property
    def lets_wait(self) -> bool:
        """Whether requests may wait for the next attempt instead of being answered at once."""
        return self.kind is ModelFailed and self.retry_at_s is not None

    def told(self, model: ModelId, now_s: float) -> tuple[str, str]:
        """Return what happened and what comes next, as people read it."""
        times = "once" if self.in_a_row == 1 else f"{self.in_a_row} times in a row"
        what = f"failed {times}, at last: {self.message.rstrip('.')}"
        if self.retry_at_s is None:
            return (
                what,
                f"Not tried again by itself: `inferd pull {model}` or `inferd unload {model}` allows a new attempt",
            )
        return what, f"Next attempt in {max(0.0, self.retry_at_s - now_s):.1f} s"

    def error(self, model: ModelId, now_s: float) -> Error:
        """Return what a request for this model is answered while the setback lasts."""
        what, then = self.told(model, now_s)
        wait_s = None if self.retry_at_s is None else max(0.0, self.retry_at_s - now_s)
        return refusal(
            self.kind,
            f"{model} {what}. {then}",
            retryable=wait_s is not None,
            retry_after_s=wait_s,
            cause=self.cause,
            failures_in_a_row=self.in_a_row,
        )


def after_load_failure(in_a_row: int, cause: LoadCause, message: str, now_s: float) -> Setback:
    """Return what follows the `in_a_row`-th failed load."""
    delay_s = min(MAX_LOAD_DELAY_S, LOAD_DELAY_S * 2.0 ** min(in_a_row - 1, 10))
    return Setback(LoadFailed, cause, message, in_a_row, None if cause in HOPELESS else now_s + delay_s)


def after_death(in_a_row: int, reason: str, now_s: float) -> Setback:
    """Return what follows the `in_a_row`-th death of a model that had been loaded."""
    delay_s = 0.0 if in_a_row == 1 else DEATH_DELAY_S * 2.0 ** (in_a_row - 2)
    return Setback(ModelFailed, "died", reason, in_a_row, None if in_a_row >= MAX_DEATHS else now_s + delay_s)


def no_files(model: ModelId) -> Error:
    """Return what a request is answered whose model is not here."""
    text = f"{model} is not on this machine; `inferd pull {model}` fetches it"
    return refusal(LoadFailed, text, cause="file_missing")


def not_fetched(event: events.PullFailed) -> Error:
    """Return what those are answered who wait for files that could not be fetched."""
    return refusal(
        PullFailed, event.message, retryable=event.retryable, retry_after_s=event.retry_after_s, **event.details
    )
