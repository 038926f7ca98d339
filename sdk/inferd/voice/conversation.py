"""What has been said: the turns that a model is given.

Covers: order and merging. Of an answer that was cut off only what was heard stands here. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from inferd.messages.operations import Message, Role
from inferd.voice.wording import joined


class Conversation:
    """The turns so far, oldest first; user and assistant take turns, as chat templates expect."""

    def __init__(self, system: str | None = None, history: Iterable[Message] = ()) -> None:
        self._messages = [*([Message("system", system)] if system else []), *history]

    @property
    def messages(self) -> tuple[Message, ...]:
        """All of them."""
        return tuple(self._messages)

    def asking(self, user_text: str) -> tuple[Message, ...]:
        """Return the turns with what the user says now as the last."""
        return _with(self.messages, "user", user_text)

    def add(self, user_text: str, agent_text: str) -> None:
        """Add a turn. An answer of which nothing was heard is none: what the user says next belongs to the same turn."""
        if user_text.strip():
            self._messages = list(self.asking(user_text))
        if agent_text.strip():
            self._messages = list(_with(self.messages, "assistant", agent_text))


def _with(messages: tuple[Message, ...], role: Role, text: str) -> tuple[Message, ...]:
    last = messages[-1] if messages else None
    if last and last.role == role and isinstance(last.content, str):
        return (*messages[:-1], Message(role, joined(last.content, text)))
    return (*messages, Message(role, text))
