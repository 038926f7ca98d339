"""A hold of the asyncio client; see `holds`."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from inferd.aio_streams import answer
from inferd.drafts import CALL_TIMEOUT_S
from inferd.errors import InferenceError, InvalidRequest
from inferd.keeping import release_draft, renew_draft
from inferd.messages import events

if TYPE_CHECKING:
    from types import TracebackType

    from inferd.drafts import Draft
    from inferd.keeping import OnProgress
    from inferd.line import Line


class AsyncHold(Awaitable["AsyncHold"]):
    """Models that are ready and stay so, once it was awaited or its `async with` block was entered; see `Hold`."""

    def __init__(self, line: Line, request: Draft, on_progress: OnProgress | None) -> None:
        self._line = line
        self._request = request
        self._on_progress = on_progress
        self._number: int | None = None
        self.models: tuple[str, ...] = ()
        """Their ids."""
        self.seconds = 0.0
        """For how long it lasts from when it was made or renewed."""

    async def renew(self, seconds: float | None = None, *, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """Begin its time anew; see `Hold.renew`."""
        wanted_s = self.seconds if seconds is None else seconds
        request = renew_draft(self._made(), wanted_s, timeout_s=timeout_s)
        self.seconds = (await answer(self._line, request, events.Held)).seconds

    async def release(self, *, timeout_s: float = CALL_TIMEOUT_S) -> bool:
        """End it; return whether it had lasted until now. Harmless when repeated."""
        released = await answer(self._line, release_draft(self._made(), timeout_s=timeout_s), events.Released)
        return released.was_held

    def _made(self) -> int:
        if self._number is None:
            raise InvalidRequest("hold: await it first, or use it in an async with block", details={"field": "hold"})
        return self._number

    async def _make(self) -> Self:
        if self._number is None:
            held = await answer(self._line, self._request, events.Held, self._on_progress)
            self._number, self.models, self.seconds = held.hold, held.models, held.seconds
        return self

    def __await__(self) -> Generator[Any, Any, Self]:
        return self._make().__await__()

    async def __aenter__(self) -> Self:
        return await self._make()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(InferenceError):  # without a line it ends by itself, and what ended the block matters more
            await self.release()
