"""The whole answer to a `generate`, and how it comes together from the events of its stream.

Covers: `Reply`, `Done`, `accumulate`. Pure: times are passed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from inferd.errors import InvalidRequest
from inferd.messages import events
from inferd.messages.events import (
    Loading,
    Parked,
    Pulled,
    PullProgress,
    Queued,
    Resumed,
    StopReason,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from inferd.messages.operations import ToolCall


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer: `text` is what the `TextDelta`s said, in order; `thinking` likewise."""

    text: str
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls that the model asks for; `arguments` is its own JSON text."""
    boxes: tuple[object, ...] = ()
    """Regions that the model named; empty for models of words."""
    usage: Usage = Usage()  # noqa: RUF009 - a frozen value
    stop_reason: StopReason = "stop"
    trace_id: str = ""
    """Names this call in logs and outcomes."""
    model: str = ""
    """Who answered."""
    latency_s: float = 0.0
    """From the call to its end, as the app saw it."""
    first_event_s: float | None = None
    """From the call to the first content; None if there was none."""
    queue_s: float = 0.0
    load_s: float = 0.0
    fallback_from: str | None = None
    warnings: tuple[str, ...] = ()
    """What was done differently from what was asked, one sentence each."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """One for each token of the answer, if they were asked for."""


@dataclass(frozen=True, slots=True)
class Done:
    """The last event of a stream: the whole answer."""

    reply: Reply


GenerateEvent = (
    Queued | Loading | Parked | Resumed | TextDelta | ThinkingDelta | ToolCallStart | ToolCallDelta | Usage | Done
)
"""What a `stream` yields: state (Queued, Loading, Parked, Resumed), content, and Done as the last."""

PullEvent = PullProgress | Pulled
"""What a `models.pull` yields: progress, and Pulled as the last."""

_SHOWN = (Queued, Loading, Parked, Resumed, TextDelta, ThinkingDelta, ToolCallStart, ToolCallDelta, Usage)


class Gathered:
    """What the deltas of one answer have said so far."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: dict[int, ToolCallStart] = {}
        self._arguments: dict[int, list[str]] = {}
        self._logprobs: list[TokenLogprob] = []

    def add(self, event: object) -> None:
        """Take one event; those without content change nothing."""
        match event:
            case TextDelta():
                self._text.append(event.text)
                self._logprobs += event.logprobs
            case ThinkingDelta():
                self._thinking.append(event.text)
            case ToolCallStart():
                self._calls[event.index] = event
            case ToolCallDelta():
                self._arguments.setdefault(event.index, []).append(event.arguments_delta)

    def completed(self, reply: Reply) -> Reply:
        """Return `reply` with the gathered text, thinking and calls."""
        calls = (
            ToolCall(call.id, call.name, "".join(self._arguments.get(index, ())))
            for index, call in sorted(self._calls.items())
        )
        return replace(
            reply,
            text="".join(self._text),
            thinking="".join(self._thinking),
            tool_calls=tuple(calls),
            logprobs=tuple(self._logprobs),
        )


def accumulate(stream: Iterable[GenerateEvent]) -> Reply:
    """Return the answer that a stream's events make up; reads them all, and blocks as they do.

    Text, thinking and calls are those of the events given, so an app that changes deltas on their way gets what it made of
    them. Raises InvalidRequest when the events end without `Done`: the answer would pass for complete.
    """
    gathered = Gathered()
    for event in stream:
        if isinstance(event, Done):
            return gathered.completed(event.reply)
        gathered.add(event)
    raise InvalidRequest("events: they ended without Done", details={"field": "events"})


class ReplyView:
    """Shows a `generate` stream to the app, and makes the reply of what it has shown."""

    def __init__(self, asked_s: float) -> None:
        self._asked_s = asked_s
        self._first_event_s: float | None = None
        self._trace_id = ""
        self._gathered = Gathered()
        self.reply: Reply | None = None
        """Set by the end of the stream."""

    def show(self, event: events.Event, now_s: float) -> GenerateEvent | None:
        """Return what the app sees of an event; None: nothing."""
        match event:
            case events.Accepted():
                self._trace_id = event.trace_id
            case events.Finished():
                self.reply = self._gathered.completed(self._ending(event, now_s))
                return Done(self.reply)
            case _ if isinstance(event, _SHOWN):
                if self._first_event_s is None and isinstance(event, events.CONTENTS):
                    self._first_event_s = now_s - self._asked_s
                self._gathered.add(event)
                return event
        return None

    def _ending(self, end: events.Finished, now_s: float) -> Reply:
        return Reply(
            text="",
            usage=end.usage,
            stop_reason=end.stop_reason,
            trace_id=self._trace_id,
            model=end.model,
            latency_s=now_s - self._asked_s,
            first_event_s=self._first_event_s,
            queue_s=end.queue_s,
            load_s=end.load_s,
            fallback_from=end.fallback_from,
            warnings=end.warnings,
        )
