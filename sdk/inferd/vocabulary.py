"""What an app asks about a model's tokens, and how it gets the answers; the same for both clients.

Covers: `TokenEstimate`, the drafts of the three calls, ids ⇄ bytes (int32, little-endian). Does not cover waiting: `client`
and `aio` wait. Pure.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from inferd import wire
from inferd.drafts import Draft, draft, generate_operation
from inferd.errors import InvalidRequest, ProtocolError
from inferd.messages import operations
from inferd.messages.bounds import Blob
from inferd.messages.control import Priority
from inferd.messages.events import Estimated, Tokenized
from inferd.values import shown

VOCABULARY_TIMEOUT_S: Final = 60.0
"""Default of these calls: their process may have to start first, and megabytes of text take seconds."""
MAX_ID: Final = 2**31 - 1
"""Tokens are int32 on the wire, as in every tokenizer's library."""
_SHAPING: Final = ("max_tokens", "thinking", "tools", "tool_choice", "parallel_tool_calls", "response_format")
"""Options of `generate` on which the prompt, or the room for it, depends."""


class TokenEstimate(NamedTuple):
    """How much of a model's context a prompt takes."""

    input_tokens: int
    context_tokens: int
    """Of prompt and answer together."""
    fits: bool
    """Whether the prompt leaves room for `max_tokens`; for one token where none were named."""
    exact: bool
    """Counted by the model's own tokenizer; False: estimated."""


def tokenize_draft(model: str, text: str, *, lossy: bool, timeout_s: float, priority: Priority) -> Draft:
    """Return the request for a text's tokens. Raises InvalidRequest naming the first wrong field."""
    operation = wire.from_fields({"text": text, "lossy": lossy}, operations.Tokenize)
    return draft(operation, timeout_s=timeout_s, priority=priority, model=_named(model))


def detokenize_draft(model: str, ids: Sequence[int], *, lossy: bool, timeout_s: float, priority: Priority) -> Draft:
    """Return the request for the text of tokens. Raises InvalidRequest naming the first wrong field, `ids[3]` say."""
    operation = wire.from_fields({"ids": packed(ids), "lossy": lossy}, operations.Detokenize)
    return draft(operation, timeout_s=timeout_s, priority=priority, model=_named(model))


def estimate_draft(
    prompt: object, options: Mapping[str, object], *, timeout_s: float, priority: Priority, model: str | None
) -> Draft:
    """Return the request for an estimate. Raises InvalidRequest naming the first wrong field.

    Options of `generate` that change nothing about the prompt are checked and left out.
    """
    asked = generate_operation(prompt, options)
    shaping = {name: getattr(asked, name) for name in _SHAPING}
    operation = operations.EstimateTokens(asked.messages, **shaping)
    return draft(operation, timeout_s=timeout_s, priority=priority, model=model)


def estimate_of(answer: Estimated) -> TokenEstimate:
    """Return what an app sees of the answer."""
    return TokenEstimate(answer.input_tokens, answer.context_tokens, answer.fits, answer.exact)


def ids_of(answer: Tokenized) -> list[int]:
    """Return the ids in the answer. Raises ProtocolError for what are none."""
    ids = array("i")
    try:
        ids.frombytes(answer.ids)
    except ValueError:
        raise ProtocolError(f"tokenized: ids of {len(answer.ids):,} bytes are no int32 values") from None
    if sys.byteorder == "big":
        ids.byteswap()
    return ids.tolist()


def packed(ids: object) -> Blob:
    """Return ids as they travel. Raises InvalidRequest naming the first one that is no id, by its index."""
    if not isinstance(ids, Sequence) or isinstance(ids, (str, bytes, bytearray, memoryview)):
        raise _invalid("ids", f"expected a list of integers, got {shown(ids)}")
    if not all(type(one) is int and 0 <= one <= MAX_ID for one in ids):
        raise _wrong_id(ids)
    values = array("i", ids)
    if sys.byteorder == "big":
        values.byteswap()
    return Blob(values.tobytes())


def _wrong_id(ids: Iterable[object]) -> InvalidRequest:
    at, wrong = next((at, one) for at, one in enumerate(ids) if type(one) is not int or not 0 <= one <= MAX_ID)
    return _invalid(f"ids[{at}]", f"expected an integer from 0 to {MAX_ID:,}, got {shown(wrong)}")


def _named(model: str) -> str:
    """Return the model's name: without one nobody could say whose ids these are. Other types are refused by `draft`."""
    if model is None:
        raise _invalid("model", "expected the name of a model: ids mean something for one tokenizer only")
    return model


def _invalid(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {problem}", details={"field": field})
