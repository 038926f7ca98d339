"""The `url` source against a server on loopback that does what servers do: the real processes, no network."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from file_server import (
    GIVE_UP_S,
    ONCE,
    STEADY,
    FileServer,
    answering,
    chunked,
    cut,
    serving_file,
    silent,
    stalled,
    stalled_until,
    unmeasured,
)
from waiting import until

from inferd.errors import PullFailed
from inferd_daemon.catalogue import ModelId, Schema, UrlSource
from inferd_daemon.store import Progress, Store
from inferd_daemon.store.partials import KEPT_S

WEIGHTS = random.Random(1).randbytes(3 * 2**20 + 17)  # noqa: S311 - bytes of which no two places are alike
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serving_file(monkeypatch, WEIGHTS) as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


def model(server: FileServer, sha256: str | None = None, size_bytes: int | None = None) -> Schema:
    source = UrlSource(server.url, size_bytes, sha256)
    identity = ModelId("test", "tiny", "q4")
    return Schema(id=identity, name="", engine="llama_cpp", source=source, capabilities=("generate",))


def pull(store: Store, schema: Schema, seen: Callable[[Progress], None] = lambda progress: None) -> bytes:
    file = store.pull(schema, seen, threading.Event())
    assert file is not None
    assert file == store.path(schema)
    return file.read_bytes()


def refused(store: Store, schema: Schema) -> PullFailed:
    with pytest.raises(PullFailed) as caught:
        pull(store, schema)
    assert caught.value.details["model"] == str(schema.id)
    assert not store.has(schema)
    return caught.value


def part(root: Path) -> Path:
    (found,) = (root / "partials").glob("*/part")
    return found


def kept_bytes(root: Path) -> int:
    return sum(one.stat().st_size for one in (root / "partials").glob("*/part"))


def starts(server: FileServer) -> list[int]:
    return [one.start_bytes for one in server.shelf.asked]


# --- what comes


def test_a_file_is_fetched_verified_and_needs_no_server_any_more(server: FileServer, root: Path) -> None:
    store, schema = Store(root, patience=ONCE), model(server, DIGEST, len(WEIGHTS))
    assert not store.has(schema)
    seen: list[Progress] = []

    assert pull(store, schema, seen.append) == WEIGHTS
    assert pull(Store(root), schema) == WEIGHTS
    assert starts(server) == [0]
    assert store.size_bytes(schema) == len(WEIGHTS)
    assert {one.total_bytes for one in seen} == {len(WEIGHTS)}
    assert list(dict.fromkeys(one.phase for one in seen)) == ["downloading", "publishing"]
    assert [one.done_bytes for one in seen] == sorted(one.done_bytes for one in seen)
    assert list((root / "partials").iterdir()) == []


def test_a_digest_that_nobody_gave_is_recorded_and_holds_until_the_model_is_removed(
    server: FileServer, root: Path
) -> None:
    store, schema = Store(root, patience=ONCE), model(server)
    assert pull(store, schema) == WEIGHTS
    assert Store(root).has(schema)
    file = store.path(schema)
    assert file is not None
    file.chmod(0o600)
    file.write_bytes(b"x" + WEIGHTS[1:])
    server.shelf.content = other = WEIGHTS[::-1]

    error = refused(store, schema)
    assert (error.details["cause"], error.retryable) == ("checksum", False)
    assert DIGEST in error.message

    store.remove(schema)
    assert pull(store, schema) == other


def test_a_flipped_byte_of_a_stored_file_is_found_and_healed(server: FileServer, root: Path) -> None:
    store, schema = Store(root, patience=ONCE), model(server)
    pull(store, schema)
    file = store.path(schema)
    assert file is not None
    file.chmod(0o600)
    with file.open("r+b") as writer:
        writer.seek(len(WEIGHTS) // 2)
        writer.write(bytes([WEIGHTS[len(WEIGHTS) // 2] ^ 1]))

    assert not store.has(schema)
    assert pull(store, schema) == WEIGHTS


def test_a_length_that_is_not_told_is_unknown_until_the_end(server: FileServer, root: Path) -> None:
    server.shelf.acts.append(chunked())
    seen: list[Progress] = []

    assert pull(Store(root, patience=ONCE), model(server), seen.append) == WEIGHTS
    assert {one.total_bytes for one in seen if one.phase == "downloading"} == {None}


def test_an_end_that_cannot_be_told_from_a_broken_line_needs_a_digest(server: FileServer, root: Path) -> None:
    server.shelf.acts.extend([unmeasured, unmeasured])

    error = refused(Store(root, patience=ONCE), model(server))
    assert (error.details["cause"], error.retryable) == ("download", False)
    assert "sha256 must be given" in error.message

    assert pull(Store(root, patience=ONCE), model(server, DIGEST)) == WEIGHTS


def test_a_redirect_on_the_same_server_is_followed(server: FileServer, root: Path) -> None:
    server.shelf.acts.append(answering(302, Location="/elsewhere?key=secret"))

    assert pull(Store(root, patience=ONCE), model(server)) == WEIGHTS
    assert [one.path for one in server.shelf.asked] == ["/models/tiny.gguf", "/elsewhere?key=secret"]


def test_a_removed_model_is_gone_and_what_was_kept_of_it_too(server: FileServer, root: Path) -> None:
    store, schema = Store(root, patience=ONCE), model(server)
    server.shelf.acts.append(cut(1000))
    refused(store, schema)
    assert store.remove(schema) >= 1000
    assert list((root / "partials").iterdir()) == []

    pull(store, schema)
    assert store.remove(schema) == len(WEIGHTS)
    assert not store.has(schema)
    assert store.remove(schema) == 0


# --- what goes wrong


def test_a_recorded_size_is_compared_with_the_disk_before_anybody_is_asked(server: FileServer, root: Path) -> None:
    store = Store(root, free_bytes=lambda folder: len(WEIGHTS), patience=ONCE)

    error = refused(store, model(server, DIGEST, len(WEIGHTS)))

    assert error.details["cause"] == "disk"
    assert error.details["free_bytes"] == len(WEIGHTS)
    assert server.shelf.asked == []


def test_the_size_of_a_file_that_was_here_is_compared_too(server: FileServer, root: Path) -> None:
    pull(Store(root, patience=ONCE), model(server))
    file = Store(root).path(model(server))
    assert file is not None
    file.unlink()
    server.shelf.asked.clear()

    error = refused(Store(root, free_bytes=lambda folder: len(WEIGHTS), patience=ONCE), model(server))

    assert (error.details["cause"], error.details["free_bytes"]) == ("disk", len(WEIGHTS))
    assert server.shelf.asked == []


def test_a_file_that_the_disk_cannot_hold_is_an_error_before_its_first_byte(server: FileServer, root: Path) -> None:
    server.shelf.acts.append(answering(200, b"x", Content_Length=str(10**17)))

    error = refused(Store(root, patience=ONCE), model(server))

    assert (error.details["cause"], error.retryable) == ("disk", True)
    needed_bytes = error.details["needed_bytes"]
    assert isinstance(needed_bytes, int)
    assert needed_bytes > 10**17
    assert str(needed_bytes) in error.message
    assert kept_bytes(root) == 0


def test_a_pause_that_is_longer_than_ours_is_told_to_whoever_asked(server: FileServer, root: Path) -> None:
    server.shelf.acts.append(answering(429, Retry_After="3600"))

    error = refused(Store(root, patience=STEADY), model(server))

    assert error.retry_after_s == 3600
    assert len(server.shelf.asked) == 1


# --- going on


def test_a_broken_line_is_gone_on_with_where_it_broke(server: FileServer, root: Path) -> None:
    server.shelf.acts.extend([cut(100_000), answering(503), silent, cut(200_000)])

    assert pull(Store(root, patience=STEADY), model(server)) == WEIGHTS
    assert starts(server) == [0, 100_000, 100_000, 100_000, 300_000]
    assert {one.headers.get("if-range") for one in server.shelf.asked[1:]} == {'"one"'}


def test_a_stopped_download_ends_at_once_and_goes_on_later(server: FileServer, root: Path) -> None:
    store, schema, stop = Store(root, patience=ONCE), model(server), threading.Event()
    server.shelf.acts.append(stalled(50_000))
    with ThreadPoolExecutor(1) as pool:
        pulling = pool.submit(store.pull, schema, lambda progress: None, stop)
        until(lambda: kept_bytes(root) == 50_000, "what was sent is kept")
        stop.set()
        error = pulling.exception(GIVE_UP_S)

    assert isinstance(error, PullFailed)
    assert (error.details["cause"], error.retryable) == ("stopped", True)
    assert server.shelf.hung_up.wait(GIVE_UP_S)
    assert pull(store, schema) == WEIGHTS
    assert starts(server) == [0, 50_000]


def test_while_nothing_comes_its_watchers_hear_so(server: FileServer, root: Path) -> None:
    server.shelf.acts.append(stalled(1000))
    seen: list[Progress] = []
    stop = threading.Event()

    def look(progress: Progress) -> None:
        seen.append(progress)
        if seen.count(Progress("downloading", 1000, len(WEIGHTS))) > 1:
            stop.set()

    with pytest.raises(PullFailed, match="was stopped"):
        Store(root, patience=ONCE).pull(model(server), look, stop)


def test_what_on_progress_raises_ends_the_download(server: FileServer, root: Path) -> None:
    def leave(progress: Progress) -> None:
        raise LookupError(progress.phase)

    server.shelf.acts.append(stalled(1000))
    with pytest.raises(LookupError, match="downloading"):
        Store(root, patience=ONCE).pull(model(server), leave, threading.Event())
    assert server.shelf.hung_up.wait(GIVE_UP_S)


def test_two_processes_that_pull_one_file_download_it_once(server: FileServer, root: Path) -> None:
    schema, waits = model(server), threading.Event()

    class Seen(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.set()
            return super().wait(timeout)

    seconds: list[Future[Path | None]] = []
    looked_on: list[Progress] = []
    server.shelf.acts.append(stalled_until(lambda: bool(looked_on)))
    with ThreadPoolExecutor(1) as pool:

        def let_the_other_start(_: Progress) -> None:
            if not seconds:
                seconds.append(pool.submit(Store(root).pull, schema, looked_on.append, Seen()))
                assert waits.wait(GIVE_UP_S)

        first = Store(root, patience=ONCE).pull(schema, let_the_other_start, threading.Event())
        assert seconds[0].result(GIVE_UP_S) == first
    assert starts(server) == [0]
    assert looked_on[0].phase == "downloading"
    assert 0 < looked_on[0].done_bytes < len(WEIGHTS)


# --- kills


CHILD = """
import sys, threading
from pathlib import Path
from inferd_daemon.catalogue import ModelId, Schema, UrlSource
from inferd_daemon.store import Store
source = UrlSource(sys.argv[2], None, sys.argv[3] or None)
schema = Schema(id=ModelId("test", "tiny", "q4"), name="", engine="echo", source=source, capabilities=("generate",))
Store(Path(sys.argv[1])).pull(schema, lambda progress: None, threading.Event())
"""


def test_a_pull_that_is_killed_again_and_again_goes_on_at_the_very_byte(server: FileServer, root: Path) -> None:
    chance = random.Random(int(os.environ.get("KILLS_SEED", "7")))  # noqa: S311 - a choice of cases
    places = sorted({0, 1, *(chance.randrange(len(WEIGHTS)) for _ in range(3)), len(WEIGHTS) - 1})
    for before, place in zip([0, *places], places, strict=False):
        server.shelf.sent.clear()
        server.shelf.hung_up.clear()
        server.shelf.acts.append(stalled(place - before))
        with subprocess.Popen([sys.executable, "-c", CHILD, str(root), server.url, DIGEST]) as child:
            try:
                assert server.shelf.sent.wait(GIVE_UP_S)
                until(lambda place=place: kept_bytes(root) == place, "what was sent is kept")  # type: ignore[misc]
            finally:
                child.send_signal(signal.SIGKILL)
        assert server.shelf.hung_up.wait(GIVE_UP_S), "the fetching process outlived its owner"

    store, schema = Store(root, patience=ONCE), model(server, DIGEST)
    assert not store.has(schema)
    assert pull(store, schema) == WEIGHTS
    assert starts(server) == [0, *places]


def test_every_failing_sync_or_rename_leaves_a_store_that_goes_on_without_a_second_download(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th call to the disk fails, for n = 1, 2, … until a pull needs fewer calls than that."""
    worst = calls = 0

    def failing(real: Callable[..., None]) -> Callable[..., None]:
        def call(*args: object) -> None:
            nonlocal calls
            calls += 1
            if calls == worst:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(*args)

        return call

    def pull_with_faults(store: Store) -> PullFailed | None:
        with monkeypatch.context() as faults:
            faults.setattr(os, "fsync", failing(os.fsync))
            faults.setattr(os, "replace", failing(os.replace))
            try:
                pull(store, model(server))
            except PullFailed as error:
                return error
        return None

    for worst in range(1, 100):
        calls = 0
        server.shelf.asked.clear()
        store = Store(tmp_path / str(worst), patience=ONCE)
        error = pull_with_faults(store)
        if error is None:
            break
        assert error.details["cause"] == "disk"
        assert pull(Store(tmp_path / str(worst), patience=ONCE), model(server)) == WEIGHTS
        assert starts(server) == [0]
    assert worst == 9, "a record, a file and a receipt: written through, renamed, and their folder written through"


def test_a_process_that_breaks_down_is_an_error_with_its_last_words(
    server: FileServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")

    error = refused(Store(root, patience=ONCE), model(server))

    assert (error.details["cause"], error.retryable) == ("download", True)
    assert "ended without a word" in error.message
    assert "/nowhere" in error.message or "encodings" in error.message


# --- what is left behind


def test_an_old_download_is_swept_and_a_young_or_running_one_is_not(server: FileServer, root: Path) -> None:
    store, schema = Store(root, patience=ONCE), model(server)
    server.shelf.acts.append(cut(1000))
    refused(store, schema)

    Store(root)
    assert kept_bytes(root) == 1000

    old_s = time.time() - KEPT_S - 60
    folder = part(root).parent
    for one in (*folder.iterdir(), folder):
        os.utime(one, (old_s, old_s))

    def look(_: Progress) -> None:
        for one in (*folder.iterdir(), folder):
            os.utime(one, (old_s, old_s))
        Store(root)

    assert pull(store, schema, look) == WEIGHTS

    server.shelf.acts.append(cut(1000))
    store.remove(schema)
    refused(store, schema)
    for one in (*part(root).parent.iterdir(), part(root).parent):
        os.utime(one, (old_s, old_s))
    Store(root)
    assert list((root / "partials").iterdir()) == []
