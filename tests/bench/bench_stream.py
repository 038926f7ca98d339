"""The starter model streamed through the daemon, against the same engine alone in a process.

Both have the model loaded; they never compute at the same time. Rates are of whole answers, first token included. A prompt
is new in each pair, so that both read it, and the same for both.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Final

from child import Child
from measure import Goal, Row, alternate, difference_row, ratio_row
from service import STARTER, load, models_dir, service

from inferd import Client, Done, TextDelta
from inferd_daemon.catalogue import curated
from inferd_daemon.store import Store

ANSWER_TOKENS: Final = 64
"""About a second: long enough that neither the first token nor the clock decides."""
FIRST_PAIRS: Final = 8
"""Times `pairs` for the first token: such answers are short, and the goal is a few milliseconds."""
RATE_GOAL: Final = Goal(0.93, at_least=True)
FIRST_GOAL: Final = Goal(3.0)


@dataclass(frozen=True, slots=True)
class Taken:
    """One answer. Seconds from asking."""

    first_s: float
    whole_s: float
    tokens: int
    text: str

    @property
    def rate(self) -> float:
        """Tokens per second of the whole answer."""
        return self.tokens / self.whole_s


Messages = Sequence[Mapping[str, str]]

Answer = Callable[[Messages, int], Taken]
"""Takes the conversation and the longest answer in tokens."""


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    schema = curated().starter
    file = Store(models_dir()).pull(schema, lambda _progress: None, Event())
    options = json.dumps(dict(schema.engine_options))
    with (
        service() as daemon,
        daemon.client("bench") as client,
        Child("lone_engine.py", schema.engine, str(file), options) as child,
    ):
        load(client, STARTER)
        child.hear()
        ours, lone = _through_daemon(client), _alone(child)
        ours(_story(0), 8), lone(_story(0), 8)
        whole = alternate(lambda at: ours(_story(at), ANSWER_TOKENS), lambda at: lone(_story(at), ANSWER_TOKENS), pairs)
        first = alternate(lambda at: ours(_word(at), 1), lambda at: lone(_word(at), 1), FIRST_PAIRS * pairs)
    rates = [(ours.rate, lone.rate) for ours, lone in whole]
    firsts = [(ours.first_s * 1e3, lone.first_s * 1e3) for ours, lone in first]
    same = sum(ours.text == lone.text for ours, lone in whole)
    return [
        ratio_row("SmolLM2 streamed", "tokens/s", rates, RATE_GOAL),
        difference_row("first token", "ms", firsts, FIRST_GOAL),
    ], [f"stream: {same} of {len(whole)} answers are the same text both ways"]


def _story(number: int) -> Messages:
    return [{"role": "user", "content": f"Write a story about {number + 2} friends who sail around the world."}]


def _word(number: int) -> Messages:
    """Return a conversation of a dozen tokens: reading a long one varies by more than the goal."""
    return [{"role": "system", "content": "Count."}, {"role": "user", "content": f"{number % 10}"}]


def _through_daemon(client: Client) -> Answer:
    def answer(messages: Messages, max_tokens: int) -> Taken:
        first_s, text = 0.0, []
        asked_s = time.monotonic()
        for event in client.stream(messages, model=STARTER, max_tokens=max_tokens, temperature=0.0, seed=1):
            match event:
                case TextDelta():
                    first_s = first_s or time.monotonic()
                    text.append(event.text)
                case Done():
                    ended_s = time.monotonic()
                    tokens = event.reply.usage.completion_tokens
        return Taken(first_s - asked_s, ended_s - asked_s, tokens, "".join(text))

    return answer


def _alone(child: Child) -> Answer:
    def answer(messages: Messages, max_tokens: int) -> Taken:
        return Taken(**child.ask(messages=messages, max_tokens=max_tokens, temperature=0.0, seed=1))

    return answer
