"""The way of one download against a server on loopback that does what servers do; in this process, the rest as it is."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import (
    GIVE_UP_S,
    ONCE,
    STEADY,
    Act,
    FileServer,
    answering,
    chunked,
    cut,
    partly,
    serving_file,
    silent,
    stalled,
    unmeasured,
)

from inferd_daemon.store.fetching.course import Course
from inferd_daemon.store.fetching.partial import PART
from inferd_daemon.store.fetching.words import Failed, Fetched, Moved, Order, Setback

WEIGHTS = random.Random(1).randbytes(2**20 + 17)  # noqa: S311 - bytes of which no two places are alike
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serving_file(monkeypatch, WEIGHTS) as running:
        yield running


@pytest.fixture
def order(server: FileServer, tmp_path: Path) -> Order:
    return Order(folder=str(tmp_path), url=server.url, patience=ONCE)


def run(order: Order, told: list[Moved] | None = None) -> Fetched:
    return Course(order, (told if told is not None else []).append).run()


def fetched(order: Order) -> bytes:
    report = run(order)
    content = (Path(order.folder) / PART).read_bytes()
    assert report == Fetched(hashlib.sha256(content).hexdigest(), len(content))
    return content


def refused(order: Order) -> Failed:
    with pytest.raises(Setback) as caught:
        run(order)
    return caught.value.failed


def kept_bytes(order: Order) -> int:
    return (Path(order.folder) / PART).stat().st_size


def starts(server: FileServer) -> list[int]:
    return [one.start_bytes for one in server.shelf.asked]


def test_a_whole_file_comes_with_its_size_and_digest(order: Order) -> None:
    told: list[Moved] = []

    assert run(order, told) == Fetched(DIGEST, len(WEIGHTS))
    assert told[-1] == Moved("downloading", len(WEIGHTS), len(WEIGHTS))
    assert [one.done_bytes for one in told] == sorted(one.done_bytes for one in told)


def test_a_part_of_what_was_asked_for_is_not_taken_for_the_rest(order: Order, server: FileServer) -> None:
    """The first answer told no size, so that only the part itself tells that more is to come."""
    server.shelf.acts += [chunked(1_000), partly(100)]
    assert fetched(replace(order, patience=STEADY)) == WEIGHTS
    assert starts(server) == [0, 1_000, 1_100]


# --- what goes wrong


@pytest.mark.parametrize(
    ("act", "cause", "retryable", "words"),
    [
        (answering(401), "access", False, "401"),
        (answering(403), "access", False, "403"),
        (answering(404), "missing", False, "404"),
        (answering(416), "download", True, "416"),
        (answering(429), "download", True, "429"),
        (answering(500), "download", True, "500"),
        (answering(200, b"<html>log in", Content_Type="text/html"), "download", True, "web page"),
        (answering(200, b"x", Content_Encoding="gzip"), "download", False, "packs"),
        (answering(206, b"x", Content_Range="bytes 7-7/8"), "download", True, "asked for bytes from 0"),
        (answering(302, Location="http://127.0.0.1:1/x"), "source", False, "127.0.0.1:1"),
        (answering(302, Location="file:///etc/passwd"), "source", False, "file:"),
        (answering(302), "source", False, "10 times"),
        (answering(200, b"short", Content_Length="900"), "download", True, "broke"),
        (silent, "download", True, "broke"),
        (cut(1000), "download", True, "broke"),
        (chunked(1000), "download", True, "broke"),
        (unmeasured, "download", False, "sha256 must be given"),
    ],
)
def test_a_misbehaving_server_is_an_error_with_its_cause(
    server: FileServer,
    order: Order,
    act: Act,
    cause: str,
    retryable: bool,  # noqa: FBT001
    words: str,
) -> None:
    server.shelf.acts.extend([act] * 20)

    failed = refused(order)

    assert (failed.cause, failed.retryable) == (cause, retryable)
    assert words in failed.problem
    server.shelf.acts.clear()
    assert fetched(order) == WEIGHTS


def test_a_server_that_nobody_runs_is_an_error(order: Order) -> None:
    failed = refused(replace(order, url="http://127.0.0.1:1/x?key=secret"))

    assert (failed.cause, failed.retryable) == ("download", True)
    assert "secret" not in failed.problem


def test_silence_is_an_error_after_the_time_for_a_byte(server: FileServer, order: Order) -> None:
    server.shelf.acts.append(stalled(1000))

    failed = refused(replace(order, patience=replace(ONCE, stall_s=0.2)))

    assert (failed.cause, failed.retryable) == ("download", True)
    assert "no byte for 0.2 s" in failed.problem
    assert server.shelf.hung_up.wait(GIVE_UP_S)


@pytest.mark.parametrize("size_bytes", [len(WEIGHTS) - 1, len(WEIGHTS) + 1])
def test_a_file_of_another_size_than_recorded_is_not_even_read(order: Order, size_bytes: int) -> None:
    failed = refused(replace(order, size_bytes=size_bytes))

    assert (failed.cause, failed.retryable) == ("checksum", False)
    assert str(len(WEIGHTS)) in failed.problem
    assert kept_bytes(order) == 0


def test_a_file_without_length_that_outgrows_its_record_is_ended(server: FileServer, order: Order) -> None:
    server.shelf.acts.append(unmeasured)

    assert refused(replace(order, size_bytes=1000)).cause == "checksum"
    assert kept_bytes(order) == 0


def test_other_bytes_than_recorded_are_refused_and_not_kept(server: FileServer, order: Order) -> None:
    server.shelf.content = WEIGHTS[::-1]

    failed = refused(replace(order, sha256=DIGEST))

    assert (failed.cause, failed.retryable) == ("checksum", False)
    assert DIGEST in failed.problem
    assert kept_bytes(order) == 0
    assert starts(server) == [0]


def test_a_file_that_the_disk_cannot_hold_is_an_error_before_its_first_byte(server: FileServer, order: Order) -> None:
    server.shelf.acts.append(answering(200, b"x", Content_Length=str(10**17)))

    failed = refused(replace(order, reserve_bytes=1, patience=STEADY))

    assert (failed.cause, failed.retryable) == ("disk", True)
    assert failed.numbers["needed_bytes"] == 10**17 + 1
    assert failed.numbers["free_bytes"] < 10**17
    assert kept_bytes(order) == 0
    assert len(server.shelf.asked) == 1


def test_a_reserve_of_the_disk_is_never_used(order: Order) -> None:
    assert refused(replace(order, reserve_bytes=10**17)).cause == "disk"


# --- going on


def test_a_broken_line_is_gone_on_with_where_it_broke(server: FileServer, order: Order) -> None:
    server.shelf.acts.extend([cut(100_000), answering(503), silent, cut(200_000)])

    assert fetched(replace(order, patience=STEADY)) == WEIGHTS
    assert starts(server) == [0, 100_000, 100_000, 100_000, 300_000]
    assert {one.headers.get("if-range") for one in server.shelf.asked[1:]} == {'"one"'}


def test_the_next_process_goes_on_and_hashes_what_is_here_first(server: FileServer, order: Order) -> None:
    server.shelf.acts.append(cut(100_000))
    refused(order)
    told: list[Moved] = []

    assert run(order, told) == Fetched(DIGEST, len(WEIGHTS))
    assert starts(server) == [0, 100_000]
    assert told[0] == Moved("verifying", 100_000, 100_000)
    assert told[1].done_bytes > 100_000


def test_a_whole_file_that_was_not_published_needs_no_server(server: FileServer, order: Order) -> None:
    run(order)
    server.shelf.acts.append(answering(500))

    assert fetched(order) == WEIGHTS
    assert fetched(replace(order, sha256=DIGEST)) == WEIGHTS


def test_tries_end_when_none_of_them_gets_further(server: FileServer, order: Order) -> None:
    server.shelf.acts.extend([cut(1000), *[answering(500)] * 20])

    assert refused(replace(order, patience=STEADY)).numbers["status"] == 500
    assert len(server.shelf.asked) == STEADY.tries
    assert kept_bytes(order) == 1000


def test_a_server_that_always_breaks_off_and_knows_no_ranges_is_given_up(server: FileServer, order: Order) -> None:
    server.shelf.etag = None
    server.shelf.acts.extend([cut(2000), cut(1000)] * 20)

    refused(replace(order, patience=STEADY))

    assert len(server.shelf.asked) == STEADY.tries


def test_with_a_digest_no_tag_is_needed_to_go_on(server: FileServer, order: Order) -> None:
    server.shelf.etag = None
    server.shelf.acts.append(cut(1000))

    assert fetched(replace(order, sha256=DIGEST, patience=STEADY)) == WEIGHTS
    assert starts(server) == [0, 1000]


def test_without_tag_and_digest_a_download_starts_anew(server: FileServer, order: Order) -> None:
    server.shelf.etag = None
    server.shelf.acts.append(cut(1000))

    assert fetched(replace(order, patience=STEADY)) == WEIGHTS
    assert starts(server) == [0, 0]


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(server: FileServer, order: Order) -> None:
    server.shelf.acts.append(cut(1000))
    refused(order)
    server.shelf.content, server.shelf.etag = WEIGHTS[::-1], '"two"'

    assert fetched(order) == WEIGHTS[::-1]
    assert starts(server) == [0, 1000]


def test_a_file_that_became_shorter_than_what_is_kept_is_fetched_anew(server: FileServer, order: Order) -> None:
    order = replace(order, sha256=hashlib.sha256(b"new").hexdigest())
    server.shelf.acts.append(cut(2000))
    refused(order)
    server.shelf.content = b"new"

    assert fetched(order) == b"new"


def test_a_file_that_became_longer_is_not_mixed_with_what_is_kept(server: FileServer, order: Order) -> None:
    longer = WEIGHTS[::-1] + b"x"
    order = replace(order, sha256=hashlib.sha256(longer).hexdigest())
    server.shelf.acts.append(cut(2000))
    refused(order)
    server.shelf.content = longer

    assert fetched(order) == longer
    assert starts(server) == [0, 2000, 0]


@pytest.mark.parametrize("place", [0, 1, 70_000, 99_999])
def test_a_flipped_byte_of_what_was_kept_is_found_and_all_is_fetched_anew(
    server: FileServer, order: Order, place: int
) -> None:
    order = replace(order, sha256=DIGEST)
    server.shelf.acts.append(cut(100_000))
    refused(order)
    with (Path(order.folder) / PART).open("r+b") as writer:
        writer.seek(place)
        writer.write(bytes([WEIGHTS[place] ^ 1]))

    assert fetched(order) == WEIGHTS
    assert starts(server) == [0, 100_000, 0]


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"size_bytes":1,"sha256":null,"version":null,"etag":null}'])
def test_bytes_with_a_damaged_note_are_not_gone_on_with(server: FileServer, order: Order, note: bytes) -> None:
    server.shelf.acts.append(cut(100_000))
    refused(order)
    (Path(order.folder) / "origin.json").write_bytes(note)

    assert fetched(order) == WEIGHTS
    assert starts(server) == [0, 0]


def test_a_file_that_was_made_read_only_for_publishing_can_be_gone_on_with(server: FileServer, order: Order) -> None:
    server.shelf.acts.append(cut(100_000))
    refused(order)
    (Path(order.folder) / PART).chmod(0o400)

    assert fetched(order) == WEIGHTS
    assert (Path(order.folder) / PART).stat().st_mode & 0o777 == 0o600
