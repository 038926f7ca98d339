"""Headers of speech models: what they tell, and hostile ones, which are refused or read within the file."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speech_files import TINY, ct2, field, onnx, tensor, text

from inferd.errors import LoadFailed
from inferd_actors.headers.cursor import Malformed
from inferd_actors.headers.header import Header
from inferd_actors.headers.reader import read_header
from inferd_actors.headers.reading import header_in

EAR = ct2()
VOICE = onnx(tensor((3, 4)), tensor((5,), kind=7, packed=True), tensor((), kind=10))


def header(file: bytes) -> Header:
    return header_in(io.BytesIO(file), len(file))


def test_a_whisper_model_is_told_by_its_tables() -> None:
    found = header(EAR)
    assert (found.architecture, found.width, found.hidden, found.vocabulary) == ("whisper", 8, 32, 30)
    assert found.layers.keys == found.layers.values == (8, 8)
    assert found.parameters == 30 * 8 + 2 * 32 * 8 + 16 * 8 + 20 * 8 + 1
    assert found.tensor_bytes == {"int8": 1, "float16": 2 * (found.parameters - 1)}


def test_a_network_is_told_by_its_weights() -> None:
    found = header(VOICE)
    assert (found.architecture, found.parameters) == ("onnx", 12 + 5 + 1)
    assert found.tensor_bytes == {"float32": 48, "int64": 40, "float16": 2}


@pytest.mark.parametrize("file", [EAR, VOICE])
def test_both_are_read_by_the_process_that_reads_headers(tmp_path: Path, file: bytes) -> None:
    place = tmp_path / "model"
    place.write_bytes(file)
    assert read_header(str(place)) == header(file)

    place.write_bytes(file[: len(file) // 2])
    with pytest.raises(LoadFailed) as caught:
        read_header(str(place))
    assert caught.value.details["cause"] == "file_corrupt"


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (ct2(version=3), "its version is 3; 4 to 6 are known"),
        (ct2(specification="TransformerSpec"), "not of WhisperSpec"),
        (ct2({}), "no matrix decoder/embeddings/weight"),
        (ct2({**TINY, "encoder/position_encodings/encodings": (4, (20,))}), "no matrix encoder"),
        (EAR.replace(text("decoder/alibi"), text("decoder/alibi")[:-2] + b"\xff\0"), None),
        (struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, 2**32 - 1), "variables; at most"),
        (struct.pack("<I", 6) + struct.pack("<H", 60_000), "has 60,000 bytes"),
        (onnx() + b"\xff", "does not end"),
        (onnx(tensor((3,))).replace(field(1, 3), field(1, 4)), "its shape takes"),
        (onnx(tensor((1,) * 9)), "more than 8 dimensions"),
        (onnx(field(14, 1)), "in another file"),
        (field(1, 8), "0 graphs"),
        (field(1, 8) + field(7, b"") * 2, "2 graphs"),
        (field(1, 8) + b"\x0b", "no field of a known kind"),
        (field(1, 8) + field(7, b"\x0d\0"), "has only 1 more"),
        (field(1, 8) + field(7, b"\x12\x00" * 250_000), "more than 200,000 fields"),
    ],
)
def test_what_is_no_such_file_is_refused_with_what_is_wrong(file: bytes, problem: str | None) -> None:
    if problem is None:
        assert header(file).architecture == "whisper"
        return
    with pytest.raises(Malformed) as caught:
        header(file)
    assert problem in str(caught.value)


@settings(max_examples=300)
@given(
    st.sampled_from([EAR, VOICE]), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6), st.data()
)
def test_any_damage_is_refused_or_read_within_the_file(
    file: bytes, damage: list[tuple[int, int]], data: st.DataObject
) -> None:
    broken = bytearray(file[: data.draw(st.integers(0, len(file)))])
    for place, byte in damage:
        if place < len(broken):
            broken[place] = byte
    try:
        found = header(bytes(broken))
    except Malformed:
        return
    assert found.weights_bytes <= len(broken)
    assert found.parameters <= 8 * len(broken)
