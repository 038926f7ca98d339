"""One answer being spoken: its text goes up in order, its sound comes down, and control overtakes both.

Covers: the three tasks of a stream of speech. Does not cover what is to be spoken: `turns` decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from inferd.errors import InferenceError
from inferd.messages.events import AudioChunk
from inferd.messages.speech import AudioStarted, Word
from inferd.voice.orders import SpokenOut

if TYPE_CHECKING:
    from inferd.aio_speech_streams import AsyncSpeechStream
    from inferd.voice.orders import Happening


class Voicing:
    """A stream of speech at work. `run` is its life; everything else returns at once."""

    def __init__(
        self, epoch: int, stream: AsyncSpeechStream, happen: Callable[[Happening], None], timeout_s: float
    ) -> None:
        """`timeout_s`: as the stream's: what goes up waits as long for the voice as its reader does."""
        self._epoch = epoch
        self._stream = stream
        self._happen = happen
        self._timeout_s = timeout_s
        self._text: asyncio.Queue[str | None] = asyncio.Queue()  # bounded by the answer, which is one text
        self._control: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()  # a few words a second

    async def run(self) -> None:
        """Speak until the end, and tell it. Cancelling leaves the stream."""
        failure: InferenceError | None = None
        async with self._stream, asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._feed()), group.create_task(self._say())]
            try:
                await self._read()
            except InferenceError as wrong:
                failure = wrong
            for helper in helpers:
                helper.cancel()
        self._happen(SpokenOut(self._epoch, failure))

    def feed(self, text: str | None) -> None:
        """Send the next piece; None: that was all."""
        self._text.put_nowait(text)

    def hold(self, *, held: bool) -> None:
        """Stop for now, or go on."""
        change = self._stream.pause if held else self._stream.resume
        self._control.put_nowait(lambda: change(timeout_s=self._timeout_s))

    def report(self, played_ms: int) -> None:
        """Tell how much has been played."""
        self._control.put_nowait(lambda: self._stream.played(played_ms, timeout_s=self._timeout_s))

    def stop(self, played_ms: int) -> None:
        """End it: nothing of it sounds any more. `run` ends when the daemon has confirmed it."""
        self._stream.cancel(played_ms)

    async def _read(self) -> None:
        async for event in self._stream:
            if isinstance(event, AudioStarted | AudioChunk | Word):
                self._happen(event)

    async def _feed(self) -> None:
        with suppress(InferenceError):  # the reader meets the same end, and tells it
            while (text := await self._text.get()) is not None:
                await self._stream.send(text, timeout_s=self._timeout_s)
            await self._stream.finish(timeout_s=self._timeout_s)

    async def _say(self) -> None:
        with suppress(InferenceError):  # as above
            while True:
                await (await self._control.get())()
