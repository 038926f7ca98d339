"""Answers that take a while to make: each in a task of its own, which answers whatever happens.

Covers: what becomes of an answer, a refusal and a bug. Does not cover answers that are there at once
(`Requests.conclude`). Runs in the loop.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING

from inferd.errors import InferenceError
from inferd.messages.events import Terminal
from inferd_daemon.refusal import own_fault
from inferd_daemon.requests import as_event
from inferd_daemon.telemetry import report

if TYPE_CHECKING:
    import asyncio

    from inferd_daemon.requests import Requests
    from inferd_daemon.work import Work

Making = Coroutine[None, None, Terminal | None]
"""Returns the event that ends its request, None: something else will. May raise InferenceError, which ends it, too."""


def answer_later(work: Work, making: Making, requests: Requests, tasks: asyncio.TaskGroup) -> None:
    """Have a request end with what `making` comes to; returns at once."""

    async def run() -> None:
        event = await _event_of(making, work.request.op)
        if event is not None:
            requests.conclude(work.stream, event)

    tasks.create_task(run(), name=f"answer {work.trace_id}")


async def _event_of(making: Making, op: str) -> Terminal | None:
    try:
        return await making
    except InferenceError as refused:
        return as_event(refused)
    except Exception as bug:  # noqa: BLE001 - in a task of the root group it would end the daemon
        report(bug, op)
        return own_fault(bug)
