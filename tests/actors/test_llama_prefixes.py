"""What of a prompt counts as computed before, and for whom."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from inferd_actors.engine import StreamId
from inferd_actors.engines.llama_cpp.prefixes import (
    RESTORED_PER_READ,
    REUSED_TOKENS,
    alone_tokens,
    common,
    longest,
    to_come,
)
from inferd_actors.engines.llama_cpp.sequences import Live, Prefix

TOKENS = st.lists(st.integers(0, 1), max_size=30)
SALTS = st.sampled_from(["a", "b"])
SOURCES = st.lists(st.tuples(TOKENS, SALTS, st.booleans(), st.integers(0, 30), st.booleans()), max_size=6)


def alike(one: list[int], other: list[int]) -> int:
    shorter = min(len(one), len(other))
    return next((at for at in range(shorter) if one[at] != other[at]), shorter)


def live(tokens: list[int], salt: str = "a", *, is_public: bool = False, cached: int = 0) -> Live:
    return Live(StreamId(1), 1, salt, is_public, array("i", tokens), len(tokens), 1, 0.0, seat=1, cached=cached)


def source(tokens: list[int], salt: str, is_public: bool, cached: int, is_live: bool) -> Live | Prefix:  # noqa: FBT001
    if is_live:
        return live(tokens, salt, is_public=is_public, cached=min(cached, len(tokens)))
    return Prefix(array("i", tokens), salt, is_public, seat=1)


@given(TOKENS, TOKENS)
def test_the_common_prefix_is_as_long_as_both_are_the_same(one: list[int], other: list[int]) -> None:
    assert common(array("i", one), array("i", other)) == alike(one, other)


@given(st.lists(st.integers(0, 1), min_size=1, max_size=30), SALTS, st.booleans(), SOURCES, st.booleans())
def test_the_longest_usable_source_is_found_and_never_another_app_s(
    prompt: list[int],
    salt: str,
    is_public: bool,  # noqa: FBT001
    described: list[tuple[list[int], str, bool, int, bool]],
    whole_only: bool,  # noqa: FBT001
) -> None:
    asked = live(prompt, salt, is_public=is_public)
    sources = [source(*one) for one in described]
    found = longest(asked, sources, whole_only=whole_only)
    usable = []
    for one in sources:
        held = one.tokens.tolist()[: one.cached if isinstance(one, Live) else None]
        count = alike(prompt[:-1], held)
        is_ours = one.salt == salt or (one.is_public and is_public)
        is_fit = count == len(held) if whole_only else True
        usable.append(count if is_ours and is_fit and count >= REUSED_TOKENS else 0)
    if found is None:
        assert not any(usable)
    else:
        assert found.n_tokens == max(usable) < len(prompt)
        assert found.source is sources[usable.index(max(usable))]


def test_what_comes_back_from_the_shelf_saves_more_than_it_costs() -> None:
    prompt = live([7] * 200)
    long = Prefix(array("i", [7] * 5 + [8] * 7 * RESTORED_PER_READ), "a", is_public=False, shelved=1)
    assert longest(prompt, [long], whole_only=False) is None, "seven tokens' time for five"
    short = Prefix(array("i", [7] * 4 + [9] * 30), "a", is_public=False, shelved=2)
    assert longest(prompt, [long, short], whole_only=False) == (short, 4)
    long.seat, long.shelved = 3, None
    assert longest(prompt, [short, long], whole_only=False) == (long, 5), "in the cache it costs nothing"


PREFIXES = st.lists(st.tuples(TOKENS, SALTS, st.booleans()), min_size=1, max_size=5)


@given(PREFIXES, st.lists(st.integers(0, 1), min_size=1, max_size=30))
def test_what_is_lost_with_a_prefix_is_all_that_anybody_would_read_again(
    described: list[tuple[list[int], str, bool]], prompt: list[int]
) -> None:
    first, *others = (Prefix(array("i", tokens), salt, is_public, seat=1) for tokens, salt, is_public in described)
    lost = alone_tokens(first, others)
    assert 0 <= lost <= len(first.tokens)
    asked = live(prompt, first.salt, is_public=first.is_public)
    with_it = longest(asked, [first, *others], whole_only=False)
    without = longest(asked, others, whole_only=False)
    gained = (with_it.n_tokens if with_it else 0) - (without.n_tokens if without else 0)
    assert gained < lost + REUSED_TOKENS  # shorter ones are not reused at all


def test_what_another_is_about_to_read_of_a_prompt_is_known_and_nothing_of_another_app_s() -> None:
    prompt = live([0, 1, 1, 0, 1])
    assert to_come(prompt, live([0, 1, 1, 1], cached=1)) == 2
    assert to_come(prompt, live([0, 1, 1, 0, 1, 1], cached=1)) == 3, "the last token is always computed"
    assert to_come(prompt, live([0, 1, 1, 1], cached=3)) == 0
    assert to_come(prompt, live([0, 1, 1, 1], "b", cached=1)) == 0
