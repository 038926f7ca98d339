"""llama.cpp's bare bindings: what importing them leaves behind, and what a load tells it."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inferd.errors import LoadFailed
from inferd_actors import engines

pytestmark = pytest.mark.skipif(
    bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is not installed"
)

SCRIPT = """
import sys
from inferd_actors import engines
from inferd_actors.engines.llama_cpp.library.binding import lib
assert engines.missing("llama_cpp") == ()
assert "llama_cpp.llama" not in sys.modules
assert lib.llama_max_devices() > 0
"""


def test_the_library_is_still_found_once_its_bindings_are_loaded_alone() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(("gpu_layers", "is_left_alone"), [(0, True), (1, False), (-1, False)])
def test_a_gpu_that_is_to_have_no_layers_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu_layers: int, *, is_left_alone: bool
) -> None:
    """llama.cpp uses a GPU that has no layers for large steps, unless it is told of none."""
    from inferd_actors.engines.llama_cpp import library
    from inferd_actors.engines.llama_cpp.library.binding import lib

    told: list[Any] = []
    monkeypatch.setattr(lib, "llama_model_load_from_file", lambda _path, params: told.append(params))
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(LoadFailed):
        library.Model(str(tmp_path / "tiny.gguf"), gpu_layers=gpu_layers, on_progress=lambda _done: True)
    (params,) = told
    assert params.n_gpu_layers == gpu_layers
    assert bool(params.devices) is is_left_alone
    assert not is_left_alone or ctypes.c_void_p.from_address(params.devices).value is None, "the list names a GPU"
