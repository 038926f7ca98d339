"""One request of the llama.cpp engine on its way: prompt, sampler, text, counts, halts.

Covers: the state, what a token adds, how it ends. Does not cover decoding: `engine` drives it. It calls no library itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.errors import ContextOverflow
from inferd.messages.events import Finished, StopReason, TextDelta, Usage
from inferd_actors.engines.text import TextStream

if TYPE_CHECKING:
    from inferd.messages.operations import Generate
    from inferd_actors.engine import EngineEvent, Submission
    from inferd_actors.engines.llama_cpp.runtime import Prepared


class Answer:
    """A request from submit to its terminal event."""

    def __init__(self, submission: Submission, asked: Generate) -> None:
        self.submission = submission
        self.asked = asked
        self.prepared: Prepared | None = None
        self.may_produce = True
        self.held = False
        self.completion_tokens = 0
        self._text = TextStream(asked.stop)

    @property
    def halted(self) -> bool:
        """Whether it has to wait: for its window, or for the app."""
        return self.held or not self.may_produce

    @property
    def usage(self) -> Usage:
        """Tokens so far; a prompt counts once it is in the cache."""
        read_tokens = self.prepared.read_tokens if self.prepared else 0
        return Usage(prompt_tokens=read_tokens, completion_tokens=self.completion_tokens)

    def add(self, piece: bytes) -> tuple[list[EngineEvent], bool]:
        """Return the events of one more token, and whether it was the last: those of the end are then behind them."""
        self.completion_tokens += 1
        shown = self._text.feed(piece)
        events: list[EngineEvent] = [TextDelta(shown.text)] if shown.text else []
        if shown.stopped:
            return [*events, *self._close("stop_sequence")], True
        if self.prepared and self.completion_tokens >= self.prepared.limit_tokens:
            return [*events, *self.end("length")], True
        return events, False

    def end(self, reason: StopReason) -> list[EngineEvent]:
        """Return the events of the end: text kept back as a possible stop sequence, and the close."""
        rest = self._text.flush()
        kept: list[EngineEvent] = [TextDelta(rest)] if rest else []
        return [*kept, *self._close(reason)]

    def _close(self, reason: StopReason) -> list[EngineEvent]:
        asked, warnings = self.submission, self.prepared.warnings if self.prepared else ()
        finished = Finished(asked.model, reason, self.usage, asked.queue_s, asked.load_s, warnings)
        return [self.usage, finished]


def limit(asked: Generate, model: str, prompt_tokens: int, context_tokens: int) -> tuple[int, tuple[str, ...]]:
    """Return how many tokens the answer may have, and what the app is told about that.

    Raises ContextOverflow when the prompt leaves no room for one.
    """
    room = context_tokens - prompt_tokens
    if room < 1:
        raise overflow(model, prompt_tokens, context_tokens)
    if asked.max_tokens is None:
        return room, ()
    if asked.max_tokens <= room:
        return asked.max_tokens, ()
    cut = (
        f"max_tokens {asked.max_tokens:,} is cut to {room:,}: the prompt takes {prompt_tokens:,} of {context_tokens:,}"
    )
    return room, (cut,)


def overflow(model: str, input_tokens: int, context_tokens: int) -> ContextOverflow:
    """Return the error for a prompt that does not fit."""
    return ContextOverflow(
        f"the prompt has {input_tokens:,} tokens; {model} has room for {context_tokens:,}, one of them for the answer",
        details={"input_tokens": input_tokens, "context_tokens": context_tokens},
    )
