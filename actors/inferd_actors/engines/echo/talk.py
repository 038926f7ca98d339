"""One answer of the echo engine: the last user message, word by word.

Covers: which words, where it ends, what it says at the end. Pure. Each event but the last carries a word and one blank, the
last a bare word, so the whole text is the words joined by single blanks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import TYPE_CHECKING

from inferd.errors import ContextOverflow
from inferd.messages.events import Finished, StopReason, TextDelta, Usage
from inferd.messages.operations import Generate
from inferd_actors.engine import Submission
from inferd_actors.engines.abilities import check, words_of
from inferd_actors.engines.text import StopScanner

if TYPE_CHECKING:
    from inferd_actors.engine import EngineEvent


@dataclass(slots=True)
class Talk:
    """An answer in progress."""

    submission: Submission
    prompt_tokens: int
    total: int
    """Words that it will have."""
    stop_reason: StopReason
    _words: Iterator[str]
    _scanner: StopScanner
    said: int = field(default=0, init=False)

    @property
    def usage(self) -> Usage:
        """Words read and said so far."""
        return Usage(prompt_tokens=self.prompt_tokens, completion_tokens=self.said)

    def step(self) -> list[EngineEvent]:
        """Return the events of one more word, those of the end behind the last one."""
        text, stopped = "", False
        if self.said < self.total:
            word = next(self._words)
            self.said += 1
            shown = self._scanner.feed(word if self.said == self.total else f"{word} ")
            text, stopped = shown.text, shown.stopped
        if stopped:
            self.stop_reason = "stop_sequence"
        elif self.said == self.total:
            text += self._scanner.flush()
        events: list[EngineEvent] = [TextDelta(text)] if text else []
        return [*events, *self._end()] if stopped or self.said == self.total else events

    def _end(self) -> tuple[EngineEvent, ...]:
        asked = self.submission
        return self.usage, Finished(asked.model, self.stop_reason, self.usage, asked.queue_s, asked.load_s)


def begin(submission: Submission, asked: Generate, context_tokens: int) -> Talk:
    """Return the answer to a request: all words once, or `max_tokens` of them, from the first again where they end.

    Raises UnsupportedMode or ContextOverflow.
    """
    check(asked, submission.model)
    prompt_tokens = sum(len(words_of(message).split()) for message in asked.messages)
    if prompt_tokens > context_tokens:
        raise ContextOverflow(
            f"the prompt has {prompt_tokens:,} tokens; the context of {submission.model} has {context_tokens:,}",
            details={"input_tokens": prompt_tokens, "context_tokens": context_tokens},
        )
    words = next((words_of(one).split() for one in reversed(asked.messages) if one.role == "user"), [])
    scanner = StopScanner(asked.stop)
    if asked.max_tokens is None or not words:
        return Talk(submission, prompt_tokens, len(words), "stop", iter(words), scanner)
    said = islice(cycle(words), asked.max_tokens)
    return Talk(submission, prompt_tokens, asked.max_tokens, "length", said, scanner)
