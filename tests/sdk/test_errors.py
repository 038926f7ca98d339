"""The error tree: complete, drawn, with stable codes, and whole again after a journey between processes."""

from __future__ import annotations

import inspect
import re
from multiprocessing.reduction import ForkingPickler

import pytest

from inferd import errors
from inferd.errors import BY_CODE, InferenceError, from_code

DETAILS: dict[str, errors.Detail] = {
    "field": "timeout_s",
    "found": 3,
    "share": 0.5,
    "near": ("a", "b"),
    "started": False,
}


def every_class() -> list[type[InferenceError]]:
    return [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, InferenceError)]


@pytest.mark.parametrize("kind", every_class())
def test_every_class_has_a_code_of_its_own_name(kind: type[InferenceError]) -> None:
    assert "code" in vars(kind)
    assert kind.code == re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    assert BY_CODE[kind.code] is kind


def test_no_two_classes_share_a_code() -> None:
    assert len({kind.code for kind in every_class()}) == len(every_class()) == len(BY_CODE)


def test_the_drawing_shows_every_class_once() -> None:
    drawing = (errors.__doc__ or "").partition("\nInferenceError\n")[2].partition("\n\n")[0]
    drawn = re.findall(r"\b[A-Z][A-Za-z]+\b", re.sub(r"\([^)]*\)", "", drawing))
    assert sorted(drawn) == sorted(kind.__name__ for kind in every_class() if kind is not InferenceError)


@pytest.mark.parametrize("kind", every_class())
def test_an_error_says_whether_a_retry_can_help(kind: type[InferenceError]) -> None:
    assert kind("x").retryable is kind.retryable_by_default
    assert kind("x", retryable=not kind.retryable_by_default).retryable is not kind.retryable_by_default


@pytest.mark.parametrize("code", BY_CODE)
def test_a_code_becomes_its_class_with_everything_it_carries(code: str) -> None:
    error = from_code(code, "what happened", retryable=True, retry_after_s=1.5, details=DETAILS)
    assert type(error) is BY_CODE[code]
    assert (str(error), error.message) == ("what happened", "what happened")
    assert (error.retryable, error.retry_after_s, dict(error.details)) == (True, 1.5, DETAILS)


def test_an_unknown_code_becomes_the_base_class_and_is_kept() -> None:
    error = from_code("out_of_tea", "no tea", details={"cups": 0})
    assert type(error) is InferenceError
    assert dict(error.details) == {"cups": 0, "code": "out_of_tea"}
    assert not error.retryable


@pytest.mark.parametrize("kind", every_class())
def test_an_error_survives_the_way_to_another_process(kind: type[InferenceError]) -> None:
    error = kind("what happened", retryable=True, retry_after_s=2.0, details=DETAILS)
    again = ForkingPickler.loads(ForkingPickler.dumps(error))
    assert type(again) is kind
    assert (str(again), again.message, again.retryable, again.retry_after_s) == (str(error), error.message, True, 2.0)
    assert dict(again.details) == DETAILS


def test_details_cannot_be_changed() -> None:
    given = dict(DETAILS)
    error = InferenceError("x", details=given)
    given["found"] = 4
    assert error.details["found"] == 3
    with pytest.raises(TypeError):
        error.details["found"] = 5  # type: ignore[index]
