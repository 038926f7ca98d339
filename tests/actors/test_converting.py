"""Converting: the result computes what the inputs say, is the same each time, and hostile inputs are refused in words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("gguf")
pytest.importorskip("llama_cpp")
pytest.importorskip("numpy")


import numpy as np
import tiny_bert

from inferd_actors.converting.process import RECIPES, answer
from inferd_actors.converting.safetensors import WrongFile, tensors_of
from inferd_actors.headers.reader import read_header

FILES = tiny_bert.files()
EMBED = """
import json, sys
from llama_cpp import Llama
model = Llama(sys.argv[1], embedding=True, n_ctx=0, verbose=False)
print(json.dumps([model.embed(text, normalize=True) for text in sys.argv[2:]]))
"""
"""A process of its own: the engine's tests have imported half of the library into this one."""


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    tiny_bert.put(folder, FILES)
    return folder


def run(inputs: Path, target: Path, max_bytes: int = 10**6) -> tuple[int, str]:
    argv = [
        sys.executable,
        "-m",
        "inferd_actors.converting.process",
        "bert_gguf",
        str(inputs),
        str(target),
        str(max_bytes),
    ]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}, text=True) as process:
        assert process.stdout is not None
        words = process.stdout.read()
    return process.returncode, words


def test_the_converted_model_computes_what_its_inputs_say(inputs: Path, tmp_path: Path) -> None:
    target = tmp_path / "made.gguf"
    assert run(inputs, target) == (0, "")

    header = read_header(str(target))
    assert (header.architecture, header.width, header.context_tokens) == ("bert", tiny_bert.WIDTH, tiny_bert.PLACES)
    assert not header.is_causal
    texts = {"the cats sat on the mat.": ["the", "cat", "##s", "sat", "on", "the", "mat", "."], "Cat": ["cat"]}
    found = subprocess.run([sys.executable, "-c", EMBED, str(target), *texts], capture_output=True, check=True).stdout
    for vector, words in zip(json.loads(found), texts.values(), strict=True):
        assert float(np.array(vector, dtype=np.float32) @ tiny_bert.embedding(words)) > 0.999


def test_the_same_inputs_give_the_same_bytes(inputs: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(inputs, first) == run(inputs, second) == (0, "")
    assert first.read_bytes() == second.read_bytes()


def test_no_more_is_written_than_was_allowed(inputs: Path, tmp_path: Path) -> None:
    status, words = run(inputs, tmp_path / "made", max_bytes=1_000)
    assert status == 0
    assert words
    assert (tmp_path / "made").stat().st_size <= 1_000


def changed(name: str, change: dict[str, Any]) -> bytes:
    return json.dumps({**json.loads(FILES[name]), **change}).encode()


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("config.json", b"", "JSONDecodeError"),
        ("config.json", b"[]", "holds no map"),
        ("config.json", changed("config.json", {"num_hidden_layers": 10**9}), "has no tensor"),
        ("config.json", changed("config.json", {"vocab_size": "many"}), "ValueError"),
        ("tokenizer.json", changed("tokenizer.json", {"model": {"vocab": {"[CLS]": 7}}}), "leave gaps"),
        ("tokenizer.json", b"[" * 100_000, "RecursionError"),
        ("model.safetensors", FILES["model.safetensors"][:-1], "WrongFile"),
        ("model.safetensors", b"\xff" * 8 + FILES["model.safetensors"][8:], "header should have"),
        ("model.safetensors", tiny_bert.safetensors_of({}), "has no tensor"),
    ],
)
def test_wrong_inputs_are_refused_in_words(inputs: Path, tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    (inputs / name).write_bytes(data)
    assert problem in answer("bert_gguf", inputs, tmp_path / "made")


def test_a_missing_input_is_refused_in_words(inputs: Path, tmp_path: Path) -> None:
    (inputs / "config.json").unlink()
    assert "FileNotFoundError" in answer("bert_gguf", inputs, tmp_path / "made")
    assert list(RECIPES) == ["bert_gguf"]


HEAD = 8 + int.from_bytes(FILES["model.safetensors"][:8], "little")


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, HEAD - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_tensors_of_a_damaged_file_lie_inside_it_or_are_refused(damage: list[tuple[int, int]]) -> None:
    data = bytearray(FILES["model.safetensors"])
    for place, byte in damage:
        data[place] = byte
    try:
        found = tensors_of(memoryview(bytes(data)))
    except WrongFile:
        return
    assert all(8 <= one.start_bytes <= one.start_bytes + one.size_bytes <= len(data) for one in found.values())
    assert sum(one.size_bytes for one in found.values()) <= len(data)
