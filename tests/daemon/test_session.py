"""Windows of one app: whatever credits come, they never sum past the limit, and nothing is taken back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import InvalidRequest
from inferd.messages.control import Limits
from inferd_daemon.session import Peer, Session, Stream

CREDITS = st.lists(
    st.tuples(st.integers(1, 5), st.integers(0, 2_000), st.integers(0, 2_000), st.integers(0, 10**9)), max_size=100
)


def _session() -> Session:
    return Session(1, b"peer", Peer(1000, 1000, 1), "app", "a" * 32, Limits())


@given(CREDITS)
def test_windows_never_sum_past_the_limit_and_never_shrink_their_ends(steps: list[tuple[int, int, int, int]]) -> None:
    session = _session()
    for request in range(1, 6):
        stream = Stream(request, 1, request, 10, 1_000, 0.0)
        stream.last_seq = 500
        session.open_stream(stream)
    for request, seen_seq, limit_seq, limit_bytes in steps:
        stream = session.streams[request]
        before = (stream.seen_seq, stream.limit_seq, stream.limit_bytes)
        try:
            session.widen(stream, seen_seq, limit_seq, limit_bytes)
        except InvalidRequest:
            assert (stream.seen_seq, stream.limit_seq, stream.limit_bytes) == before
        assert stream.seen_seq >= before[0]
        assert stream.limit_seq >= before[1]
        assert session.window_events == sum(one.open_events for one in session.streams.values()) <= 900
    for stream in tuple(session.streams.values()):
        session.close_stream(stream)
    assert session.window_events == 0


def test_an_app_cannot_acknowledge_what_it_was_not_sent() -> None:
    session = _session()
    stream = Stream(1, 1, 1, 900, 1_000, 0.0)
    session.open_stream(stream)
    session.widen(stream, seen_seq=500, limit_seq=900, limit_bytes=1_000)
    assert stream.seen_seq == 0


def test_identity_is_read_from_what_the_kernel_says() -> None:
    assert Peer.parse("localhost:1000:100:4711") == Peer(1000, 100, 4711)
    assert Peer.parse("localhost:501:20:") == Peer(501, 20, 0)
