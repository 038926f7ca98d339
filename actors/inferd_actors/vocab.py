"""The vocab actor: what models' tokenizers say, without the models' weights.

Covers: the life of requests in it, what is too much. It is a stream-serving process like any other (`model`) around an engine
that loads nothing and opens files as they are asked for. Does not cover what a file says (`engines.llama_cpp.lexicon`), which
files are open (`opened`), who computes (`workers`), streams and windows (`streams`).
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, assert_never

from inferd.errors import InferenceError, UnsupportedMode
from inferd.messages.bounds import Blob
from inferd.messages.events import Cancelled, CancelReason, Detokenized, Estimated, Terminal, Tokenized
from inferd.messages.operations import Detokenize, EstimateTokens, Tokenize
from inferd_actors import engines, model
from inferd_actors.engine import Capacity, OnProgress, Sink, StreamId, Submission
from inferd_actors.engines.desk import ALIVE_S, Begin, Desk, Drop, Flow, Hear, Hold, Order, Take, TakeNoMore
from inferd_actors.headers.reader import read_header
from inferd_actors.opened import Opened
from inferd_actors.refusals import as_event
from inferd_actors.workers import Workers

if TYPE_CHECKING:
    from inferd_actors.engines.llama_cpp.lexicon import Lexicon
    from inferd_actors.host import ActorSpec
    from inferd_actors.messages import ModelFile

ENGINE: Final = "llama_cpp"
"""Whose files are opened."""
SLOTS: Final = 2
"""One app's megabytes do not hold up the next one; more would only take the cores from who computes answers."""
WASTED_S: Final = 10.0
"""All workers compute for nobody for so long, and somebody waits: the process ends. A million newlines took SPM minutes."""


def serve(spec: ActorSpec) -> None:
    """Live as the vocab actor until told to leave. Blocks."""
    model.live(spec, lambda _engine: Vocab)


class Vocab(Desk):
    """An engine for many files. See the engine contract for its methods; its loop never waits for a worker."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._live: dict[StreamId, Submission] = {}
        self._workers = Workers(SLOTS, self._answered, self._bell.set)
        self._files: Opened[Lexicon] = Opened(_open)
        self._steps = 0

    def load(self, path: str, options: Mapping[str, str | int | float | bool], on_progress: OnProgress) -> Capacity:
        """Begin; there is nothing to load."""
        del path, options, on_progress
        self._workers.start()
        self._begin(self._loop, "vocab")
        return Capacity(SLOTS, can_park=False, context_tokens=0, memory_bytes=0)

    def stats(self) -> Mapping[str, float]:
        """Return the counters. What a worker computes is not due: texts may take minutes, and the loop ends them in time."""
        counters = {"steps": self._steps, "busy": len(self._live), "due": self._untaken, "files": len(self._files)}
        return {name: float(count) for name, count in counters.items()}

    # --- the loop

    def _loop(self) -> None:
        while not self._closing.is_set():
            self._attend(time.monotonic())
            self._rest(ALIVE_S)
        self._attend(time.monotonic())
        for stream in tuple(self._live):
            self._end(stream, Cancelled("shutdown"))
        self._workers.stop()
        self._files.close()

    def _attend(self, now_s: float) -> None:
        for order in self._taken():
            self._obey(order, now_s)
        for stream, event in self._workers.taken():
            self._steps += 1
            if event is not None:
                self._end(stream, event)
        if self._live and self._workers.wasted_s(now_s) > WASTED_S:
            self._sink.fatal(f"all workers have computed for nobody for more than {WASTED_S:g} s")
        self._sink.alive()

    def _obey(self, order: Order, now_s: float) -> None:
        match order:
            case Begin(submission):
                self._live[submission.stream] = submission
                self._workers.put(submission)
            case Drop(stream, reason):
                self._drop(stream, reason, now_s)
            case Take() | TakeNoMore() | Flow() | Hold() | Hear():
                pass  # an answer is one terminal event: there is no uplink, and nothing to hold back
            case _:
                assert_never(order)

    def _drop(self, stream: StreamId, reason: CancelReason, now_s: float) -> None:
        if stream in self._live:
            self._workers.abandon(stream, now_s)
            self._end(stream, Cancelled(reason))

    def _end(self, stream: StreamId, event: Terminal) -> None:
        if self._live.pop(stream, None) is not None:
            self._sink.emit([(stream, event)])

    # --- in the workers' threads

    def _is_wanted(self, stream: StreamId) -> bool:
        return stream in self._live and not self._closing.is_set()

    def _answered(self, submission: Submission) -> Terminal | None:
        try:
            return self._answer(submission) if self._is_wanted(submission.stream) else None
        except InferenceError as refused:
            return as_event(refused)
        except Exception as bug:  # noqa: BLE001 - one request's misfortune is no other's; its words may quote a text
            places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(bug.__traceback__)]
            sys.stderr.write(f"vocab: {type(bug).__name__} at {' '.join(places)}\n")
            return as_event(
                InferenceError(f"the vocab actor failed at this by a bug of its own ({type(bug).__name__})")
            )

    def _answer(self, submission: Submission) -> Terminal | None:
        name, file, asked = submission.model, submission.file, submission.operation
        if file is None or not isinstance(asked, Tokenize | Detokenize | EstimateTokens):
            operation = type(asked).__name__
            raise UnsupportedMode(f"the vocab actor does not serve {operation}", details={"operation": operation})
        with self._files.lent(file.path) as words:
            match asked:
                case Tokenize(text, lossy):
                    return Tokenized(name, Blob(words.tokenize(text, name, lossy=lossy)))
                case Detokenize(ids, lossy):
                    return Detokenized(name, words.detokenize(ids, name, lossy=lossy))
                case EstimateTokens():
                    return self._estimated(submission.stream, asked, words, file)
                case _:
                    assert_never(asked)

    def _estimated(self, stream: StreamId, asked: EstimateTokens, words: Lexicon, file: ModelFile) -> Estimated | None:
        counted = words.estimate(asked, file.model, file.context_tokens, lambda: self._is_wanted(stream))
        if counted is None:
            return None
        input_tokens, context_tokens = counted
        fits = input_tokens + (asked.max_tokens or 1) <= context_tokens
        return Estimated(file.model, input_tokens, context_tokens, fits, exact=True)


def _open(path: str) -> Lexicon:
    """Open a file once its header was read within limits. Raises LoadFailed: it is bad, or its engine is not installed."""
    engines.factory(ENGINE)
    read_header(path)
    from inferd_actors.engines.llama_cpp.lexicon import Lexicon

    return Lexicon(path)
