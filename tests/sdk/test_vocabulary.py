"""What an app gives to `tokenize`, `detokenize` and `estimate_tokens`: checked before it is sent, and read when it is back."""

from __future__ import annotations

from array import array
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd import InvalidRequest, ProtocolError, TokenEstimate, wire
from inferd.messages import operations
from inferd.messages.bounds import Blob
from inferd.messages.events import Estimated, Tokenized
from inferd.vocabulary import detokenize_draft, estimate_draft, estimate_of, ids_of, packed, tokenize_draft

CALL: dict[str, Any] = {"timeout_s": 60.0, "priority": "interactive"}


def refused(field: str, make: Any, *args: Any, **more: Any) -> None:  # noqa: ANN401 - a call and what it is given
    with pytest.raises(InvalidRequest) as wrong:
        make(*args, **{**CALL, **more})
    assert wrong.value.details["field"] == field
    assert str(wrong.value).startswith(f"{field}:")


@given(st.lists(st.integers(0, 2**31 - 1)))
def test_ids_survive_the_wire(ids: list[int]) -> None:
    assert ids_of(Tokenized("me/model:1", packed(ids))) == ids
    assert ids_of(Tokenized("me/model:1", packed(tuple(ids)))) == ids


def test_ids_are_little_endian_int32() -> None:
    assert packed([1, 258]) == b"\x01\0\0\0\x02\x01\0\0"


@pytest.mark.parametrize("wrong", [1.0, True, "1", None, -1, 2**31, 10**30, float("nan")])
def test_an_id_that_is_none_is_named_by_its_index(wrong: object) -> None:
    refused("ids[2]", detokenize_draft, "echo", [0, 1, wrong, wrong], lossy=False)


@pytest.mark.parametrize("wrong", [None, 7, "1 2 3", b"\0\0\0\0", {1: 2}, iter([1])])
def test_what_is_no_list_is_no_ids(wrong: object) -> None:
    refused("ids", detokenize_draft, "echo", wrong, lossy=False)


def test_an_array_of_ids_is_a_list_of_ids() -> None:
    assert packed(array("i", [3, 4])) == packed([3, 4])


@pytest.mark.parametrize("wrong", [None, 7, b"x", ["x"], "a\ud800b", "x" * (8 * 2**20 + 1)])
def test_a_text_that_is_none_is_refused(wrong: object) -> None:
    refused("text", tokenize_draft, "echo", wrong, lossy=False)


@pytest.mark.parametrize("wrong", [None, "", 7, "x" * 300])
def test_a_model_must_be_named(wrong: object) -> None:
    refused("model", tokenize_draft, wrong, "x", lossy=False)
    refused("model", detokenize_draft, wrong, [1], lossy=False)


@pytest.mark.parametrize("wrong", [None, 0, 1, "yes"])
def test_lossy_is_true_or_false(wrong: object) -> None:
    refused("lossy", tokenize_draft, "echo", "x", lossy=wrong)
    refused("lossy", detokenize_draft, "echo", [], lossy=wrong)


def test_an_empty_text_and_no_ids_may_be_asked_about() -> None:
    assert tokenize_draft("echo", "", lossy=False, **CALL).op == "tokenize"
    assert detokenize_draft("echo", [], lossy=False, **CALL).blobs == (b"",)


def test_an_estimate_takes_what_generate_takes_and_sends_what_shapes_the_prompt() -> None:
    options = {"max_tokens": 9, "thinking": "off", "temperature": 0.5, "stop": "x", "seed": 3}
    draft = estimate_draft("hello", options, model=None, **CALL)
    body = msgpack.unpackb(draft.body)
    assert draft.op == "estimate_tokens"
    assert body == {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 9, "thinking": "off"}
    assert wire.from_fields(body, operations.EstimateTokens).max_tokens == 9


def test_what_generate_refuses_an_estimate_refuses() -> None:
    refused("temperature", estimate_draft, "hello", {"temperature": 99.0}, model=None)
    refused("max_token", estimate_draft, "hello", {"max_token": 9}, model=None)
    refused("prompt", estimate_draft, 7, {}, model=None)
    refused("messages", estimate_draft, [], {}, model=None)


def test_an_estimate_unpacks() -> None:
    estimate = estimate_of(Estimated("me/model:1", 31, 4096, fits=True, exact=True))
    input_tokens, context_tokens, fits, exact = estimate
    assert estimate == TokenEstimate(31, 4096, fits=True, exact=True)
    assert (input_tokens, context_tokens, fits, exact) == (31, 4096, True, True)


def test_ids_that_are_cut_off_are_no_answer() -> None:
    with pytest.raises(ProtocolError):
        ids_of(Tokenized("me/model:1", Blob(b"\0\0\0")))
