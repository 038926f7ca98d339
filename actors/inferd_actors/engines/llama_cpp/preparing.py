"""From a request to a prompt's tokens, in a thread of its own: a template may run for seconds, and nobody else shall wait.

Covers: rendering, tokenizing, the fit into the context, the plan of the sampler. Does not cover computing: `engine`.
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from inferd.errors import InferenceError
from inferd_actors.engine import StreamId
from inferd_actors.engines.llama_cpp import sampling
from inferd_actors.engines.llama_cpp.answer import limit, overflow
from inferd_actors.engines.llama_cpp.fitting import answer_room_tokens, latest_turns
from inferd_actors.engines.llama_cpp.fragments import Fragments
from inferd_actors.engines.llama_cpp.library import Tokens
from inferd_actors.engines.llama_cpp.prompt import prompt_of
from inferd_actors.stacks import start_deep

if TYPE_CHECKING:
    from inferd.messages.operations import Generate
    from inferd_actors.engine import Submission
    from inferd_actors.engines.llama_cpp.runtime import Runtime

LONGEST_PIECE_BYTES: Final = 1_024
"""No tokenizer seen has a longer token (some have one of 512 spaces); a text with more bytes than this for every token of
the context is refused before it is tokenized, which takes a second for 8 MB."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose prompt is known. `limit_tokens`: most tokens that the answer may have."""

    stream: StreamId
    prompt: Tokens
    steps: tuple[sampling.Step, ...]
    limit_tokens: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that cannot be served."""

    stream: StreamId
    reason: InferenceError


class Preparing:
    """The thread. `done` takes what was made; `is_wanted` tells whether a stream still lives: both are called in it.

    `guard` runs the thread's work, and ends the process if that breaks: requests would wait for ever.
    """

    def __init__(
        self,
        runtime: Runtime,
        done: Callable[[Prepared | Refused], None],
        is_wanted: Callable[[StreamId], bool],
        guard: Callable[[Callable[[], None]], None],
    ) -> None:
        self._runtime = runtime
        self._done = done
        self._is_wanted = is_wanted
        self._fragments = Fragments(runtime.model.vocabulary)
        self._asked: queue.SimpleQueue[tuple[Submission, Generate] | None] = queue.SimpleQueue()
        """Bounded by the orders that wait for the engine; what that refuses is not wanted any more when its turn comes."""
        self._thread = threading.Thread(target=guard, args=(self._live,), name="preparing", daemon=True)
        start_deep([self._thread])

    def begin(self, submission: Submission, asked: Generate) -> None:
        """Prepare this request when its turn comes; never blocks."""
        self._asked.put((submission, asked))

    def close(self) -> None:
        """End the thread, after the request that it works on."""
        self._asked.put(None)
        self._thread.join()

    def _live(self) -> None:
        while (item := self._asked.get()) is not None:
            submission, asked = item
            try:
                made = self._made(submission, asked) if self._is_wanted(submission.stream) else None
            except InferenceError as refused:
                self._done(Refused(submission.stream, refused))
            else:
                if made:
                    self._done(made)

    def _made(self, submission: Submission, asked: Generate) -> Prepared | None:
        """Return the prompt and the plan; None if nobody wants them any more."""
        runtime, stream, model = self._runtime, submission.stream, submission.model
        tokens_of = partial(self._fragments.tokens_of_prompt, owner="" if asked.shared_prefix else submission.salt)

        def look_at(text: str) -> None:
            if len(text) > LONGEST_PIECE_BYTES * runtime.context_tokens:
                raise overflow(model, len(text) // LONGEST_PIECE_BYTES, runtime.context_tokens)

        def prompt_for(asked: Generate) -> Tokens | None:
            return prompt_of(asked, model, runtime.template, tokens_of, lambda: self._is_wanted(stream), look_at)

        left_out = 0
        if asked.truncate == "oldest":
            room_tokens = runtime.context_tokens - answer_room_tokens(asked.max_tokens, runtime.context_tokens)
            prompt, left_out = latest_turns(asked, room_tokens, prompt_for) or (None, 0)
        else:
            prompt = prompt_for(asked)
        if prompt is None:
            return None
        limit_tokens, warnings = limit(asked, model, len(prompt), runtime.context_tokens)
        if left_out:
            gone = f"truncate: the oldest {left_out:,} of {len(asked.messages):,} messages are left out"
            warnings = (gone, *warnings)
        size = len(runtime.model.vocabulary)
        plan = sampling.plan(asked, runtime.defaults, chance=secrets.randbits(32), vocabulary_size=size)
        return Prepared(stream, prompt, plan, limit_tokens, warnings)
