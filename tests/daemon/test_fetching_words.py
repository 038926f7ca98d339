"""The decisions about downloads, without any: what answers, redirects and notes mean, and how fast it goes."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd_daemon.headway import MIN_SPAN_S, WINDOW_S, Headway, left_s
from inferd_daemon.store.fetching.answers import Body, body_of
from inferd_daemon.store.fetching.origin import Origin, origin_from
from inferd_daemon.store.fetching.redirects import is_weaker, next_url, shown
from inferd_daemon.store.fetching.words import (
    Failed,
    Fetched,
    HubFile,
    Moved,
    Order,
    Patience,
    Setback,
    decode_order,
    decode_report,
    encode_order,
    encode_report,
)

# --- answers


def refused(status: int, headers: dict[str, str], offset_bytes: int = 0) -> Setback:
    with pytest.raises(Setback) as caught:
        body_of(status, headers, offset_bytes)
    return caught.value


@pytest.mark.parametrize(
    ("status", "headers", "offset_bytes", "body"),
    [
        (200, {"content-length": "7", "etag": '"a"'}, 0, Body(0, 7, '"a"', has_end=True)),
        (
            200,
            {"content-length": "7"},
            5,
            Body(0, 7, None, has_end=True),
        ),  # the server knows no ranges, or has another file now
        (200, {"transfer-encoding": "chunked"}, 0, Body(0, None, None, has_end=True)),
        (200, {}, 0, Body(0, None, None, has_end=False)),
        (200, {"etag": 'W/"a"'}, 0, Body(0, None, None, has_end=False)),
        (200, {"etag": '""'}, 0, Body(0, None, None, has_end=False)),
        (206, {"content-range": "bytes 5-6/7", "etag": '"a"'}, 5, Body(5, 7, '"a"', has_end=False)),
        (206, {"content-range": "bytes 5-6/*"}, 5, Body(5, None, None, has_end=False)),
        (200, {"content-length": "9" * 40}, 0, Body(0, None, None, has_end=False)),
        (200, {"content-type": "application/octet-stream; charset=x"}, 0, Body(0, None, None, has_end=False)),
    ],
)
def test_an_answer_with_a_file_tells_which_bytes_these_are(
    status: int, headers: dict[str, str], offset_bytes: int, body: Body
) -> None:
    assert body_of(status, headers, offset_bytes) == body


@pytest.mark.parametrize(
    ("status", "cause", "retryable"),
    [
        (401, "access", False),
        (403, "access", False),
        (404, "missing", False),
        (410, "missing", False),
        (418, "download", False),
        (429, "download", True),
        (500, "download", True),
        (503, "download", True),
        (204, "download", False),
        (100, "download", False),
    ],
)
def test_a_refusal_tells_its_cause_and_whether_a_retry_can_help(status: int, cause: str, retryable: bool) -> None:  # noqa: FBT001
    failed = refused(status, {}).failed

    assert (failed.cause, failed.retryable) == (cause, retryable)
    assert failed.numbers == {"status": status}
    assert str(status) in failed.problem


def test_a_server_may_say_when_to_come_back() -> None:
    assert refused(429, {"retry-after": "17"}).failed.retry_after_s == 17
    assert refused(503, {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}).failed.retry_after_s is None


@pytest.mark.parametrize("told", ["", "bytes 4-6/7", "bytes 0-6/7", "bytes */7", "items 5-6/7", "bytes 5-6/7/8"])
def test_a_part_that_was_not_asked_for_makes_the_kept_bytes_useless(told: str) -> None:
    setback = refused(206, {"content-range": told}, 5)

    assert setback.discard
    assert setback.failed.retryable


def test_a_web_page_and_a_packed_body_are_no_files() -> None:
    assert "web page" in refused(200, {"content-type": "Text/HTML; charset=utf-8"}).failed.problem
    assert "packs" in refused(200, {"content-encoding": "gzip"}).failed.problem


@given(
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(["content-length", "content-range", "etag", "content-type", "content-encoding", "retry-after"]),
        st.text(max_size=40) | st.from_regex(r"bytes [0-9]{1,3}-[0-9]{1,3}/[0-9]{1,3}", fullmatch=True),
    ),
    st.integers(0, 999),
)
def test_every_answer_is_a_body_that_fits_or_a_setback(status: int, headers: dict[str, str], offset_bytes: int) -> None:
    try:
        body = body_of(status, headers, offset_bytes)
    except Setback as setback:
        assert setback.failed.problem  # noqa: PT017
    else:
        assert body.start_bytes in (0, offset_bytes)
        assert body.total_bytes is None or body.total_bytes >= 0


# --- redirects


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("https://a.org/x", "/y?z", "https://a.org/y?z"),
        ("https://a.org/x", "https://b.org/y", "https://b.org/y"),
        ("http://a.org/x", "https://b.org/y", "https://b.org/y"),
        ("http://a.org/x", "http://a.org:80/y", "http://a.org:80/y"),
        ("http://a.org:8080/x/", "y", "http://a.org:8080/x/y"),
    ],
)
def test_a_redirect_leads_to_https_or_to_the_same_server(url: str, location: str, target: str) -> None:
    assert next_url(url, location) == target


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://a.org/x", "http://a.org/x"),
        ("http://a.org/x", "http://b.org/x"),
        ("http://a.org/x", "http://127.0.0.1/x"),
        ("http://a.org/x", "http://a.org:8080/x"),
        ("https://a.org/x", "file:///etc/passwd"),
        ("https://a.org/x", "ftp://a.org/x"),
        ("https://a.org/x", "https://me:secret@b.org/x"),
        ("https://a.org/x", "https://[::1/x"),
        ("https://a.org/x", "//b.org:notaport/x"),
    ],
)
def test_any_other_redirect_is_refused(url: str, location: str) -> None:
    with pytest.raises(Setback) as caught:
        next_url(url, location)
    assert caught.value.failed.cause == "source"
    assert "secret" not in caught.value.failed.problem


@given(st.sampled_from(["http://a.org/x", "https://a.org/x"]), st.text(max_size=60))
def test_no_redirect_leaves_the_web(url: str, location: str) -> None:
    try:
        target = urlsplit(next_url(url, location))
    except Setback:
        return
    assert target.scheme == "https" or (url.startswith("http:") and target.hostname == "a.org")


@pytest.mark.parametrize(
    ("url", "target", "weaker"),
    [
        ("https://hub.org/x", "https://cdn.org/x", False),
        ("https://hub.org/x", "http://cdn.org/x", True),
        ("https://hub.org/x", "file:///x", True),
        ("http://hub.lan/x", "http://cdn.lan/x", False),
    ],
)
def test_a_hub_on_https_may_not_send_us_to_less(url: str, target: str, weaker: bool) -> None:  # noqa: FBT001
    assert is_weaker(url, target) is weaker


def test_an_address_in_an_error_shows_no_key() -> None:
    assert shown("https://me:pw@a.org:444/x?token=secret#frag") == "https://a.org:444/x"
    assert shown("https://[") == "an address that is none"


# --- what is kept


WANTED = Origin(100, "ab" * 32, "v1", '"tag"')


@pytest.mark.parametrize(
    ("kept", "wanted", "goes_on"),
    [
        (WANTED, WANTED, True),
        (replace(WANTED, sha256=None), WANTED, True),  # recorded since: the digest will tell
        (replace(WANTED, size_bytes=99), WANTED, False),
        (replace(WANTED, sha256="cd" * 32), WANTED, False),
        (replace(WANTED, version="v2"), WANTED, False),
        (replace(WANTED, etag=None), WANTED, True),
        (replace(WANTED, sha256=None), replace(WANTED, sha256=None), True),
        (replace(WANTED, sha256=None, etag=None), replace(WANTED, sha256=None), False),
    ],
)
def test_kept_bytes_are_gone_on_with_unless_they_cannot_be_right(kept: Origin, wanted: Origin, goes_on: bool) -> None:  # noqa: FBT001
    assert kept.goes_on_as(wanted) is goes_on


NOTES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["size_bytes", "sha256", "version", "etag", "x"]), inner, max_size=5)
    ),
)


@given(NOTES, st.integers(0, 150))
def test_a_note_is_believed_only_if_it_can_be_true(said: object, part_bytes: int) -> None:
    origin = origin_from(said, part_bytes)

    if origin is not None:
        assert origin.size_bytes is None or origin.size_bytes >= part_bytes
        assert origin_from(json.loads(json.dumps(asdict(origin))), part_bytes) == origin


# --- words


TEXTS = st.text(max_size=20)
SIZES = st.integers(0, 2**60)
ORDERS = st.builds(
    Order,
    folder=TEXTS,
    url=st.none() | TEXTS,
    hub=st.none() | st.builds(HubFile, TEXTS, TEXTS, TEXTS),
    size_bytes=st.none() | SIZES,
    sha256=st.none() | TEXTS,
    reserve_bytes=SIZES,
    patience=st.builds(Patience, connect_s=st.floats(0, 9), tries=st.integers(1, 9)),
)
REPORTS = (
    st.builds(Moved, st.sampled_from(["downloading", "verifying"]), SIZES, st.none() | SIZES)
    | st.builds(Fetched, TEXTS, SIZES, st.none() | TEXTS)
    | st.builds(
        Failed,
        st.sampled_from(["access", "disk"]),
        TEXTS,
        st.booleans(),
        st.none() | st.floats(0, 99),
        st.dictionaries(TEXTS, SIZES, max_size=2),
    )
)


@given(ORDERS)
def test_an_order_comes_out_as_it_went_in(order: Order) -> None:
    line = encode_order(order)

    assert line.count(b"\n") == 1
    assert decode_order(line) == order


@given(REPORTS)
def test_a_report_comes_out_as_it_went_in(report: Moved | Fetched | Failed) -> None:
    line = encode_report(report)

    assert line.count(b"\n") == 1
    assert decode_report(line) == report


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b"null", b'{"report":"x"}', b'{"report":"moved","done_bytes":"1"}']
)
def test_what_is_no_report_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="no report"):
        decode_report(line)


def test_pauses_double_up_to_a_limit_and_respect_what_the_server_asks() -> None:
    patience = Patience(pause_s=1, max_pause_s=10)

    assert [patience.pause_after(failures, None) for failures in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert patience.pause_after(1, 7.0) == 7


# --- headway


@given(st.floats(0, 1e6), st.integers(0, 10**12), st.floats(1, 1e9), st.lists(st.floats(0.05, 1), min_size=30))
def test_a_steady_download_has_its_rate_wherever_it_began(
    began_s: float, began_bytes: int, rate_bytes_s: float, steps_s: list[float]
) -> None:
    headway, now_s = Headway(), began_s
    headway.moved(began_bytes, now_s)
    for step_s in steps_s:
        now_s += step_s
        rate = headway.moved(began_bytes + int(rate_bytes_s * (now_s - began_s)), now_s)
        assert rate is None or abs(rate - rate_bytes_s) <= 0.001 * rate_bytes_s + 1 / MIN_SPAN_S + 1
    assert rate is not None


def test_a_stall_is_seen_within_the_window_and_no_rate_is_made_of_one_mark() -> None:
    headway = Headway()
    assert headway.moved(1000, 0.0) is None
    assert headway.moved(2000, 1.0) == 1000
    assert headway.moved(2000, 1.0 + WINDOW_S) == 0
    assert headway.moved(0, 20.0) is None


def test_time_left_is_known_when_size_and_rate_are() -> None:
    assert left_s(50, 100, 10.0) == 5
    assert left_s(150, 100, 10.0) == 0
    assert left_s(50, None, 10.0) is None
    assert left_s(50, 100, None) is None
    assert left_s(50, 100, 0.0) is None
