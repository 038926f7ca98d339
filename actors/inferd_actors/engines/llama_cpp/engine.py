"""The loop of the llama.cpp engine: one thread, one sequence, one step at a time.

Covers: the order of steps, and what is looked at between them. Does not cover loading (`runtime`), the library (`library`),
nor what an answer is (`answer`). A step is the shortest piece of work: the prompt's text, a chunk of the prompt, or a token;
orders are obeyed between steps, so cancel, pause and windows act within one.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never

from inferd.errors import InferenceError, QueueFull, UnsupportedMode
from inferd.messages.events import Cancelled, CancelReason
from inferd.messages.operations import Generate
from inferd_actors.engine import Capacity, EngineEvent, OnProgress, Sink, StreamId, Submission
from inferd_actors.engines import options as settings
from inferd_actors.engines.abilities import check
from inferd_actors.engines.desk import ALIVE_S, Begin, Desk, Drop, Flow, Hold, Order, Take, TakeNoMore
from inferd_actors.engines.llama_cpp import sampling
from inferd_actors.engines.llama_cpp.answer import Answer, limit, overflow
from inferd_actors.engines.llama_cpp.options import Options
from inferd_actors.refusals import as_event

if TYPE_CHECKING:
    from inferd_actors.engines.llama_cpp.runtime import Prepared, Runtime

CHUNK_TOKENS: Final = 128
"""Prompt tokens of one step: half a second for a model of 135 M parameters on 2 cores, at 0.95 of the speed of 512."""
WAITING: Final = 64
"""Requests that may wait here; the daemon keeps its own queue and sends hardly more than the one slot takes."""
LONGEST_PIECE_BYTES: Final = 256
"""No tokenizer seen has a longer token; a text with more bytes than this for every token of the context is refused
before it is tokenized, which takes a second for 8 MB."""


class LlamaCpp(Desk):
    """The llama.cpp engine. See the engine contract for its methods."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._answers: dict[StreamId, Answer] = {}
        """Live requests in order of arrival; the first one is worked on."""
        self._counters = dict.fromkeys(("steps", "prompt_tokens", "completion_tokens"), 0.0)

    def load(self, path: str, options: Mapping[str, str | int | float | bool], on_progress: OnProgress) -> Capacity:
        """Load in the loop's own thread, so that one thread holds the library's objects from the first to the last."""
        chosen = settings.read(options, Options)
        ready: Future[Capacity] = Future()
        self._begin(partial(self._live, path, chosen, on_progress, ready), "llama")
        return ready.result()

    def stats(self) -> Mapping[str, float]:
        """Return the counters."""
        return {**self._counters, "busy": float(len(self._answers))}

    # --- the loop

    def _live(self, path: str, options: Options, on_progress: OnProgress, ready: Future[Capacity]) -> None:
        try:
            from inferd_actors.engines.llama_cpp.runtime import load

            runtime = load(path, Path(path).name, options, on_progress, lambda: not self._closing.is_set())
        except BaseException as reason:  # noqa: BLE001 - whoever waits for the load is told, whatever it was
            ready.set_exception(reason)
            return
        ready.set_result(runtime.capacity)
        try:
            self._loop(runtime)
        finally:
            runtime.close()

    def _loop(self, runtime: Runtime) -> None:
        while not self._closing.is_set():
            self._attend()
            answer = next(iter(self._answers.values()), None)
            if answer is None or answer.halted:
                self._rest(ALIVE_S)
            else:
                self._step(runtime, answer)
        self._attend()
        for answer in tuple(self._answers.values()):
            self._cancel(answer, "shutdown")

    def _attend(self) -> None:
        """Look up between steps."""
        for order in self._taken():
            self._obey(order)
        self._sink.alive()

    def _step(self, runtime: Runtime, answer: Answer) -> None:
        self._counters["steps"] += 1
        try:
            if answer.prepared is None:
                self._prepare(runtime, answer)
            elif answer.prepared.read_tokens < len(answer.prepared.prompt):
                self._read(runtime, answer, answer.prepared)
            else:
                self._decode(runtime, answer, answer.prepared)
        except InferenceError as refused:
            self._end(answer, [as_event(refused)])

    def _prepare(self, runtime: Runtime, answer: Answer) -> None:
        """Make the prompt and the sampler."""
        model, asked = answer.submission.model, answer.asked
        if runtime.template is None:
            raise UnsupportedMode(f"{model} has no chat template in its file: it is no chat model")
        text = runtime.template.render(asked, model, partial(self._still_wanted, answer))
        if text is None:
            return
        if len(text) > LONGEST_PIECE_BYTES * runtime.context_tokens:
            raise overflow(model, len(text) // LONGEST_PIECE_BYTES, runtime.context_tokens)
        words = runtime.model.vocabulary
        begins = bool(words.begin_text) and text.startswith(words.begin_text)
        prompt = words.tokenize(text, add_begin=not begins, marks=True)
        limit_tokens, warnings = limit(asked, model, len(prompt), runtime.context_tokens)
        chain = sampling.plan(asked, runtime.defaults, chance=secrets.randbits(32))
        answer.prepared = runtime.prepare(prompt, chain, limit_tokens, warnings)

    def _still_wanted(self, answer: Answer) -> bool:
        self._attend()
        return answer.submission.stream in self._answers and not self._closing.is_set()

    def _read(self, runtime: Runtime, answer: Answer, prepared: Prepared) -> None:
        """Take a chunk of the prompt into the cache; behind the last one stands the first token."""
        count = min(CHUNK_TOKENS, len(prepared.prompt) - prepared.read_tokens)
        piece = prepared.prompt[prepared.read_tokens : prepared.read_tokens + count]
        self._at = runtime.compute(prepared.read_tokens, piece)
        prepared.read_tokens += count
        self._counters["prompt_tokens"] += count
        if prepared.read_tokens == len(prepared.prompt):
            self._sample(runtime, answer, prepared)

    def _decode(self, runtime: Runtime, answer: Answer, prepared: Prepared) -> None:
        where = len(prepared.prompt) + answer.completion_tokens - 1
        self._at = runtime.compute(where, [prepared.latest])
        self._sample(runtime, answer, prepared)

    def _sample(self, runtime: Runtime, answer: Answer, prepared: Prepared) -> None:
        prepared.latest = token = runtime.context.sample(prepared.sampler, self._at)
        if runtime.model.vocabulary.ends(token):
            self._end(answer, answer.end("stop"))
            return
        self._counters["completion_tokens"] += 1
        events, complete = answer.add(runtime.model.vocabulary.piece(token))
        if complete:
            self._end(answer, events)
        elif events:
            self._emit(answer, events)

    def _emit(self, answer: Answer, events: list[EngineEvent]) -> None:
        stream = answer.submission.stream
        self._sink.emit([(stream, event) for event in events])

    def _end(self, answer: Answer, events: list[EngineEvent]) -> None:
        """Say the last of it and let go of it."""
        self._answers.pop(answer.submission.stream)
        if answer.prepared is not None:
            answer.prepared.sampler.close()
        self._emit(answer, events)

    # --- orders

    def _obey(self, order: Order) -> None:
        if isinstance(order, Begin):
            self._admit(order.submission)
            return
        answer = self._answers.get(order.stream)
        if answer is None:
            return
        match order:
            case Flow(_, may_produce):
                answer.may_produce = may_produce
            case Hold(_, held):
                answer.held = held
            case Drop(_, reason):
                self._cancel(answer, reason)
            case Take() | TakeNoMore():
                pass  # a generate has no uplink, so none was granted and the host lets nothing through
            case _:
                assert_never(order)

    def _admit(self, submission: Submission) -> None:
        try:
            asked = self._accepted(submission)
        except InferenceError as refused:
            self._sink.emit([(submission.stream, as_event(refused))])
        else:
            self._answers[submission.stream] = Answer(submission, asked)

    def _accepted(self, submission: Submission) -> Generate:
        asked = submission.operation
        if not isinstance(asked, Generate):
            operation = type(asked).__name__
            raise UnsupportedMode(f"{submission.model} does not serve {operation}", details={"operation": operation})
        check(asked, submission.model)
        if len(self._answers) > WAITING:
            raise QueueFull(f"{WAITING} requests wait inside {submission.model}", details={"limit": WAITING})
        return asked

    def _cancel(self, answer: Answer, reason: CancelReason) -> None:
        self._end(answer, [Cancelled(reason, answer.usage)])
