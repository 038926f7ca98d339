"""What the text benches ask, the same of every side: conversations, and how the next token is chosen.

Covers: prompts that run on until `max_tokens`, and the two sampler chains, each in every side's spelling. Pure.
A story's first words differ, so that no side finds its prompt in a cache; where a cache is measured, the shared part is long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from inferd.drafts import GenerateOptions
from inferd.messages.control import Priority

Messages = Sequence[Mapping[str, str]]
Chain = Literal["greedy", "top_k 40"]
CHAINS: Final[tuple[Chain, ...]] = ("greedy", "top_k 40")

SEED: Final = 7
TEMPERATURE: Final = 0.8
TOP_K: Final = 40
TOKENS_PER_ROW: Final = 31
"""Of `_row`, by SmolLM2's tokenizer."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request of any side."""

    messages: Messages
    max_tokens: int
    chain: Chain = "greedy"
    priority: Priority = "interactive"
    shared_prefix: bool = False
    """inferd's word for a prompt that others will begin with; servers that guess are not told."""

    @property
    def options(self) -> GenerateOptions:
        """All but the messages, in inferd's words; the bare loop makes its chain of the same."""
        options: GenerateOptions = {"max_tokens": self.max_tokens, "shared_prefix": self.shared_prefix, "seed": SEED}
        if self.chain == "greedy":
            return {**options, "temperature": 0.0}
        return {**options, "temperature": TEMPERATURE, "top_k": TOP_K, "top_p": 1.0, "min_p": 0.0}

    @property
    def as_http(self) -> Mapping[str, object]:
        """The body for the servers' chat completions.

        Greedy is the only candidate of a `top_k` of 1 for llama-server, whose temperature of 0 would still draw from the whole
        vocabulary; llama-cpp-python's server knows no `samplers` and takes temperature 0.
        """
        greedy = self.chain == "greedy"
        return {
            "messages": self.messages,
            "max_tokens": self.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            "seed": SEED,
            "samplers": ["top_k"] if greedy else ["top_k", "temperature"],
            "top_k": 1 if greedy else TOP_K,
            "temperature": 0.0 if greedy else TEMPERATURE,
            "top_p": 1.0,
            "min_p": 0.0,
            "repeat_penalty": 1.0,
        }


def chain_of(pair: int) -> Chain:
    """Return the chain of a pair: each for two pairs, so that both sides are first as often with either."""
    return CHAINS[pair // 2 % len(CHAINS)]


def story(name: int | str, stream: int) -> Messages:
    """Return a conversation of some 40 tokens that no other name and stream begins with."""
    return [
        {"role": "system", "content": f"{name}-{stream}: you tell long stories with many details."},
        {"role": "user", "content": f"Write a story about {stream + 2} friends who sail around the world."},
    ]


def stories(number: int, streams: int, max_tokens: int, chain: Chain | None = None) -> list[Question]:
    """Return one question for each stream of a pair; with another number of streams, or chain, it is another story."""
    chosen = chain or chain_of(number)
    name = f"{streams}{chosen[0]}{number}"
    return [Question(story(name, stream), max_tokens, chosen) for stream in range(streams)]


def long_prompt(name: str, tokens: int) -> str:
    """Return a text of about so many tokens; another name differs from the first word on."""
    return "\n".join(_row(name, row) for row in range(tokens // TOKENS_PER_ROW))


def _row(name: str, row: int) -> str:
    ship = ("Aurora", "Boreas", "Calypso", "Dorado")[row % 4]
    return f"{name}, day {100 + row}: the {ship} left port {100 + 7 * row % 900} with {200 + row * 13 % 700} crates of tea."
