"""Headers of model files, sound and malformed: whatever is in a file, the answer is a header or the words for what is wrong.

The malformed kinds are those that llama.cpp's own tests of its reader tell apart, and some that it does not.
"""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import pytest
from gguf_draft import (
    ARCHITECTURE,
    BOOL,
    FLOAT32,
    INT32,
    LAYERS,
    LIST,
    TEXT,
    UINT8,
    UINT32,
    UINT64,
    Draft,
    key,
    listed,
    tensor,
    text,
    u32,
    u64,
)
from hypothesis import given
from hypothesis import strategies as st

from inferd_actors.headers.cursor import Malformed
from inferd_actors.headers.header import Header
from inferd_actors.headers.reading import header_in

SOUND = Draft()
HUGE = 2**62


def read(draft: Draft | bytes) -> Header:
    file = draft.file if isinstance(draft, Draft) else draft
    return header_in(io.BytesIO(file), len(file))


def keys(*more: bytes) -> Draft:
    return replace(SOUND, keys=(ARCHITECTURE, LAYERS, *more))


def tensors(*entries: bytes, data_bytes: int = 44) -> Draft:
    return replace(SOUND, tensors=entries, data=bytes(data_bytes))


def aligned(value: bytes, kind: int = UINT32, alignment: int = 32) -> Draft:
    return replace(keys(key("general.alignment", kind, value)), alignment=alignment)


# --- sound files


def test_a_sound_file_is_read() -> None:
    header = read(SOUND)
    assert header.architecture == "llama"
    assert header.parameters == 11
    assert header.tensor_bytes == {"F32": 44}
    assert header.weights_bytes == 44


@pytest.mark.parametrize("version", [2, 3])
def test_both_versions_that_engines_read_are_read(version: int) -> None:
    assert read(replace(SOUND, version=u32(version))).parameters == 11


def test_a_file_without_tensors_is_a_vocabulary() -> None:
    words = listed(TEXT, 3, text("a") + text(b"\xff") + text(""))
    draft = replace(keys(key("tokenizer.ggml.tokens", LIST, words)), tensors=(), data=b"")
    assert read(draft).vocabulary == 3


@pytest.mark.parametrize("alignment", [1, 8, 64])
def test_tensors_may_be_aligned_to_any_power_of_two(alignment: int) -> None:
    second = -(-32 // alignment) * alignment
    draft = replace(
        aligned(u32(alignment), alignment=alignment),
        tensors=(tensor("a", (4, 2), 0), tensor("b", (3,), second)),
        data=bytes(second + 12),
    )
    assert read(draft).parameters == 11


def test_every_type_of_value_can_be_passed_over() -> None:
    sizes = {UINT8: 1, 1: 1, 2: 2, 3: 2, UINT32: 4, INT32: 4, FLOAT32: 4, BOOL: 1, UINT64: 8, 11: 8, 12: 8}
    single = [key(f"one.{kind}", kind, bytes(size)) for kind, size in sizes.items()]
    many = [key(f"many.{kind}", LIST, listed(kind, 3, bytes(3 * size))) for kind, size in sizes.items()]
    long = key("long", LIST, listed(UINT8, 5_000, bytes(5_000)))
    assert read(keys(*single, *many, long, key("text", TEXT, text("x" * 100_000)))).parameters == 11


def test_the_last_tensor_needs_no_padding_behind_it() -> None:
    assert read(replace(SOUND, data=bytes(44))).parameters == 11


# --- malformed files


MALFORMED: dict[str, tuple[Draft | bytes, str]] = {
    "an empty file": (b"", "begins with b''"),
    "another magic": (replace(SOUND, magic=b"FUGG"), "no GGUF file"),
    "a page of a website": (b"<!DOCTYPE html><html>", "no GGUF file"),
    "version 0": (replace(SOUND, version=u32(0)), "version 0"),
    "version 1": (replace(SOUND, version=u32(1)), "version 1"),
    "a version to come": (replace(SOUND, version=u32(4)), "version 4"),
    "the other byte order": (replace(SOUND, version=struct.pack(">I", 3)), "big-endian"),
    "all tensors of the world": (replace(SOUND, tensor_count=-1), "18,446,744,073,709,551,615 tensors"),
    "more tensors than bytes": (replace(SOUND, tensor_count=60_000), "60,000 tensors"),
    "one tensor too many": (replace(SOUND, tensor_count=3, data=b""), "takes 8 bytes"),
    "all keys of the world": (replace(SOUND, key_count=-1), "18,446,744,073,709,551,615 keys"),
    "more keys than bytes": (replace(SOUND, key_count=9_000), "9,000 keys"),
    "a key without an end": (keys(u64(-1) + b"abcdefghijklmnop"), "key 2 has 18,446,744,073,709,551,615 bytes"),
    "a key without a name": (keys(key("", UINT32, u32(1))), "key 2 has 0 bytes"),
    "a key that is no UTF-8": (keys(key(b"\xff\xfe", UINT32, u32(1))), "key 2 is no UTF-8"),
    "a value of no type": (keys(key("a", 13, u32(1))), "type 13"),
    "a list of no type": (keys(key("a", LIST, listed(13, 1, u32(1)))), "type 13"),
    "a list of lists": (keys(key("a", LIST, listed(LIST, 1, listed(UINT8, 1, b"x")))), "items of a are lists"),
    "a key twice": (keys(key("a", UINT32, u32(1)), key("a", UINT32, u32(1))), "'a', which is there already"),
    "a list's key twice": (keys(key("a", LIST, listed(TEXT, 0, b"")), key("a", UINT32, u32(1))), "already"),
    "a text without an end": (keys(key("a", TEXT, u64(-1) + b"abc")), "a takes 18,446,744,073,709,551,615 bytes"),
    "a list without an end": (keys(key("a", LIST, listed(UINT64, 2**61 + 1, b""))), "a takes"),
    "a list whose size wraps": (keys(key("a", LIST, listed(UINT64, 2**63, b""))), "a takes"),
    "texts without an end": (keys(key("a", LIST, listed(TEXT, 2**61 + 1, b""))), "a claims"),
    "more texts than bytes": (keys(key("a", LIST, listed(TEXT, 7_000_000, b""))), "a claims 7,000,000 texts"),
    "a text in a list without an end": (keys(key("a", LIST, listed(TEXT, 2, text("x") + u64(HUGE)))), "beyond the end"),
    "alignment 0": (aligned(u32(0)), "0, which is no power of two"),
    "alignment 13": (aligned(u32(13)), "13, which is no power of two"),
    "alignment of another type": (aligned(u32(32), INT32), "of type 5, not 4"),
    "alignment as a list": (aligned(listed(UINT32, 1, u32(32)), LIST), "of type 9, not 4"),
    "alignment as a text": (aligned(text("32"), TEXT), "of type 8, not 4"),
    "alignment beyond the file": (aligned(u32(2**31)), "ends at byte"),
    "a long name of a tensor": (tensors(tensor("x" * 64, (4,), 0)), "has 64 bytes; 63 may be"),
    "a name of a tensor without an end": (tensors(u64(-1) + b"abc" * 20), "has 18,446,744,073,709,551,615 bytes"),
    "a name of a tensor that is no UTF-8": (tensors(tensor(b"\xff", (4,), 0)), "tensor 0 is no UTF-8"),
    "five dimensions": (tensors(tensor("a", (1, 1, 1, 1, 4), 0)), "5 dimensions"),
    "a negative dimension": (tensors(tensor("a", (-1,), 0)), "18,446,744,073,709,551,615 numbers"),
    "no numbers": (tensors(tensor("a", (4, 0), 0)), "0 numbers"),
    "more numbers than can be counted": (tensors(tensor("a", (2**33, 2**33), 0)), "numbers"),
    "a product that wraps to 1": (tensors(tensor("a", (2**32 + 1, 2**32 - 1, 2, 2**63), 0)), "numbers"),
    "more bytes than can be counted": (tensors(tensor("a", (2**31, 2**31), 0, kind=27)), "was cut off"),
    "a tensor of no type": (tensors(tensor("a", (32,), 0, kind=43)), "type 43"),
    "a tensor of a type withdrawn": (tensors(tensor("a", (32,), 0, kind=4)), "type 4"),
    "a broken block": (tensors(tensor("a", (31,), 0, kind=2)), "no whole blocks of 32 (Q4_0)"),
    "a block of no dimension": (tensors(tensor("a", (), 0, kind=2)), "no whole block of 32 (Q4_0)"),
    "a place beyond everything": (tensors(tensor("a", (4,), -1)), "not at 0: it leaves a gap"),
    "a place that is not aligned": (tensors(tensor("a", (4,), 0), tensor("b", (4,), 16)), "not at 32: it overlaps"),
    "a tensor on another": (tensors(tensor("a", (4,), 0), tensor("b", (4,), 0)), "overlaps"),
    "a gap between tensors": (tensors(tensor("a", (4,), 0), tensor("b", (4,), 64), data_bytes=99), "gap"),
    "a tensor twice": (tensors(tensor("a", (4,), 0), tensor("a", (4,), 32), data_bytes=64), "name of another"),
    "a file cut off": (replace(SOUND, data=bytes(43)), "b ends at byte"),
    "no data at all": (replace(SOUND, data=b""), "was cut off"),
    "sizes that add up to nothing": (tensors(tensor("a", (2**63 - 64,), 0, kind=24)), "was cut off"),
    "no architecture": (replace(SOUND, keys=(LAYERS,)), "no general.architecture"),
    "an architecture that is a number": (
        replace(SOUND, keys=(key("general.architecture", UINT32, u32(1)),)),
        "no general.architecture",
    ),
    "a million layers": (
        replace(SOUND, keys=(ARCHITECTURE, key("llama.block_count", UINT32, u32(10**6)))),
        "1,000,000; 512 may be",
    ),
    "less than no heads": (keys(key("llama.attention.head_count", INT32, u32(2**32 - 1))), "head_count is -1"),
    "half a head": (keys(key("llama.attention.head_count", FLOAT32, struct.pack("<f", 0.5))), "head_count is 0.5"),
    "a width of billions": (keys(key("llama.embedding_length", UINT64, u64(HUGE))), "embedding_length is 46116860"),
    "heads for one layer of two": (
        keys(key("llama.attention.head_count_kv", LIST, listed(UINT32, 1, u32(1)))),
        "1 entries for 2 layers",
    ),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_file_is_refused_with_what_is_wrong(kind: str) -> None:
    file, said = MALFORMED[kind]
    with pytest.raises(Malformed) as refused:
        read(file)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 1_000


def test_a_file_cut_anywhere_is_refused() -> None:
    for length in range(len(SOUND.file)):
        with pytest.raises(Malformed):
            read(SOUND.file[:length])


def test_a_file_that_shrinks_while_it_is_read_is_refused() -> None:
    with pytest.raises(Malformed, match="became shorter"):
        header_in(io.BytesIO(SOUND.file[:60]), len(SOUND.file))


RICH = keys(
    key("llama.attention.head_count", UINT32, u32(4)),
    key("llama.embedding_length", UINT32, u32(64)),
    key("tokenizer.ggml.tokens", LIST, listed(TEXT, 2, text("a") + text("b"))),
    key("tokenizer.ggml.scores", LIST, listed(FLOAT32, 2, bytes(8))),
    key("general.alignment", UINT32, u32(32)),
).file
NUMBERS = st.one_of(st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1))


@given(st.lists(st.tuples(st.integers(0, len(RICH) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_bytes_changed_give_a_header_or_a_refusal(changes: list[tuple[int, int]]) -> None:
    file = bytearray(RICH)
    for at, byte in changes:
        file[at] = byte
    _read_or_refused(bytes(file))


@given(st.integers(0, len(RICH) - 8), NUMBERS)
def test_any_number_anywhere_gives_a_header_or_a_refusal(at: int, number: int) -> None:
    _read_or_refused(RICH[:at] + u64(number) + RICH[at + 8 :])


@given(st.binary(max_size=300))
def test_whatever_follows_the_magic_gives_a_header_or_a_refusal(rest: bytes) -> None:
    _read_or_refused(b"GGUF" + u32(3) + rest)


def _read_or_refused(file: bytes) -> None:
    try:
        header = read(file)
    except Malformed:
        return
    assert header.weights_bytes <= len(file)
