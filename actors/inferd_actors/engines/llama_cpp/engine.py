"""The loop of the llama.cpp engine: continuous batching in one thread.

Covers: the order of things in a step, and what is looked at between steps. Does not cover who has a seat (`schedule`), what a
step computes (`composition`), prompts (`preparing`), the library (`library`), nor what an answer is (`answer`).

A prompt is prepared while steps are computed, from the moment at which it comes: the next step may read it.
One round: 1. orders and prepared prompts are taken, 2. the schedule moves requests until it is content, 3. a batch is computed
(the GIL is free meanwhile), 4. each request that got logits gets its next token, 5. the events of all leave in one message.
Orders are obeyed between steps, so cancel, pause and windows act within one.
"""

from __future__ import annotations

import itertools
import time
from array import array
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

from inferd.errors import InferenceError, QueueFull, UnsupportedMode
from inferd.messages.control import PRIORITIES
from inferd.messages.events import Cancelled, CancelReason
from inferd.messages.operations import Generate
from inferd_actors.engine import Capacity, EngineEvent, OnProgress, Sink, StreamId, Submission
from inferd_actors.engines import options as settings
from inferd_actors.engines.abilities import check
from inferd_actors.engines.desk import ALIVE_S, Begin, Desk, Drop, Flow, Hear, Hold, Order, Take, TakeNoMore
from inferd_actors.engines.llama_cpp.answer import Answer
from inferd_actors.engines.llama_cpp.options import Options
from inferd_actors.refusals import as_event

if TYPE_CHECKING:
    from inferd_actors.engines.llama_cpp.opening import Opened
    from inferd_actors.engines.llama_cpp.preparing import Prepared, Refused

WAITING: Final = 256
"""Requests that may be here at once; the daemon keeps its own queue and sends a few for each slot and class."""
SERVES: Final = frozenset({"logprobs", "logit_bias", "truncate"})

Batch = list[tuple[StreamId, EngineEvent]]


class LlamaCpp(Desk):
    """The llama.cpp engine. See the engine contract for its methods."""

    def __init__(self, sink: Sink, ahead: Opened | None = None) -> None:
        """`ahead`: a file that was opened before its load is ordered."""
        super().__init__(sink)
        self._ahead = ahead
        self._answers: dict[StreamId, Answer] = {}
        self._wanted: set[StreamId] = set()
        """Whose prompt is still of use to somebody, known to the loop or not yet."""
        self._orderly = itertools.count(1)
        self._made: deque[Prepared | Refused] = deque()
        self._counters = dict.fromkeys(
            ("steps", "prompt_tokens", "cached_tokens", "completion_tokens", "parked", "threads"), 0.0
        )

    def load(self, path: str, options: Mapping[str, str | int | float | bool], on_progress: OnProgress) -> Capacity:
        """Load in the loop's own thread, so that one thread holds the library's objects from the first to the last."""
        chosen = settings.read(options, Options)
        ready: Future[Capacity] = Future()
        self._begin(partial(self._live, path, chosen, on_progress, ready), "llama")
        return ready.result()

    def submit(self, submission: Submission) -> None:
        """Take a request; whether it is one for this engine is the loop's to say."""
        self._wanted.add(submission.stream)
        super().submit(submission)  # before its prompt can be there
        if isinstance(submission.operation, Generate):
            self._preparing.begin(submission, submission.operation)

    def cancel(self, stream: StreamId, reason: CancelReason) -> None:
        """End the stream; its prompt is of no use from now on."""
        self._wanted.discard(stream)
        super().cancel(stream, reason)

    def stats(self) -> Mapping[str, float]:
        """Return the counters."""
        live = tuple(self._answers.values())
        due = sum(not answer.halted for answer in live) + self._untaken
        return {**self._counters, "busy": float(len(live)), "due": float(due)}

    # --- the loop

    def _live(self, path: str, options: Options, on_progress: OnProgress, ready: Future[Capacity]) -> None:
        try:
            from inferd_actors.engines.llama_cpp.batching import Batching
            from inferd_actors.engines.llama_cpp.preparing import Preparing
            from inferd_actors.engines.llama_cpp.runtime import load

            runtime = load(path, options, on_progress, lambda: not self._closing.is_set(), self._ahead)
        except BaseException as reason:  # noqa: BLE001 - whoever waits for the load is told, whatever it was
            ready.set_exception(reason)
            return
        self._preparing = Preparing(runtime, self._prepared, self._wanted.__contains__, self._guard)
        self._batching = Batching(
            runtime, self._counters, self._aside
        )  # binds this thread to a core: none is started after it
        ready.set_result(runtime.capacity)
        try:
            self._loop()
        finally:
            self._preparing.close()
            runtime.close()

    def _prepared(self, made: Prepared | Refused) -> None:
        """Take what the preparing thread has made; called there."""
        self._made.append(made)
        self._bell.set()

    def _loop(self) -> None:
        while not self._closing.is_set():
            self._attend()
            batch = self._batching.step(time.monotonic())
            if batch is None:
                self._rest(self._aside.wait_s(time.monotonic()) or ALIVE_S)
            else:
                self._conclude(batch)
        self._attend()
        for answer in tuple(self._answers.values()):
            self._cancel(answer, "shutdown")

    def _rest(self, timeout_s: float) -> None:
        if not self._made:
            super()._rest(timeout_s)

    def _attend(self) -> None:
        """Look up between steps."""
        made = [self._made.popleft() for _ in range(len(self._made))]  # first: its `Begin` is then among the orders
        for order in self._taken():
            self._obey(order)
        for one in made:
            self._seat(one)
        now_s = time.monotonic()
        self._tell_urgent(is_urgent=any(one.is_urgent(now_s) for one in self._answers.values()))
        self._sink.alive()

    def _conclude(self, batch: Batch) -> None:
        """Say what a step made, then let go of those whose end was among it."""
        for answer in self._batching.ended:
            self._forget(answer.submission.stream)
        if batch:
            self._sink.emit(batch)
        self._batching.book()

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
                self._batching.flow(answer)
            case Hold(_, held):
                answer.held = held
                self._batching.flow(answer)
            case Drop(_, reason):
                self._cancel(answer, reason)
            case Take() | TakeNoMore() | Hear():
                pass  # a generate has no uplink, so none was granted and the host lets nothing through; and no sound
            case _:
                assert_never(order)

    def _admit(self, submission: Submission) -> None:
        try:
            asked = self._accepted(submission)
        except InferenceError as refused:
            self._forget(submission.stream)
            self._sink.emit([(submission.stream, as_event(refused))])
        else:
            self._answers[submission.stream] = Answer(submission, asked, next(self._orderly))

    def _accepted(self, submission: Submission) -> Generate:
        asked = submission.operation
        if not isinstance(asked, Generate):
            operation = type(asked).__name__
            raise UnsupportedMode(f"{submission.model} does not serve {operation}", details={"operation": operation})
        check(asked, submission.model, serves=SERVES)
        if len(self._answers) >= WAITING:
            raise QueueFull(f"{WAITING} requests wait inside {submission.model}", details={"limit": WAITING})
        return asked

    def _seat(self, made: Prepared | Refused) -> None:
        """Hand a prepared request to the batching; one that has ended meanwhile is nothing."""
        from inferd_actors.engines.llama_cpp.preparing import Refused
        from inferd_actors.engines.llama_cpp.sequences import Live

        answer = self._answers.get(made.stream)
        if answer is None:
            return
        if isinstance(made, Refused):
            self._forget(made.stream)
            self._sink.emit([(made.stream, as_event(made.reason))])
            return
        asked = answer.submission
        answer.live = Live(
            made.stream,
            PRIORITIES.index(asked.priority),
            asked.salt,
            answer.asked.shared_prefix,
            array("i", made.prompt.tobytes()),
            len(made.prompt),
            answer.order,
            time.monotonic(),
            is_halted=answer.halted,
            added_s=time.monotonic(),
        )
        answer.limit_tokens, answer.warnings = made.limit_tokens, made.warnings
        self._batching.add(answer, made.steps)

    def _cancel(self, answer: Answer, reason: CancelReason) -> None:
        stream = answer.submission.stream
        self._forget(stream)
        usage = answer.usage
        self._batching.drop(answer)
        self._sink.emit([(stream, Cancelled(reason, usage))])

    def _forget(self, stream: StreamId) -> None:
        self._answers.pop(stream, None)
        self._wanted.discard(stream)
