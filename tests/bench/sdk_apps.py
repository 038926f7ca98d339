"""A child of benches: many apps in one process, each an `AsyncClient` of its own.

`sdk_apps.py SOCKET PREFIX APPS`. Orders, by `do`: `stream` (read so many streams per app to their end, all at once),
`stall` (open them, read until each has said something, then no more), `finish` (read the stalled ones to their end),
`leave` (close the stalled ones).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter

from child import Json, say
from nonce import Tally, text

from inferd import AsyncClient, Cancelled, Done, TextDelta, Usage
from inferd.aio_streams import AsyncReplyStream


class Apps:
    """The apps of this process."""

    def __init__(self, socket: str, names: list[str]) -> None:
        self._clients = {name: AsyncClient(name, socket=socket) for name in names}
        self._stalled: list[AsyncReplyStream] = []

    async def connect(self) -> None:
        """Have every app greeted by the daemon."""
        await asyncio.gather(*(client.ping() for client in self._clients.values()))

    async def answer(self, order: Json) -> Json:
        """Carry out one order."""
        match order:
            case {"do": "stream", "model": str(model), "streams": int(streams), "words": int(words)}:
                return await self._stream(model, streams, words)
            case {"do": "stall", "model": str(model), "streams": int(streams), "words": int(words)}:
                return await self._stall(model, streams, words)
            case {"do": "finish"}:
                ends = Counter(await asyncio.gather(*map(_end, self._stalled)))
                self._stalled.clear()
                return {"ends": dict(ends)}
            case {"do": "leave"}:
                for stream in self._stalled:
                    await stream.aclose()
                self._stalled.clear()
                return {}
        raise ValueError(f"unknown order {order}")

    async def _stream(self, model: str, streams: int, words: int) -> Json:
        tally = Tally()
        began_s, cpu_s = time.monotonic(), time.process_time()
        await asyncio.gather(
            *(
                _read(
                    client.stream(text(app, number, words), model=model), f"{app}/{number}", app, number, words, tally
                )
                for app, client in self._clients.items()
                for number in range(streams)
            )
        )
        return tally.as_answer(time.process_time() - cpu_s) | {"wall_s": time.monotonic() - began_s}

    async def _stall(self, model: str, streams: int, words: int) -> Json:
        opened = [
            client.stream(text(app, number, 1), model=model, max_tokens=words)
            for app, client in self._clients.items()
            for number in range(streams)
        ]
        await asyncio.gather(*map(_begin, opened))
        self._stalled += opened
        return {"stalled": len(self._stalled)}


async def _read(stream: AsyncReplyStream, name: str, app: str, number: int, words: int, tally: Tally) -> None:
    pieces: list[str] = []
    events = ends = 0
    async for event in stream:
        events += isinstance(event, TextDelta | Usage | Done)
        if isinstance(event, TextDelta):
            pieces.append(event.text)
        ends += isinstance(event, Done)
    tally.book(name, text(app, number, words), "".join(pieces), events, ends)


async def _begin(stream: AsyncReplyStream) -> None:
    """Wait until a stream really runs."""
    while not isinstance(await anext(stream), TextDelta):
        continue


async def _end(stream: AsyncReplyStream) -> str:
    """Return how a stream ends that nobody read for a while."""
    try:
        async for _ in stream:
            continue
    except Cancelled as cancelled:
        return str(cancelled.details.get("reason"))
    return "done"


async def _main(socket: str, prefix: str, count: int) -> None:
    apps = Apps(socket, [f"{prefix}{number}" for number in range(count)])
    await apps.connect()
    say(ready=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        say(**await apps.answer(json.loads(line)))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
