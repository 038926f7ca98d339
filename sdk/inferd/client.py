"""The blocking client: every call waits; many threads may call at once.

Covers: `Client` and its rooms `models` and `daemon`. See also: `speech_calls`, a part of it; `speech_set`, its room `speech`;
`aio`, the same names awaited; `drafts` for what calls take.

`timeout_s` is the longest time without progress (queue position, load, output, bytes) of `generate`, `stream`, the calls
about speech, `speech.prepare`, `speech.install`, `speech.smoke_test`, `loopback`, `models.pull`, `models.hold`,
`models.warm_up`: 300 s unless told. It is the whole time of `tokenize`, `detokenize`, `estimate_tokens`, `models.unload`,
`models.remove`, `models.unregister`: 60 s, of `models.discover`: 30 s, and of everything else: 10 s.
Every call can raise ConnectionLost (no daemon within `connect_timeout_s`, or the line broke for good), VersionMismatch,
PermissionDenied (somebody else's daemon), QueueFull (256 requests unfinished), DeadlineExceeded, InvalidRequest.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from inferd.calls import Item, Mailbox
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
from inferd.duplex import Loopback
from inferd.errors import ConnectionLost, InferenceError
from inferd.holds import Hold
from inferd.intake import Only
from inferd.keeping import hold_draft, pin_draft, unpin_draft, warm_up_draft
from inferd.letterbox import Letterbox
from inferd.line import CONNECT_TIMEOUT_S, Line
from inferd.listed import DISCOVER_TIMEOUT_S, REMOVE_TIMEOUT_S, register_draft, remove_draft, unregister_draft
from inferd.messages import events, operations
from inferd.messages.events import Pulled, PullProgress
from inferd.speech_calls import SpeechCalls
from inferd.speech_set import SpeechSet
from inferd.streams import ReplyStream, Stream, answer
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


class Client(SpeechCalls):
    """An app's way to the daemon; connects with its first call, reconnects by itself, works again after a fork.

    `app`: the name that fair share and `inferd ps` go by; default: the script's name. `socket`: the daemon's, default as
    in `inferd.address`. `connect_timeout_s`: how long a call waits for a daemon that is not there.

    Raises InvalidRequest (a value above) or PermissionDenied (the runtime directory is not yours alone).
    """

    def __init__(
        self,
        app: str | None = None,
        *,
        socket: str | Path | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self._line = Line(app, socket, connect_timeout_s, _post)
        self.models = Models(self._line)
        self.daemon = Daemon(self._line)
        self.speech = SpeechSet(self._line)

    def generate(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
        **options: Unpack[GenerateOptions],
    ) -> Reply:
        """Return the whole answer to a prompt: a string, or messages. Blocks until it is complete.

        `model`: exactly this one, never a substitute; None lets inferd choose. `options`: see `GenerateOptions`.
        `keep_alive_s`: how long the model is to stay loaded afterwards, unused; 0: it is unloaded once it is idle; None: as
        configured. The longest such wish of all apps that still runs counts.
        Raises ModelNotFound, LoadFailed, ModelFailed (a retry helps), Cancelled, and what every call can raise.
        """
        with self.stream(
            prompt, model=model, priority=priority, timeout_s=timeout_s, keep_alive_s=keep_alive_s, **options
        ) as stream:
            return stream.reply()

    def stream(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
        **options: Unpack[GenerateOptions],
    ) -> ReplyStream:
        """Return the answer as it is made: state, deltas, and `Done` with the whole reply. Does not block; iterating does.

        Leaving the iterator cancels. A slow reader delays its own stream only, and loses it after 10 s with a slot held
        (Cancelled, reason slow_reader). Iterating raises what `generate` raises.
        """
        return ReplyStream(
            self._line,
            generate_draft(
                prompt, options, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s
            ),
        )

    def loopback(
        self,
        rate_hz: int = 16_000,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = STREAM_TIMEOUT_S,
        keep_alive_s: float | None = None,
    ) -> Loopback:
        """Return a duplex stream on which the sound that is sent comes back: int16, mono, at `rate_hz`. Does not block."""
        return Loopback(
            self._line,
            loopback_draft(rate_hz, timeout_s=timeout_s, priority=priority, model=model, keep_alive_s=keep_alive_s),
            rate_hz,
        )

    def tokenize(
        self,
        model: str,
        text: str,
        *,
        lossy: bool = False,
        priority: Priority = "interactive",
        timeout_s: float = VOCABULARY_TIMEOUT_S,
    ) -> list[int]:
        """Return the text's tokens by the model's own tokenizer, raw. The model must be stored; it is not loaded. Blocks.

        No chat template, no mark in front; what looks like a special token is plain text. `detokenize` gives the text back:
        UnsupportedMode where it would not, unless `lossy`. Raises ModelNotFound, LoadFailed (not stored, or a bad file),
        ModelFailed (a retry helps), and what every call can raise.
        """
        request = tokenize_draft(model, text, lossy=lossy, timeout_s=timeout_s, priority=priority)
        return ids_of(answer(self._line, request, events.Tokenized))

    def detokenize(
        self,
        model: str,
        ids: Sequence[int],
        *,
        lossy: bool = False,
        priority: Priority = "interactive",
        timeout_s: float = VOCABULARY_TIMEOUT_S,
    ) -> str:
        """Return the text that tokens stand for, special ones as their own text. Blocks.

        With `lossy` bytes that are no UTF-8 become U+FFFD; without it they are InvalidRequest, as is an id that the model
        does not have. Otherwise as `tokenize`. At most 4,194,304 ids.
        """
        request = detokenize_draft(model, ids, lossy=lossy, timeout_s=timeout_s, priority=priority)
        return answer(self._line, request, events.Detokenized).text

    def estimate_tokens(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        priority: Priority = "interactive",
        timeout_s: float = VOCABULARY_TIMEOUT_S,
        **options: Unpack[GenerateOptions],
    ) -> TokenEstimate:
        """Return how much of the model's context a prompt would take: (input_tokens, context_tokens, fits, exact). Blocks.

        Takes what `generate` takes, so the same arguments can be tried first; `fits`: with room for `max_tokens`, or for
        one token. The model is not loaded for it. Raises what `tokenize` raises, and what `generate` would refuse.
        """
        request = estimate_draft(prompt, options, timeout_s=timeout_s, priority=priority, model=model)
        return estimate_of(answer(self._line, request, events.Estimated))

    def ping(self, model: str | None = None, *, timeout_s: float = CALL_TIMEOUT_S) -> float:
        """Return the seconds until the daemon, or a loaded model's process, answered a sign of life. Waits in no queue.

        Raises the reason for which the model could not answer (ModelNotFound, ModelFailed).
        """
        model, timeout_s = checked_model(model), checked_timeout(timeout_s)
        connection, mailbox = self._line.connection(), Letterbox()
        asked_s = time.monotonic()
        item = connection.ask(model, timeout_s, mailbox)
        if isinstance(item, InferenceError):
            raise item
        return time.monotonic() - asked_s

    def health(self, *, timeout_s: float = CALL_TIMEOUT_S) -> Health:
        """Return how the whole service is: problems first, each with the next step. Blocks."""
        return answer(self._line, draft(operations.Health(), timeout_s=timeout_s), events.HealthReport).health

    def close(self) -> None:
        """End every open call with Cancelled, and the connection. A closed client stays closed."""
        self._line.close()
        self._line.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Models:
    """The models of this machine: what there is, and what is loaded."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def list(self, *, timeout_s: float = CALL_TIMEOUT_S) -> tuple[Model, ...]:
        """Return every model that the daemon knows, with its live state."""
        return answer(self._line, draft(operations.ListModels(), timeout_s=timeout_s), events.ModelList).models

    def pull(self, name: str, *, timeout_s: float = STREAM_TIMEOUT_S) -> Stream[PullEvent]:
        """Return the progress of fetching a model's files; `Pulled` is the last event. Does not block; iterating does.

        The daemon owns the download: leaving the iterator does not stop it, asking again joins it. Raises PullFailed.
        """
        view: Only[PullEvent] = Only(PullProgress, Pulled)
        return Stream(self._line, pull_draft(name, timeout_s=timeout_s), view)

    def unload(self, name: str, *, timeout_s: float = UNLOAD_TIMEOUT_S) -> None:
        """End a model's process once its streams have ended; returns when it is gone. Raises ModelNotFound."""
        answer(self._line, unload_draft(name, timeout_s=timeout_s), events.Unloaded)

    def schemas(self, *, timeout_s: float = CALL_TIMEOUT_S) -> tuple[ModelSchema, ...]:
        """Return what is known of every model, local and remote, loaded or not; registered rows that are wrong are left out."""
        return answer(self._line, draft(operations.ListSchemas(), timeout_s=timeout_s), events.SchemaList).schemas

    def register(
        self, schema: ModelSchema | Mapping[str, object], *, timeout_s: float = CALL_TIMEOUT_S
    ) -> events.Registered:
        """Add a model of your own, or put it in place of the one with its id; every app sees it when this returns.

        `schema`: a ModelSchema (one of `schemas` or `discover`, say) or a mapping of its fields. Over a curated or
        configured model it changes the fields it names. It stays until `unregister`, also over restarts. A process that
        runs keeps its settings: `note` says so. Raises InvalidRequest naming model and field.
        """
        return answer(self._line, register_draft(schema, timeout_s=timeout_s), events.Registered)

    def unregister(self, name: str, *, timeout_s: float = REMOVE_TIMEOUT_S) -> events.Unregistered:
        """Take a registered model off the list; its file stays. Returns when nothing runs on it any more.

        Requests on it may end, those that wait for it fail. Raises ModelNotFound, and InvalidRequest for a model that was
        not registered (the curated list and the config are not changed by it).
        """
        return answer(self._line, unregister_draft(name, timeout_s=timeout_s), events.Unregistered)

    def remove(self, name: str, *, timeout_s: float = REMOVE_TIMEOUT_S) -> events.Removed:
        """Delete a model's file once its streams have ended; returns the bytes freed. The model stays on the list.

        Requests that wait for it fail. A file that inferd did not fetch itself is never deleted: 0 bytes, and `note`
        says why. Leaving does not stop it. Raises ModelNotFound, ResourceBlocked (it is being fetched).
        """
        return answer(self._line, remove_draft(name, timeout_s=timeout_s), events.Removed)

    def discover(self, *, timeout_s: float = DISCOVER_TIMEOUT_S) -> events.Discovered:
        """Return the models of other programs on this machine: of servers on loopback, and files in their folders.

        Nothing is changed; give a found schema to `register` to use it.
        """
        return answer(self._line, draft(operations.Discover(), timeout_s=timeout_s), events.Discovered)

    def upgrades(self, *, timeout_s: float = CALL_TIMEOUT_S) -> tuple[Upgrade, ...]:
        """Return the stored models for which the curated list has a newer one: from, to, reason, size, whether it fits."""
        return answer(self._line, draft(operations.ListUpgrades(), timeout_s=timeout_s), events.UpgradeList).upgrades

    def preflight(
        self, name: str, context_tokens: int | None = None, *, timeout_s: float = CALL_TIMEOUT_S
    ) -> Preflight:
        """Return whether a model would fit into memory now, what would leave for it, and the numbers; nothing is loaded.

        `context_tokens`: of one request, None: as configured. Raises ModelNotFound.
        """
        request = preflight_draft(name, context_tokens, timeout_s=timeout_s)
        return answer(self._line, request, events.PreflightReport).preflight

    def hold(
        self,
        names: Sequence[str],
        seconds: float,
        *,
        priority: Priority = "interactive",
        on_progress: OnProgress | None = None,
        timeout_s: float = STREAM_TIMEOUT_S,
    ) -> Hold:
        """Load models and keep them in memory together, all or none; use it in a `with` block. Blocks until all are ready.

        `names`: 1 to 16. `seconds`: 0.1 to 86,400, from when they are ready; `Hold.renew` begins them anew. `priority`: how
        urgently models in use give way. While it lasts its models are neither evicted nor unloaded, and one that falls is
        loaded again. Raises ResourceBlocked with the numbers if they do not fit together, and then nothing is held;
        ModelNotFound, LoadFailed, ModelFailed.
        """
        request = hold_draft(names, seconds, timeout_s=timeout_s, priority=priority)
        return Hold(self._line, answer(self._line, request, events.Held, on_progress))

    def warm_up(
        self,
        names: Sequence[str],
        *,
        priority: Priority = "interactive",
        on_progress: OnProgress | None = None,
        timeout_s: float = STREAM_TIMEOUT_S,
    ) -> tuple[Warmed, ...]:
        """Load models, each for itself, and return one result per name. Blocks until each is ready or has failed.

        `names`: 1 to 64. Engines that need a first run to be fast make it as they load. Nothing is fetched: a model that is not
        stored fails, and its message says how to fetch it. Leaving early drops loads that still wait for memory.
        """
        request = warm_up_draft(names, timeout_s=timeout_s, priority=priority)
        return answer(self._line, request, events.WarmedUp, on_progress).results

    def pin(self, name: str, *, timeout_s: float = CALL_TIMEOUT_S) -> events.Pinned:
        """Have a model, once loaded, never leave for another's memory or for want of use; over restarts, until `unpin`.

        It is not loaded by it. Raises ModelNotFound.
        """
        return answer(self._line, pin_draft(name, timeout_s=timeout_s), events.Pinned)

    def unpin(self, name: str, *, timeout_s: float = CALL_TIMEOUT_S) -> events.Pinned:
        """Take back a pin. Raises ModelNotFound, and InvalidRequest for a model that the config pins."""
        return answer(self._line, unpin_draft(name, timeout_s=timeout_s), events.Pinned)


class Daemon:
    """The service itself."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def status(self, *, timeout_s: float = CALL_TIMEOUT_S) -> DaemonReport:
        """Return who uses what and who waits for what, with the processes of the service."""
        return answer(self._line, draft(operations.Status(), timeout_s=timeout_s), events.StatusReport).report

    def why(self, model: str, *, timeout_s: float = CALL_TIMEOUT_S) -> tuple[MemoryDecision, ...]:
        """Return what was decided about a model's memory lately, oldest first, with the numbers and what would help.

        The last few hundred decisions about all models are kept, none across a restart. Raises ModelNotFound.
        """
        return answer(self._line, why_draft(model, timeout_s=timeout_s), events.WhyReport).decisions

    def stop(self, grace_s: float = 30.0, *, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """Tell the daemon to end: what runs may finish within `grace_s`. Returns once it has said that it will."""
        try:
            answer(self._line, stop_draft(grace_s, timeout_s=timeout_s), events.Stopping)
        except ConnectionLost as lost:
            if not lost.details.get("started"):
                raise  # else it was accepted, and the line closed before the answer: the daemon is gone, as wished


def _post(deliveries: dict[Mailbox, list[Item]]) -> None:
    for mailbox in list(deliveries):
        mailbox.put(deliveries[mailbox])
        del deliveries[mailbox]  # what is still there after an interrupt is posted again
