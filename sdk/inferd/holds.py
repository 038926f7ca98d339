"""A hold of the blocking client: models that stay in memory together while it lasts."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Self

from inferd.drafts import CALL_TIMEOUT_S
from inferd.errors import InferenceError
from inferd.keeping import release_draft, renew_draft
from inferd.messages import events
from inferd.streams import answer

if TYPE_CHECKING:
    from types import TracebackType

    from inferd.line import Line


class Hold:
    """Models that are ready and stay so: never evicted, never unloaded for want of use.

    It ends with its time, when it is released, at the end of a `with` block, and with the client's line to the daemon.
    """

    def __init__(self, line: Line, held: events.Held) -> None:
        self._line = line
        self._number = held.hold
        self.models = held.models
        """Their ids."""
        self.seconds = held.seconds
        """For how long it lasts from when it was made or renewed."""

    def renew(self, seconds: float | None = None, *, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """Begin its time anew, with another length if one is given. Blocks.

        Raises InvalidRequest when it has ended: hold the models again.
        """
        wanted_s = self.seconds if seconds is None else seconds
        renewed = answer(self._line, renew_draft(self._number, wanted_s, timeout_s=timeout_s), events.Held)
        self.seconds = renewed.seconds

    def release(self, *, timeout_s: float = CALL_TIMEOUT_S) -> bool:
        """End it; return whether it had lasted until now. Blocks; harmless when repeated."""
        return answer(self._line, release_draft(self._number, timeout_s=timeout_s), events.Released).was_held

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(InferenceError):  # without a line it ends by itself, and what ended the block matters more
            self.release()
