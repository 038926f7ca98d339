"""Steps of several requests at once: seats settled, a batch computed, a token chosen for each.

Covers: what a step does with the library, in the loop's thread. Decisions are `schedule`'s and `composition`'s; with how many
threads it computes is `crew`'s.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from inferd.messages.events import Likely, Parked, Resumed, TokenLogprob
from inferd_actors.engines.aside import VOICE
from inferd_actors.engines.llama_cpp import library
from inferd_actors.engines.llama_cpp.cache import Cache
from inferd_actors.engines.llama_cpp.composition import Part, compose
from inferd_actors.engines.llama_cpp.crew import Crew
from inferd_actors.engines.llama_cpp.nucleus import log_probabilities
from inferd_actors.engines.llama_cpp.pace import Pace
from inferd_actors.engines.llama_cpp.schedule import Schedule
from inferd_actors.engines.llama_cpp.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferd_actors.engine import EngineEvent, StreamId
    from inferd_actors.engines.aside import Aside
    from inferd_actors.engines.llama_cpp.answer import Answer
    from inferd_actors.engines.llama_cpp.runtime import Runtime
    from inferd_actors.engines.llama_cpp.sampling import Step
    from inferd_actors.engines.llama_cpp.sequences import Live

Batch = list[tuple["StreamId", "EngineEvent"]]


class Computed(NamedTuple):
    """A step: what it computed, and when."""

    parts: Sequence[Part]
    read_tokens: int
    written_tokens: int
    began_s: float
    ended_s: float


class Batching:
    """The requests that have a prompt, and the steps that answer them. Every method belongs to the loop's thread."""

    def __init__(self, runtime: Runtime, counters: dict[str, float], aside: Aside) -> None:
        options, can_trim = runtime.options, runtime.model.can_trim
        saves = not (runtime.model.is_offloaded and can_trim)
        self._runtime = runtime
        self._counters = counters
        self._aside = aside
        self._pace = Pace()
        self._schedule = Schedule(
            slots=options.slots,
            prefixes=options.prefixes,
            cells=runtime.cells,
            can_trim=can_trim,
            shelf_tokens=options.shelf_bytes // max(1, runtime.model.cell_bytes) if saves else 0,
        )
        self._cache = Cache(runtime.context, Shelf(options.shelf_bytes), can_trim=can_trim)
        self._answers: dict[StreamId, Answer] = {}
        self._computed: Computed | None = None
        """What `book` is to draw conclusions from."""
        self.ended: list[Answer] = []
        """In the last step."""
        self._crew = Crew(runtime.context, options.threads)
        counters["threads"] = self._crew.threads

    def add(self, answer: Answer, steps: Sequence[Step]) -> None:
        """Take a request with its prompt."""
        live = answer.live
        if live is None:
            raise ValueError("a request without its prompt")
        answer.sampler = library.Sampler(steps, len(self._runtime.model.vocabulary))
        self._answers[live.stream] = answer
        self._schedule.add(live)

    def flow(self, answer: Answer) -> None:
        """Note whether a request has to wait."""
        if answer.live is not None:
            answer.live.is_halted = answer.halted

    def drop(self, answer: Answer) -> None:
        """Let go of a request; one that was never added is nothing."""
        if self._answers.pop(answer.submission.stream, None) is None:
            return
        self._cache.carry_out(self._schedule.end(answer.submission.stream), self._schedule)
        if answer.sampler is not None:
            answer.sampler.close()

    def step(self, now_s: float) -> Batch | None:
        """Compute a step and return its events; None: there is nothing to compute. Blocks for as long as it takes.

        `book` is called behind it, once the events are on their way: until then apps wait, and all cores but this one's idle.
        """
        if not self._answers:
            self._crew.rest()
            return None
        batch = self._settle(now_s)
        parts = compose(
            self._present(now_s),
            self._pace,
            batch_tokens=self._runtime.batch_tokens,
            free_cells=self._schedule.cells.free,
            is_hurried=self._aside.is_aside(now_s),
            now_s=now_s,
        )
        if not parts:
            return batch or None
        self._crew.muster(parts)
        for part, at in self._compute(parts):
            answer = self._answers[part.live.stream]
            batch += [(part.live.stream, event) for event in self._advance(answer, at)]
        return batch

    def _present(self, now_s: float) -> list[Live]:
        """Return whose parts a step may have: what can wait steps aside for voice, now and then."""
        seated = self._schedule.seated
        urgent = [live for live in seated if not live.can_wait(now_s)]
        if len(urgent) == len(seated):
            return seated
        if any(live.rank == VOICE and not live.is_halted for live in urgent):
            self._aside.voice_here(now_s)
        return seated if self._aside.may_compute(now_s) else urgent

    def _settle(self, now_s: float) -> Batch:
        """Let the schedule move requests until it is content; return what they are told about that."""
        moves = self._schedule.decide(now_s)
        if moves is None:
            return []  # as before nearly every step
        while moves is not None:
            self._cache.carry_out(moves, self._schedule)
            moves = self._schedule.decide(now_s)
        parked = [live for live in self._schedule if live.is_parked]
        return [(live.stream, event) for live in parked if (event := self._told(live)) is not None]

    def _told(self, live: Live) -> Parked | Resumed | None:
        """Return what a request that has lost its seat, or has another one, does not know yet."""
        if live.seat is None:
            if live.knows_parked:
                return None
            live.knows_parked = True
            self._counters["parked"] += 1
            return Parked()
        live.is_parked = False
        if not live.knows_parked:
            return None
        live.knows_parked = False
        return Resumed()

    def _compute(self, parts: Sequence[Part]) -> list[tuple[Part, int]]:
        """Compute these parts; return those whose next token is due, with the place of their logits."""
        rows = [
            library.Row(
                part.live.seat or 0,
                part.live.cached,
                part.live.tokens[part.live.cached : part.live.cached + part.n_tokens],
                wants_logits=part.n_tokens == part.live.pending,
            )
            for part in parts
        ]
        due = [part for part, row in zip(parts, rows, strict=True) if row.wants_logits]
        prompts = [part.n_tokens for part in parts if part.live.is_reading]
        began_s = time.monotonic()
        wanted = self._runtime.context.decode(rows)
        self._computed = step = Computed(parts, sum(prompts), len(parts) - len(prompts), began_s, time.monotonic())
        self._counters["steps"] += 1
        self._counters["prompt_tokens"] += step.read_tokens
        self._counters["threads"] = self._crew.threads
        return list(zip(due, wanted, strict=True))

    def book(self) -> None:
        """Draw conclusions from the last step, and let go of those that have ended, which takes milliseconds."""
        if self._computed is not None:
            self._book(self._computed)
            self._computed = None
        for answer in self.ended:
            self.drop(answer)
        self.ended.clear()

    def _book(self, step: Computed) -> None:
        parts, now_s = step.parts, step.ended_s
        took_s = now_s - step.began_s
        self._pace.measured(read_tokens=step.read_tokens, written_tokens=step.written_tokens, step_s=took_s)
        can_wait = [part.live.can_wait(now_s) for part in parts]
        if any(part.live.rank == VOICE and not waits for part, waits in zip(parts, can_wait, strict=True)):
            self._aside.voice_here(now_s)
        if True in can_wait:
            self._aside.computed(took_s, now_s)
        for part in parts:
            self._schedule.computed(part.live, part.n_tokens)
        self._crew.look(now_s)

    def _advance(self, answer: Answer, at: int) -> list[EngineEvent]:
        """Choose the next token of a request and return what that adds to its answer."""
        live, sampler, vocabulary = answer.live, answer.sampler, self._runtime.model.vocabulary
        if live is None or sampler is None:
            raise ValueError("a request without its prompt")
        token = self._runtime.context.sample(sampler, at)
        if vocabulary.ends(token):
            return self._end(answer, answer.end("stop"))
        self._counters["completion_tokens"] += 1
        if not answer.completion_tokens:
            live.begun_s = time.monotonic()
        live.tokens.append(token)
        events, is_complete = answer.add(vocabulary.piece(token), self._logprob(answer, token, at))
        return self._end(answer, events) if is_complete else events

    def _logprob(self, answer: Answer, token: int, at: int) -> TokenLogprob | None:
        if answer.asked.logprobs is None:
            return None
        found, top = log_probabilities(self._runtime.context.logits(at), token, answer.asked.logprobs)
        piece = self._runtime.model.vocabulary.piece
        return TokenLogprob(
            token,
            piece(token).decode(errors="replace"),
            min(0.0, found),
            tuple(Likely(one, piece(one).decode(errors="replace"), min(0.0, logprob)) for one, logprob in top),
        )

    def _end(self, answer: Answer, events: list[EngineEvent]) -> list[EngineEvent]:
        if answer.live is not None:
            self._counters["cached_tokens"] += answer.live.reused
        self.ended.append(answer)
        return events
