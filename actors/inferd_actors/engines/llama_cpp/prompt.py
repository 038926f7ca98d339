"""From a conversation to the tokens that a model reads.

Covers: rendering, tokenizing. Does not cover what becomes of a prompt that does not fit: its callers,
the engine and the vocab actor, which so count the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from inferd.errors import UnsupportedMode

if TYPE_CHECKING:
    from inferd.messages.operations import Generate
    from inferd_actors.engines.llama_cpp.library import Tokens
    from inferd_actors.engines.llama_cpp.template import ChatTemplate


def prompt_of(
    asked: Generate,
    model: str,
    template: ChatTemplate | None,
    tokens_of: Callable[[str], Tokens],
    still_wanted: Callable[[], bool],
    look_at: Callable[[str], None] = lambda _text: None,
) -> Tokens | None:
    """Return the prompt's tokens; None when `still_wanted`, asked while rendering, became False.

    `tokens_of`: such as `Vocabulary.tokens_of_prompt`. `look_at` sees the text before that, and may raise. Blocks: 2 s for the
    template at most, then a second for each megabyte. Raises UnsupportedMode without a template, InvalidRequest when the
    template refuses the messages.
    """
    if template is None:
        raise UnsupportedMode(f"{model} has no chat template in its file: it is no chat model")
    text = template.render(asked, model, still_wanted)
    if text is None:
        return None
    look_at(text)
    return tokens_of(text)
