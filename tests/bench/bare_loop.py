"""A child of the text benches: llama.cpp driven by nothing but a loop, as the best that an engine around it can reach.

`bare_loop.py FILE CELLS SEATS`. An order has `questions` (fields of a `Generate` each) and `threads`; all are answered at once:
prompts in batches of 512 tokens, then a hand-made batch of one token for each. What a prompt has in common with the one before
in its seat is not read again: no side does that. Prompts are rendered and tokenized before the clock starts; the sampler chains
are the engine's for the same options. SIGUSR1 ends the answers where they are.
"""

from __future__ import annotations

import signal
import sys
import time
from array import array
from dataclasses import dataclass, field
from typing import Final

from child import Json, say, serve

from inferd import wire
from inferd.messages.operations import Generate
from inferd_actors.engines.llama_cpp import sampling
from inferd_actors.engines.llama_cpp.library import Context, Model, Row, Sampler, Tokens, open_library
from inferd_actors.engines.llama_cpp.prefixes import common
from inferd_actors.engines.llama_cpp.template import ChatTemplate

BATCH_TOKENS: Final = 512
"""The engine's, and llama-server's physical batch."""


@dataclass(slots=True)
class Sequence:
    """One answer on its way."""

    seat: int
    prompt: Tokens
    sampler: Sampler
    limit_tokens: int
    read_tokens: int = 0
    chosen: list[int] = field(default_factory=list)
    arrivals_s: list[float] = field(default_factory=list)
    text: bytes = b""
    ended_s: float = 0.0


class Loop:
    """A model and a cache with seats for so many answers."""

    def __init__(self, file: str, cells: int, seats: int) -> None:
        open_library()
        self._model = Model(file, gpu_layers=-1, on_progress=lambda _done: True)
        self._words = self._model.vocabulary
        self._context = Context(self._model, cells=cells, seats=seats, batch_tokens=BATCH_TOKENS, threads=1)
        self._template = ChatTemplate(
            self._model.template or "", name=file, begin_text=self._words.begin_text, end_text=self._words.end_text
        )
        self._defaults = sampling.defaults_of(self._model.metadata)
        self._held: dict[int, array[int]] = {}
        """Seat → the tokens that stand there."""
        self._goes_on = True
        signal.signal(signal.SIGUSR1, self._break_off)

    def _break_off(self, _number: int, _frame: object) -> None:
        self._goes_on = False

    def answer(self, order: Json) -> Json:
        """Answer all questions of an order at once."""
        self._context.set_threads(order["threads"])
        asked = [wire.from_fields(fields, Generate) for fields in order["questions"]]
        sequences = [self._prepared(seat, question) for seat, question in enumerate(asked)]
        self._goes_on = True
        asked_s = time.monotonic()
        self._read(sequences)
        while self._goes_on and (live := [one for one in sequences if not one.ended_s]):
            self._step(live)
        for one in sequences:
            one.sampler.close()
            self._held[one.seat] = array("i", [*one.prompt[: one.read_tokens].tolist(), *one.chosen[:-1]])
        return {"heard": [_heard(one, asked_s) for one in sequences]}

    def _prepared(self, seat: int, asked: Generate) -> Sequence:
        text = self._template.render(asked, "bare")
        assert text is not None
        begins = bool(self._words.begin_text) and text.startswith(self._words.begin_text)
        prompt = self._words.tokenize(text, add_begin=not begins, marks=True)
        chain = sampling.plan(asked, self._defaults, chance=0, vocabulary_size=len(self._words))
        kept = self._keep(seat, prompt)
        return Sequence(seat, prompt, Sampler(chain, len(self._words)), asked.max_tokens or 1, read_tokens=kept)

    def _keep(self, seat: int, prompt: Tokens) -> int:
        """Return how much of a prompt stands in its seat; all behind that is forgotten."""
        held = self._held.get(seat, array("i"))
        kept = min(common(held, array("i", prompt.tobytes())), len(prompt) - 1)
        self._context.trim(seat, kept)
        return kept

    def _read(self, sequences: list[Sequence]) -> None:
        """Bring the prompts into the cache, as many together as a batch takes; each has its first token then."""
        while self._goes_on and (waiting := [one for one in sequences if one.read_tokens < len(one.prompt)]):
            rows, complete, room = list[Row](), list[Sequence](), BATCH_TOKENS
            for one in waiting:
                count = min(room, len(one.prompt) - one.read_tokens)
                if count == 0:
                    break
                piece = one.prompt[one.read_tokens : one.read_tokens + count]
                is_last = one.read_tokens + count == len(one.prompt)
                rows.append(Row(one.seat, one.read_tokens, piece, wants_logits=is_last))
                one.read_tokens += count
                room -= count
                complete += [one] if is_last else []
            self._choose(complete, self._context.decode(rows))

    def _step(self, live: list[Sequence]) -> None:
        rows = [
            Row(one.seat, len(one.prompt) + len(one.chosen) - 1, one.chosen[-1:], wants_logits=True) for one in live
        ]
        self._choose(live, self._context.decode(rows))

    def _choose(self, sequences: list[Sequence], places: list[int]) -> None:
        for one, at in zip(sequences, places, strict=True):
            token = self._context.sample(one.sampler, at)
            now_s = time.monotonic()
            if self._words.ends(token):
                one.ended_s = now_s
                continue
            one.chosen.append(token)
            one.text += self._words.piece(token)
            one.arrivals_s.append(now_s)
            if len(one.chosen) == one.limit_tokens:
                one.ended_s = now_s


def _heard(one: Sequence, asked_s: float) -> Json:
    return {
        "asked_s": asked_s,
        "arrivals_s": one.arrivals_s,
        "ended_s": one.ended_s,
        "tokens": len(one.chosen),
        "prompt_tokens": len(one.prompt),
        "text": one.text.decode(errors="replace"),
    }


if __name__ == "__main__":
    loop = Loop(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    say(ready=True)
    serve(loop.answer)
