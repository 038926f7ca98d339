"""One request of the llama.cpp engine on its way: its text, counts and halts.

Covers: the state, what a token adds, how it ends. Does not cover computing (`engine`) nor its place in the cache (`schedule`).
It calls no library itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.errors import ContextOverflow
from inferd.messages.events import Finished, StopReason, TextDelta, TokenLogprob, Usage
from inferd_actors.engines.text import TextStream

if TYPE_CHECKING:
    from inferd.messages.operations import Generate
    from inferd_actors.engine import EngineEvent, Submission
    from inferd_actors.engines.llama_cpp.library import Sampler
    from inferd_actors.engines.llama_cpp.sequences import Live


class Answer:
    """A request from submit to its terminal event."""

    def __init__(self, submission: Submission, asked: Generate, order: int) -> None:
        self.submission = submission
        self.asked = asked
        self.order = order
        self.live: Live | None = None
        """Its tokens; None until its prompt is prepared."""
        self.sampler: Sampler | None = None
        self.limit_tokens = 0
        self.warnings: tuple[str, ...] = ()
        self.may_produce = True
        self.held = False
        self.completion_tokens = 0
        self._text = TextStream(asked.stop)
        self._logprobs: list[TokenLogprob] = []
        """Of tokens whose text is not shown yet."""

    @property
    def halted(self) -> bool:
        """Whether it has to wait: for its window, or for the app."""
        return self.held or not self.may_produce

    def is_urgent(self, now_s: float) -> bool:
        """Tell whether a listener waits for its next words."""
        if self.submission.priority != "voice" or self.halted:
            return False
        return self.live is None or not self.live.can_wait(now_s)

    @property
    def usage(self) -> Usage:
        """Tokens so far; a prompt counts as far as it has been read."""
        live = self.live
        if live is None:
            return Usage()
        return self._used(live, live.prompt_tokens if self.completion_tokens else min(live.cached, live.prompt_tokens))

    def _used(self, live: Live, read_tokens: int) -> Usage:
        return Usage(read_tokens, self.completion_tokens, min(live.reused, read_tokens))

    def add(self, piece: bytes, logprob: TokenLogprob | None) -> tuple[list[EngineEvent], bool]:
        """Return the events of one more token, and whether it was the last: those of the end are then behind them."""
        self.completion_tokens += 1
        if logprob is not None:
            self._logprobs.append(logprob)
        shown = self._text.feed(piece)
        events: list[EngineEvent] = [self._delta(shown.text)] if shown.text else []
        if shown.stopped:
            return [*events, *self._close("stop_sequence")], True
        if self.completion_tokens >= self.limit_tokens:
            return [*events, *self.end("length")], True
        return events, False

    def end(self, reason: StopReason) -> list[EngineEvent]:
        """Return the events of the end, its prompt read: text kept back as a possible stop sequence, and the close."""
        rest = self._text.flush()
        kept: list[EngineEvent] = [self._delta(rest)] if rest else []
        return [*kept, *self._close(reason)]

    def _delta(self, text: str) -> TextDelta:
        logprobs, self._logprobs = tuple(self._logprobs), []
        return TextDelta(text, logprobs)

    def _close(self, reason: StopReason) -> list[EngineEvent]:
        asked = self.submission
        rest: list[EngineEvent] = [self._delta("")] if self._logprobs else []
        usage = self._used(self.live, self.live.prompt_tokens) if self.live else Usage()
        return [*rest, usage, Finished(asked.model, reason, usage, asked.queue_s, asked.load_s, self.warnings)]


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
