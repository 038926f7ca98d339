"""The other servers' side of the text benches: their streaming chat completions, asked over HTTP.

Covers: one request, its pieces as they come, its count of tokens. Does not cover starting a server: `servers`. As much of HTTP
as both servers speak: a chunked body of server-sent events. The connection is there before the clock starts, as the SDK's is.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from questions import Question
from traffic import Ask, Ear, Heard

HOST: Final = "127.0.0.1"
PATIENCE_S: Final = 120.0
"""Longest whole answer; a server that hangs is a failure with a name."""
LINE_BYTES: Final = 2**20


def asking(port: int) -> Ask:
    """Return what asks the server at this port."""

    async def ask(question: Question, ear: Ear) -> Heard:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(HOST, port, limit=LINE_BYTES)
            try:
                return await _answer(reader, writer, question, ear)
            finally:
                writer.close()

    return ask


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, question: Question, ear: Ear) -> Heard:
    asked_s = time.monotonic()
    writer.write(_request(question))
    text: list[str] = []
    usage, reason = dict[str, int](), ""
    async for event in _events(reader):
        for choice in event["choices"]:
            if piece := choice["delta"].get("content"):
                ear.hear()
                text.append(piece)
            reason = choice.get("finish_reason") or reason
        usage = event.get("usage") or usage
    ended_s = time.monotonic()
    # llama-cpp-python's server counts nothing in a stream: an answer cut at its limit has that many tokens, and others one
    # for each piece.
    counted = question.max_tokens if reason == "length" else len(text)
    tokens = usage.get("completion_tokens", counted)
    return Heard(asked_s, tuple(ear.arrivals_s), ended_s, tokens, usage.get("prompt_tokens", 0), "".join(text))


def _request(question: Question) -> bytes:
    body = json.dumps(question.as_http).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _events(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON of each event up to `[DONE]`. Raises RuntimeError for what is no stream."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0]
    if b" 200 " not in status or b"chunked" not in head.lower():
        raise RuntimeError(f"{status.decode()}: {(await reader.read(1000)).decode(errors='replace')}")
    waiting = b""
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        waiting += (await reader.readexactly(size + 2))[:-2]
        *lines, waiting = waiting.replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            if line.startswith(b"data: [DONE]"):
                return
            if line.startswith(b"data: "):
                yield _checked(json.loads(line[len(b"data: ") :]))
        if size == 0:
            return


def _checked(event: dict[str, Any]) -> dict[str, Any]:
    if "error" in event:
        raise RuntimeError(f"the server says {event['error']}")
    return event
