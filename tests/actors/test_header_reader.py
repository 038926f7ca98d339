"""Reading a header in a process of its own: what is said of files that are none, its limits, and models in several files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from gguf_draft import TEXT, UINT32, Draft, key, text, u32

from inferd.errors import LoadFailed
from inferd_actors.headers import reader
from inferd_actors.headers.reader import read_header
from inferd_actors.headers.reading import answer
from inferd_daemon.catalogue import curated
from inferd_daemon.store import Store

SOUND = Draft()


def written(path: Path, file: bytes = SOUND.file) -> str:
    path.write_bytes(file)
    return str(path)


def refused(path: object) -> tuple[object, str]:
    with pytest.raises(LoadFailed) as failed:
        read_header(str(path))
    return failed.value.details["cause"], failed.value.message


def test_the_starter_model_is_told_by_its_header(starter_store: Store) -> None:
    schema = curated().starter
    header = read_header(str(starter_store.path(schema)))
    assert header.architecture == "llama"
    assert header.context_tokens == schema.context_tokens == 8_192
    assert header.parameters == schema.parameters
    assert header.file_type == schema.quantization == "Q4_1"
    assert (len(header.layers.keys), header.width, header.hidden, header.vocabulary) == (30, 576, 1_536, 49_152)
    assert (header.heads, header.kv_heads, header.key_size, header.value_size) == (9, 3, 64, 64)
    assert set(header.layers.keys) == set(header.layers.values) == {192}
    assert header.has_template
    assert 95_000_000 < header.weights_bytes < 98_362_432


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    assert read_header(written(tmp_path / "m.gguf")).tensor_bytes == {"F32": 44}


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(written(tmp_path / "m.gguf"))
    assert read_header(str(tmp_path / "link")).parameters == 11


# --- what is no model


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    cause, said = refused(tmp_path / "none.gguf")
    assert cause == "file_missing"
    assert "none.gguf cannot be read" in said


def test_a_corrupt_file_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    cause, said = refused(written(tmp_path / "cut.gguf", SOUND.file[:-1]))
    assert cause == "file_corrupt"
    assert said.startswith("cut.gguf is no sound model file: tensor b ends at byte")


def test_an_empty_file_and_a_folder_are_no_models(tmp_path: Path) -> None:
    assert refused(written(tmp_path / "empty", b""))[0] == "file_corrupt"
    assert refused(tmp_path)[0] == "file_corrupt"


def test_a_pipe_nobody_writes_to_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == ("file_corrupt", "pipe is no sound model file: it is no regular file")


def test_names_from_a_file_do_not_reach_a_terminal_raw(tmp_path: Path) -> None:
    file = replace(SOUND, keys=(*SOUND.keys, key("\x1b[2Jx", 99, b""))).file
    cause, said = refused(written(tmp_path / "m.gguf", file))
    assert cause == "file_corrupt"
    assert said.isprintable()


# --- limits


def run_limited(code: str) -> subprocess.CompletedProcess[bytes]:
    """Run code in a process with 64 MiB more than nothing and a second."""
    program = f"from inferd_actors.headers.reading import limit\nlimit(memory_bytes=2**28, cpu_s=1)\n{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)


@pytest.mark.skipif(sys.platform == "darwin", reason="address space cannot be limited there")
def test_the_process_that_reads_gets_no_more_memory() -> None:
    assert b"MemoryError" in run_limited("bytearray(2**29)").stderr


def test_the_process_that_reads_opens_no_file() -> None:
    assert b"OSError" in run_limited("open('/etc/hosts')").stderr


def test_the_process_that_reads_is_ended_when_its_time_is_over() -> None:
    assert run_limited("while True: pass").returncode == -signal.SIGXCPU


def test_a_header_that_takes_too_much_memory_is_malformed() -> None:
    def greedy() -> None:
        raise MemoryError

    assert "more than 256 MiB" in str(answer(greedy)["problem"])  # type: ignore[arg-type]


# --- models in several files


def part(number: int, parts: int) -> bytes:
    keys = (*SOUND.keys, key("split.no", UINT32, u32(number)), key("split.count", UINT32, u32(parts)))
    return replace(SOUND, keys=keys).file


def test_the_parts_of_a_model_are_read_and_added_up(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"m-{number + 1:05}-of-00003.gguf", part(number, 3)) for number in range(3)]
    header = read_header(paths[0])
    assert (header.parameters, header.weights_bytes, header.parts) == (33, 132, 3)


def test_a_corrupt_part_is_named(tmp_path: Path) -> None:
    first = written(tmp_path / "m-00001-of-00002.gguf", part(0, 2))
    written(tmp_path / "m-00002-of-00002.gguf", part(1, 2)[:-1])
    cause, said = refused(first)
    assert cause == "file_corrupt"
    assert said.startswith("m-00002-of-00002.gguf")


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    cause, said = refused(written(tmp_path / "m-00001-of-00002.gguf", part(0, 2)))
    assert cause == "file_missing"
    assert "m-00002-of-00002.gguf" in said


@pytest.mark.parametrize(
    ("name", "number", "parts", "said"),
    [
        ("m-00002-of-00002.gguf", 1, 2, "part 2 of 2: the first"),
        ("m.gguf", 0, 2, "has to end in -00001-of-00002.gguf"),
        ("m-00001-of-99999.gguf", 0, 99_999, "at most 512"),
    ],
)
def test_a_part_alone_is_refused(tmp_path: Path, name: str, number: int, parts: int, said: str) -> None:
    cause, message = refused(written(tmp_path / name, part(number, parts)))
    assert cause == "file_corrupt"
    assert said in message


def test_a_part_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    first = written(tmp_path / "m-00001-of-00002.gguf", part(0, 2))
    written(tmp_path / "m-00002-of-00002.gguf", part(0, 2))
    assert "says that it is part 1 of 2, not 2 of 2" in refused(first)[1]


def test_a_long_text_is_not_kept(tmp_path: Path) -> None:
    file = replace(SOUND, keys=(*SOUND.keys, key("general.name", TEXT, text("n" * 10_000)))).file
    assert read_header(written(tmp_path / "m.gguf", file)).name == "n" * 256


def test_a_read_that_hangs_ends_when_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = tmp_path / "hanging"
    hanging.write_text("#!/bin/sh\nexec sleep 3600\n")
    hanging.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(hanging))
    monkeypatch.setattr(reader, "READ_S", 3_600.0)
    stop = Event()
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(read_header, written(tmp_path / "m.gguf"), stop)
        stop.set()
        with pytest.raises(LoadFailed, match="stopped") as failed:
            reading.result(60.0)
    assert failed.value.details["cause"] == "engine"
