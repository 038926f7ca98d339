"""Log-probabilities of an answer whose deltas grow together because its reader is slow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferd.messages.events import Likely, TextDelta, TokenLogprob
from inferd_actors.streams.backlog import MERGED_BYTES, Backlog

TOKENS = st.builds(
    TokenLogprob,
    st.integers(0, 99),
    st.text(max_size=3),
    st.floats(-9, 0),
    st.lists(st.builds(Likely, st.integers(0, 99), st.text(max_size=3), st.floats(-9, 0)), max_size=20).map(tuple),
)
DELTAS = st.lists(st.builds(TextDelta, st.text(max_size=9), st.lists(TOKENS, max_size=3).map(tuple)), max_size=40)


@given(DELTAS, st.integers(1, 50))
def test_no_token_is_lost_or_moved_when_deltas_are_merged(deltas: list[TextDelta], every: int) -> None:
    backlog, taken = Backlog(), list[TextDelta]()
    for at, delta in enumerate(deltas):
        backlog.add(delta)
        if at % every == every - 1:
            first = backlog.take()
            assert isinstance(first, TextDelta)
            taken.append(first)
    while backlog:
        first = backlog.take()
        assert isinstance(first, TextDelta)
        taken.append(first)
    assert "".join(one.text for one in taken) == "".join(delta.text for delta in deltas)
    assert [token for one in taken for token in one.logprobs] == [token for delta in deltas for token in delta.logprobs]


def test_what_is_merged_stays_within_the_size_of_a_message_with_its_log_probabilities() -> None:
    token = TokenLogprob(1, "a", -1.0, tuple(Likely(one, "a", -1.0) for one in range(20)))
    backlog = Backlog()
    for _ in range(2 * MERGED_BYTES // 1_000):
        backlog.add(TextDelta("a", (token,)))
    assert backlog.is_full
    first = backlog.take()
    assert isinstance(first, TextDelta)
    assert 1 < len(first.logprobs) == len(first.text) < MERGED_BYTES // 1_000
