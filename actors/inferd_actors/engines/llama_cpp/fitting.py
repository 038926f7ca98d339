"""A conversation cut to what fits: `truncate="oldest"`.

Covers: what may go, and finding the least of it. Pure: rendering and tokenizing come in. Whole turns go, the oldest first:
templates want users and assistants in turn, and an answer without its question says little. What the system says in front and
the last turn stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from inferd.errors import ContextOverflow

if TYPE_CHECKING:
    from inferd.messages.operations import Generate, Message
    from inferd_actors.engines.llama_cpp.library import Tokens

    PromptOf = Callable[[Generate], "Tokens | None"]
    """Raises ContextOverflow for a text that is too long to be tokenized; None: nobody wants it any more."""

NOTHING: Final = np.empty(0, np.int32)


def answer_room_tokens(max_tokens: int | None, context_tokens: int) -> int:
    """Return how much of the context is kept free for the answer: what was asked for, else a quarter; half of it at most."""
    return min(max_tokens or context_tokens // 4, context_tokens // 2)


def latest_turns(asked: Generate, room_tokens: int, prompt_of: PromptOf) -> tuple[Tokens, int] | None:
    """Return the prompt of as many turns as `room_tokens` hold, and how many messages that leaves out.

    The last turn alone if that does not fit either; None when `prompt_of` says None. Raises what that raises for the last turn.
    """
    begin = next((at for at, one in enumerate(asked.messages) if one.role != "system"), 0)
    beginnings = _beginnings(asked.messages, begin)
    low, high, found = 0, len(beginnings) - 1, None
    probe = 0  # the whole: most conversations fit
    while low < high:
        prompt = _or_nothing(prompt_of, _cut(asked, begin, beginnings[probe]))
        if prompt is None:
            return None
        if 0 < len(prompt) <= room_tokens:
            high, found = probe, prompt
        else:
            low = probe + 1
        probe = (low + high) // 2
    prompt = found if found is not None else prompt_of(_cut(asked, begin, beginnings[low]))
    return None if prompt is None else (prompt, beginnings[low] - begin)


def _beginnings(messages: Sequence[Message], begin: int) -> list[int]:
    """Return where what is kept behind the system's words may begin, the earliest first."""
    return [begin, *(at for at, one in enumerate(messages) if at > begin and one.role == "user")]


def _cut(asked: Generate, begin: int, kept_from: int) -> Generate:
    return replace(asked, messages=asked.messages[:begin] + asked.messages[kept_from:])


def _or_nothing(prompt_of: PromptOf, asked: Generate) -> Tokens | None:
    """Return the prompt, an empty one for a text that is too long."""
    try:
        return prompt_of(asked)
    except ContextOverflow:
        return NOTHING
