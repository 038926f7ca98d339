"""Whether llama.cpp computes on a GPU is told from what lies beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferd_actors.engines.llama_cpp.offloading import has_backend


@pytest.mark.parametrize("name", ["libggml-cuda.so", "libggml-cuda.so.0", "ggml-cuda.dll"])
def test_a_library_for_cuda_beside_the_others_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "libggml-cpu.so").touch()
    assert not has_backend(tmp_path)
    (tmp_path / name).touch()
    assert has_backend(tmp_path)


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert not has_backend(tmp_path / "absent")
