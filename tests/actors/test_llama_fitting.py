"""Conversations cut to what fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import ContextOverflow
from inferd.messages.operations import Generate, Message
from inferd_actors.engines.llama_cpp.fitting import answer_room_tokens, latest_turns
from inferd_actors.engines.llama_cpp.library import Tokens

LONG = 300
"""Letters from which on a text is refused before it is counted."""

MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(("system", "user", "assistant")), st.text("ab", min_size=1, max_size=60)),
    min_size=1,
    max_size=12,
)


def letters(asked: Generate) -> Tokens:
    """Count a token for each letter."""
    count = sum(len(str(one.content)) for one in asked.messages)
    if count > LONG:
        raise ContextOverflow(f"{count} letters")
    return np.zeros(count, np.int32)


def kept(messages: tuple[Message, ...], left_out: int) -> tuple[Message, ...]:
    begin = next((at for at, one in enumerate(messages) if one.role != "system"), 0)
    return messages[:begin] + messages[begin + left_out :]


@given(MESSAGES, st.integers(1, LONG))
def test_the_fewest_oldest_messages_go_in_whole_turns(messages: list[Message], room: int) -> None:
    asked = Generate(tuple(messages))
    found = latest_turns(asked, room, letters)
    assert found is not None
    prompt, left_out = found
    rest = kept(asked.messages, left_out)
    assert len(prompt) == sum(len(str(one.content)) for one in rest)
    last_user = max((at for at, one in enumerate(messages) if one.role == "user"), default=0)
    assert messages[last_user] in rest
    fits = [
        count
        for count in range(len(messages))
        if sum(len(str(one.content)) for one in kept(asked.messages, count)) <= room
    ]
    if len(prompt) <= room:
        turns = [count for count in fits if count == 0 or _begins_with_user(asked.messages, count)]
        assert left_out == turns[0]


def _begins_with_user(messages: tuple[Message, ...], count: int) -> bool:
    begin = next((at for at, one in enumerate(messages) if one.role != "system"), 0)
    return begin + count < len(messages) and messages[begin + count].role == "user"


def test_a_last_turn_that_is_too_long_is_refused_and_nobody_waits_for_one_that_is_not_wanted() -> None:
    asked = Generate((Message("user", "a"), Message("user", "b" * (LONG + 1))))
    with pytest.raises(ContextOverflow):
        latest_turns(asked, 10, letters)
    assert latest_turns(replace(asked, messages=asked.messages[:1] * 2), 1, lambda _asked: None) is None


def test_the_answer_keeps_what_was_asked_for_or_a_quarter_and_half_at_most() -> None:
    assert [answer_room_tokens(asked, 1_000) for asked in (None, 100, 900)] == [250, 100, 500]
