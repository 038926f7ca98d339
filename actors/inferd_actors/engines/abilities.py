"""What of a `generate` the engines of this tree do, and how they refuse the rest: by name, never by ignoring it.

Covers: the check that every text engine makes before it begins, and the words of a message. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from inferd.errors import InvalidRequest, UnsupportedMode
from inferd.messages.operations import Generate, Message, TextBlock


def check(asked: Generate, model: str, *, serves: frozenset[str] = frozenset()) -> None:
    """Raise UnsupportedMode for the first field that asks for what is not done; `details["field"]` names it.

    `serves`: of the fields that only some engines serve, those of this one.
    """
    if asked.tool_choice == "required" and not asked.tools:
        raise InvalidRequest("tool_choice: `required` needs tools to choose from", details={"field": "tool_choice"})
    for field in (one for one in _beyond(asked) if one not in serves):
        raise UnsupportedMode(
            f"{model} does not serve {field}: ask without it, or choose another model",
            details={"field": f"body.{field}", "model": model},
        )


def _beyond(asked: Generate) -> Iterator[str]:
    wanted = {
        "tools": bool(asked.tools),
        "tool_choice": asked.tool_choice not in ("auto", "none"),
        "response_format": asked.response_format is not None,
        "logprobs": asked.logprobs is not None,
        "logit_bias": bool(asked.logit_bias),
        "thinking": asked.thinking == "on",
        "thinking_budget": asked.thinking_budget is not None,
        "truncate": asked.truncate != "never",
    }
    yield from (field for field, is_asked in wanted.items() if is_asked)
    for at, message in enumerate(asked.messages):
        if message.tool_calls or message.role == "tool":
            yield f"messages[{at}].tool_calls"
        if not isinstance(message.content, str):
            yield from (
                f"messages[{at}].content[{which}]"
                for which, block in enumerate(message.content)
                if not isinstance(block, TextBlock)
            )


def words_of(message: Message) -> str:
    """Return the text of a message that passed `check`; blocks are joined as they stand."""
    if isinstance(message.content, str):
        return message.content
    return "".join(block.text for block in message.content if isinstance(block, TextBlock))
