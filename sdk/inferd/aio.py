"""The asyncio client: the names of `client`, awaited; on asyncio's own loop and on uvloop.

Covers: `AsyncClient` and its rooms. What calls take, return and raise, and their timeouts: see `client`.
See also: `aio_speech_calls`, a part of it; `aio_streams`.

A client belongs to the event loop of its first call; another loop gets RuntimeError and needs a client of its own.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self

from inferd.aio_duplex import AsyncLoopback
from inferd.aio_holds import AsyncHold
from inferd.aio_speech_calls import AsyncSpeechCalls
from inferd.aio_speech_set import AsyncSpeechSet
from inferd.aio_streams import AsyncReplyStream, AsyncStream, Bound, Box, answer
from inferd.drafts import (
    CALL_TIMEOUT_S,
    STREAM_TIMEOUT_S,
    UNLOAD_TIMEOUT_S,
    GenerateOptions,
    Prompt,
    checked_model,
    checked_timeout,
    draft,
    generate_draft,
    loopback_draft,
    preflight_draft,
    pull_draft,
    stop_draft,
    unload_draft,
    why_draft,
)
from inferd.errors import ConnectionLost, InferenceError
from inferd.intake import Only
from inferd.keeping import hold_draft, pin_draft, unpin_draft, warm_up_draft
from inferd.line import CONNECT_TIMEOUT_S, Line
from inferd.listed import DISCOVER_TIMEOUT_S, REMOVE_TIMEOUT_S, register_draft, remove_draft, unregister_draft
from inferd.messages import events, operations
from inferd.messages.events import Pulled, PullProgress
from inferd.vocabulary import (
    VOCABULARY_TIMEOUT_S,
    TokenEstimate,
    detokenize_draft,
    estimate_draft,
    estimate_of,
    ids_of,
    tokenize_draft,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Unpack

    from inferd.keeping import OnProgress
    from inferd.messages.control import Priority
    from inferd.messages.reports import DaemonReport, Health, MemoryDecision, Model, Preflight, Warmed
    from inferd.messages.schemas import ModelSchema, Upgrade
    from inferd.reply import PullEvent, Reply


class AsyncClient(AsyncSpeechCalls):
    """An app's way to the daemon; connects with its first call, reconnects by itself.

    Parameters and errors are those of `Client`. Made anywhere; belongs to the event loop of its first call.
    """

    def __init__(
        self,
        app: str | None = None,
        *,
        socket: str | Path | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        bound = Bound()
        self._line = Line(app, socket, connect_timeout_s, bound.post, bound.bind, bound)
        self.models = AsyncModels(self._line)
        self.daemon = AsyncDaemon(self._line)
        self.speech = AsyncSpeechSet(self._line)

    async def generate(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
        **options: Unpack[GenerateOptions],
    ) -> Reply:
        """Return the whole answer to a prompt; see `Client.generate`. Cancelling the task cancels the request."""
        async with self.stream(
            prompt, model=model, priority=priority, timeout_s=timeout_s, keep_alive_s=keep_alive_s, **options
        ) as stream:
            return await stream.reply()

    def stream(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
        **options: Unpack[GenerateOptions],
    ) -> AsyncReplyStream:
        """Return the answer as it is made; see `Client.stream`. Called in a running event loop."""
        request = generate_draft(
            prompt, options, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s
        )
        return AsyncReplyStream(self._line, request)

    def loopback(
        self,
        rate_hz: int = 16_000,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
    ) -> AsyncLoopback:
        """Return a duplex stream on which the sound that is sent comes back; see `Client.loopback`."""
        request = loopback_draft(
            rate_hz, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s
        )
        return AsyncLoopback(self._line, request, rate_hz)

    async def tokenize(
        self,
        model: str,
        text: str,
        *,
        lossy: bool = False,
        priority: Priority = "interactive",
        timeout_s: float = VOCABULARY_TIMEOUT_S,
    ) -> list[int]:
        """Return the text's tokens by the model's own tokenizer; see `Client.tokenize`."""
        request = tokenize_draft(model, text, lossy=lossy, timeout_s=timeout_s, priority=priority)
        return ids_of(await answer(self._line, request, events.Tokenized))

    async def detokenize(
        self,
        model: str,
        ids: Sequence[int],
        *,
        lossy: bool = False,
        priority: Priority = "interactive",
        timeout_s: float = VOCABULARY_TIMEOUT_S,
    ) -> str:
        """Return the text that tokens stand for; see `Client.detokenize`."""
        request = detokenize_draft(model, ids, lossy=lossy, timeout_s=timeout_s, priority=priority)
        return (await answer(self._line, request, events.Detokenized)).text

    async def estimate_tokens(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = VOCABULARY_TIMEOUT_S,
        **options: Unpack[GenerateOptions],
    ) -> TokenEstimate:
        """Return how much of the model's context a prompt would take; see `Client.estimate_tokens`."""
        request = estimate_draft(prompt, options, timeout_s=timeout_s, priority=priority, model=model)
        return estimate_of(await answer(self._line, request, events.Estimated))

    async def ping(self, model: str | None = None, *, timeout_s: float = CALL_TIMEOUT_S) -> float:
        """Return the seconds until the daemon, or a loaded model's process, answered; see `Client.ping`."""
        model, timeout_s = checked_model(model), checked_timeout(timeout_s)
        box = Box()
        asked_s = time.monotonic()
        self._line.connection().probe(model, timeout_s, box)
        (item,) = await box.get()
        if isinstance(item, InferenceError):
            raise item
        return time.monotonic() - asked_s

    async def health(self, *, timeout_s: float = CALL_TIMEOUT_S) -> Health:
        """Return how the whole service is; see `Client.health`."""
        return (await answer(self._line, draft(operations.Health(), timeout_s=timeout_s), events.HealthReport)).health

    async def aclose(self) -> None:
        """End every open call with Cancelled, and the connection. A closed client stays closed."""
        self._line.close()
        await asyncio.to_thread(self._line.join)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class AsyncModels:
    """The models of this machine; see `client.Models`."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def list(self, *, timeout_s: float = CALL_TIMEOUT_S) -> tuple[Model, ...]:
        """Return every model that the daemon knows, with its live state."""
        found = await answer(self._line, draft(operations.ListModels(), timeout_s=timeout_s), events.ModelList)
        return found.models

    def pull(self, name: str, *, timeout_s: float = STREAM_TIMEOUT_S) -> AsyncStream[PullEvent]:
        """Return the progress of fetching a model's files; see `client.Models.pull`."""
        view: Only[PullEvent] = Only(PullProgress, Pulled)
        return AsyncStream(self._line, pull_draft(name, timeout_s=timeout_s), view)

    async def unload(self, name: str, *, timeout_s: float = UNLOAD_TIMEOUT_S) -> None:
        """End a model's process once its streams have ended; returns when it is gone. Raises ModelNotFound."""
        await answer(self._line, unload_draft(name, timeout_s=timeout_s), events.Unloaded)

    async def schemas(self, *, timeout_s: float = CALL_TIMEOUT_S) -> tuple[ModelSchema, ...]:
        """Return what is known of every model, loaded or not; see `client.Models.schemas`."""
        found = await answer(self._line, draft(operations.ListSchemas(), timeout_s=timeout_s), events.SchemaList)
        return found.schemas

    async def register(
        self, schema: ModelSchema | Mapping[str, object], *, timeout_s: float = CALL_TIMEOUT_S
    ) -> events.Registered:
        """Add a model of your own, or put it in place of the one with its id; see `client.Models.register`."""
        return await answer(self._line, register_draft(schema, timeout_s=timeout_s), events.Registered)

    async def unregister(self, name: str, *, timeout_s: float = REMOVE_TIMEOUT_S) -> events.Unregistered:
        """Take a registered model off the list; see `client.Models.unregister`."""
        return await answer(self._line, unregister_draft(name, timeout_s=timeout_s), events.Unregistered)

    async def remove(self, name: str, *, timeout_s: float = REMOVE_TIMEOUT_S) -> events.Removed:
        """Delete a model's file once its streams have ended; see `client.Models.remove`."""
        return await answer(self._line, remove_draft(name, timeout_s=timeout_s), events.Removed)

    async def discover(self, *, timeout_s: float = DISCOVER_TIMEOUT_S) -> events.Discovered:
        """Return the models of other programs on this machine; see `client.Models.discover`."""
        return await answer(self._line, draft(operations.Discover(), timeout_s=timeout_s), events.Discovered)

    async def upgrades(self, *, timeout_s: float = CALL_TIMEOUT_S) -> tuple[Upgrade, ...]:
        """Return the stored models for which the curated list has a newer one; see `client.Models.upgrades`."""
        found = await answer(self._line, draft(operations.ListUpgrades(), timeout_s=timeout_s), events.UpgradeList)
        return found.upgrades

    async def preflight(
        self, name: str, context_tokens: int | None = None, *, timeout_s: float = CALL_TIMEOUT_S
    ) -> Preflight:
        """Return whether a model would fit into memory now; see `client.Models.preflight`."""
        request = preflight_draft(name, context_tokens, timeout_s=timeout_s)
        return (await answer(self._line, request, events.PreflightReport)).preflight

    def hold(
        self,
        names: Sequence[str],
        seconds: float,
        *,
        priority: Priority = "interactive",
        on_progress: OnProgress | None = None,
        timeout_s: float = STREAM_TIMEOUT_S,
    ) -> AsyncHold:
        """Load models and keep them in memory together; for an `async with` block, or to await; see `client.Models.hold`."""
        return AsyncHold(self._line, hold_draft(names, seconds, timeout_s=timeout_s, priority=priority), on_progress)

    async def warm_up(
        self,
        names: Sequence[str],
        *,
        priority: Priority = "interactive",
        on_progress: OnProgress | None = None,
        timeout_s: float = STREAM_TIMEOUT_S,
    ) -> tuple[Warmed, ...]:
        """Load models, and return one result per name; see `client.Models.warm_up`."""
        request = warm_up_draft(names, timeout_s=timeout_s, priority=priority)
        return (await answer(self._line, request, events.WarmedUp, on_progress)).results

    async def pin(self, name: str, *, timeout_s: float = CALL_TIMEOUT_S) -> events.Pinned:
        """Have a model never leave once it is loaded; see `client.Models.pin`."""
        return await answer(self._line, pin_draft(name, timeout_s=timeout_s), events.Pinned)

    async def unpin(self, name: str, *, timeout_s: float = CALL_TIMEOUT_S) -> events.Pinned:
        """Take back a pin; see `client.Models.unpin`."""
        return await answer(self._line, unpin_draft(name, timeout_s=timeout_s), events.Pinned)


class AsyncDaemon:
    """The service itself; see `client.Daemon`."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def status(self, *, timeout_s: float = CALL_TIMEOUT_S) -> DaemonReport:
        """Return who uses what and who waits for what, with the processes of the service."""
        found = await answer(self._line, draft(operations.Status(), timeout_s=timeout_s), events.StatusReport)
        return found.report

    async def why(self, model: str, *, timeout_s: float = CALL_TIMEOUT_S) -> tuple[MemoryDecision, ...]:
        """Return what was decided about a model's memory lately, oldest first; see `client.Daemon.why`."""
        found = await answer(self._line, why_draft(model, timeout_s=timeout_s), events.WhyReport)
        return found.decisions

    async def stop(self, grace_s: float = 30.0, *, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """Tell the daemon to end: what runs may finish within `grace_s`. Returns once it has said that it will."""
        try:
            await answer(self._line, stop_draft(grace_s, timeout_s=timeout_s), events.Stopping)
        except ConnectionLost as lost:
            if not lost.details.get("started"):
                raise  # else it was accepted, and the line closed before the answer: the daemon is gone, as wished
