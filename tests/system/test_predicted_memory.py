"""Predicted memory against that of real models' processes, within a tenth; `bench_loads` has more sizes of context.

The model is a copy, for pages of a file that other processes have mapped count half. Memory is read after eight streams: by
then each part has been used, and a process gives nothing back.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from daemon_process import DaemonProcess, running

from inferd import Client
from inferd_actors import engines
from inferd_actors.engines import processor
from inferd_actors.engines.llama_cpp.prediction import predict
from inferd_actors.engines.llama_cpp.reordering import reordered_types
from inferd_actors.headers.reader import read_header
from inferd_daemon.catalogue import curated
from inferd_daemon.store import Store

pytestmark = [
    pytest.mark.skipif(bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"),
    pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the system tells no PSS"),
]

NEAR = 0.10
SHARED_BYTES = 16 * 2**20
"""What a process's part of the libraries' pages may shrink by, when other processes of the machine have them mapped, too."""
STREAMS = 8
LIVES: Mapping[str, tuple[str, dict[str, int]]] = {
    "starter/2048:a": ("starter", {"context_tokens": 2_048, "shelf_bytes": 0}),
    "starter/shelf:a": ("starter", {"context_tokens": 512, "shelf_bytes": 16 * 2**20}),
    "tiny/chat:a": ("chat", {"shelf_bytes": 0}),
    "tiny/windowed:a": ("windowed", {"shelf_bytes": 0}),
    "tiny/recurrent:a": ("recurrent", {"shelf_bytes": 0}),
}
"""Name → file and settings."""


@pytest.fixture(scope="module")
def files(
    starter_store: Store, tiny_models: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    own = tmp_path_factory.mktemp("copy") / "starter.gguf"
    shutil.copyfile(starter_store.path(curated().starter) or "", own)
    return {**tiny_models, "starter": own}


@pytest.fixture(scope="module")
def daemon(files: Mapping[str, Path]) -> Iterator[DaemonProcess]:
    rows = [_row(name, files[file], options) for name, (file, options) in LIVES.items()]
    with running("\n".join(rows)) as process:
        yield process


def _row(name: str, file: Path, options: Mapping[str, int]) -> str:
    settings = ", ".join(f"{key} = {value}" for key, value in options.items())
    return f'[models."{name}"]\nengine = "llama_cpp"\nfile = "{file}"\nengine_options = {{ {settings} }}\n'


@pytest.mark.parametrize("name", LIVES)
def test_a_prediction_is_near_what_the_process_takes(
    daemon: DaemonProcess, files: Mapping[str, Path], name: str
) -> None:
    file, options = LIVES[name]
    predicted = predict(
        read_header(str(files[file])), options, reordered=reordered_types(processor.features())
    ).peak_bytes
    with daemon.client() as client:
        _serve(client, name)
        measured = _pss_bytes(daemon.model(name).pid)
        client.models.unload(name)
    near = pytest.approx(predicted, rel=NEAR, abs=SHARED_BYTES)
    assert measured == near, f"{predicted / 2**20:.0f} and {measured / 2**20:.0f} MiB"


def _serve(client: Client, model: str) -> None:
    """Have as many streams run as the model has slots, each with a prompt of its own."""
    client.generate("ready", model=model, max_tokens=1)

    def ask(number: int) -> None:
        words = " ".join(f"{number}{word:02}" for word in range(30))
        client.generate(words, model=model, max_tokens=8)

    with ThreadPoolExecutor(STREAMS) as streams:
        for _ in range(3):
            list(streams.map(ask, range(STREAMS)))


def _pss_bytes(pid: int) -> int:
    """Return the memory of a model's process and of the one that renders for it."""
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(process.memory_full_info().pss for process in tree)
