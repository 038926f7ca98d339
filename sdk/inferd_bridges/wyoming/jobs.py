"""One request of a connection to the daemon, carried out: fed and read at the same time.

Covers: the two kinds. Does not cover what comes of it: each event is told to `conversation` as it comes, and awaited until the
client has taken it, so that a slow client slows its own stream and no other. Cancelling the task cancels the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from inferd.drafts import STREAM_TIMEOUT_S
from inferd.errors import InferenceError
from inferd.messages.events import AudioChunk
from inferd.uplink import SAMPLE_BYTES
from inferd_bridges.wyoming.offer import base
from inferd_bridges.wyoming.orders import Came, Failed, Happening, Heard, Spoken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from inferd.aio_speech_streams import AsyncSpeechStream, AsyncTranscriptStream
    from inferd_bridges.wyoming.daemon import Daemon
    from inferd_bridges.wyoming.feeds import Feeds
    from inferd_bridges.wyoming.orders import Listen, Speak

Tell = Callable[[Happening], Awaitable[None]]
"""Passes on what happened; returns when the client has taken what came of it."""
P = TypeVar("P", bytes, str)

REPORT_MS: Final = 200
"""How often the voice is told what the client has taken: it works a second ahead of it."""


async def listen(order: Listen, feeds: Feeds[bytes], daemon: Daemon, tell: Tell) -> None:
    """Hear what is fed, to its end or to its error."""
    try:
        model = await daemon.choose("transcribe", order.wish)
        language = base(order.wish.language) if order.wish.language else None
        stream = daemon.client.transcribe_stream(
            order.rate_hz, model=model, priority="voice", language=language, prompt=order.prompt
        )
        async with stream, _fed(stream, feeds):
            async for event in stream:
                await tell(Came(order.job, event))
        found = stream.transcript
        await tell(Heard(order.job, found.text, found.language))
    except* InferenceError as group:
        await tell(Failed(order.job, _first(group)))


async def speak(order: Speak, feeds: Feeds[str], daemon: Daemon, tell: Tell) -> None:
    """Speak what is fed, to its end or to its error."""
    try:
        model = await daemon.choose("synthesize", order.wish)
        stream = daemon.client.synthesize_stream(order.wish.speaker, model=model, priority="voice")
        async with stream, _fed(stream, feeds):
            samples = reported_ms = 0
            async for event in stream:
                await tell(Came(order.job, event))
                if isinstance(event, AudioChunk):
                    samples += len(event.pcm) // SAMPLE_BYTES
                    taken_ms = samples * 1_000 // event.rate_hz
                    if taken_ms - reported_ms >= REPORT_MS:
                        reported_ms = taken_ms
                        await stream.played(taken_ms)
        await tell(Spoken(order.job))
    except* InferenceError as group:
        await tell(Failed(order.job, _first(group)))


@asynccontextmanager
async def _fed(stream: AsyncTranscriptStream | AsyncSpeechStream, feeds: Feeds[P]) -> AsyncIterator[None]:
    """Feed a stream while the block reads it; an error of either ends both."""
    async with asyncio.TaskGroup() as group:
        feeding = group.create_task(_feed(stream, feeds))
        yield
        feeding.cancel()


async def _feed(stream: AsyncTranscriptStream | AsyncSpeechStream, feeds: Feeds[P]) -> None:
    """Feed all there is. A model that is being loaded takes nothing yet: its patience is that of the stream."""
    while (piece := await feeds.next()) is not None:
        await stream.send(piece, timeout_s=STREAM_TIMEOUT_S)  # type: ignore[arg-type]  # the pieces are of its kind
    await stream.finish(timeout_s=STREAM_TIMEOUT_S)


def _first(group: BaseExceptionGroup[InferenceError]) -> InferenceError:
    """Return the error that began it."""
    found = group.exceptions[0]
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
