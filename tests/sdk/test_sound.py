"""Sound as apps have it: what is taken, what it becomes, and what is refused with which words."""

from __future__ import annotations

import array
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import inferd
from inferd.bulk import INLINE_BYTES
from inferd.messages.events import Granted
from inferd.sound_file import opened
from inferd.uplink import Sound, Uplink, Writing
from inferd.wire import FROM_APP, decode

numpy = pytest.importorskip("numpy")


def fed(audio: object, rate_hz: int | None = None) -> bytes:
    """Return all that would be fed."""
    return b"".join(opened(audio, rate_hz).blocks)


def samples(pcm: bytes) -> list[int]:
    return list(array.array("h", pcm))


@given(st.binary(min_size=1, max_size=300_000))
def test_a_file_in_memory_is_fed_as_it_is(data: bytes) -> None:
    assert fed(data) == fed(bytearray(data)) == fed(memoryview(data)) == data


@pytest.mark.parametrize("size_bytes", [1, INLINE_BYTES, INLINE_BYTES + 1, 3 * INLINE_BYTES + 7])
def test_a_file_is_fed_as_it_is_and_a_short_one_goes_inside_the_request(size_bytes: int, tmp_path: Path) -> None:
    data = os.urandom(size_bytes)
    (tmp_path / "a.wav").write_bytes(data)
    assert fed(tmp_path / "a.wav") == fed(str(tmp_path / "a.wav")) == data
    assert opened(tmp_path / "a.wav", None).whole() == (data if size_bytes <= INLINE_BYTES else None)


@pytest.mark.parametrize("kind", ["<i2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (1, -1)])
def test_arrays_of_one_channel_become_int16(kind: str, shape: tuple[int, ...]) -> None:
    wave = numpy.array([0, 1, -1, 0.5, 1.25]) if kind != "<i2" else numpy.array([0, 32767, -32767, 16384, 32767])
    assert samples(fed(wave.astype(kind).reshape(shape), 16_000)) == [0, 32767, -32767, 16384, 32767]


def test_every_second_sample_of_an_array_is_an_array_too() -> None:
    assert samples(fed(numpy.arange(10, dtype="i2")[::2], 8_000)) == [0, 2, 4, 6, 8]
    assert samples(fed(array.array("h", [1, 2, 3]), 8_000)) == [1, 2, 3]


def test_an_array_longer_than_a_block_comes_whole() -> None:
    wave = numpy.linspace(-1, 1, 100_000, dtype="f4")
    expected = numpy.rint(wave * 32767)
    assert numpy.abs(numpy.frombuffer(fed(wave, 16_000), "<i2") - expected).max() <= 1


@pytest.mark.parametrize(
    ("audio", "rate_hz", "said"),
    [
        (b"", None, r"^audio: expected sound, got nothing"),
        (b"", 16_000, r"^audio: expected sound, got nothing"),
        (b"\0\0\0", 16_000, r"^audio: expected int16 samples, got 3 bytes: an odd number"),
        (numpy.zeros(0, "f4"), 16_000, r"^audio: expected sound, got nothing"),
        (numpy.zeros(4, "f4"), None, r"^rate_hz: samples have no header"),
        (numpy.zeros((4, 2), "f4"), 16_000, r"^audio: expected one channel, got an array of shape \(4, 2\)"),
        (numpy.zeros(4, "i4"), 16_000, r"^audio: expected int16 or float32 samples"),
        (numpy.zeros(4, ">i2" if sys.byteorder == "little" else "<i2"), 16_000, r"^audio: .*this machine's byte order"),
        (numpy.array([0, float("nan")], "f4"), 16_000, r"^audio\[1\]: expected a sample from -1 to 1, got nan$"),
        (numpy.array([0, 1, 3000.0], "f4"), 16_000, r"^audio\[2\]: .* got 3000.0: divide by 32,768 first"),
        ([0, 0], 16_000, r"^audio: expected a path, bytes, or an array of int16 or float32 samples, got list"),
        (None, None, r"^audio: expected a path, bytes"),
    ],
)
def test_what_is_no_sound_is_refused_with_what_it_is(audio: object, rate_hz: int | None, said: str) -> None:
    with pytest.raises(inferd.InvalidRequest, match=said):
        fed(audio, rate_hz)


def test_a_path_that_cannot_be_read_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "odd.pcm").write_bytes(b"\0\0\0")
    (tmp_path / "empty.wav").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, rate_hz, said in (
        ("none.wav", None, "none.wav': no such file"),
        ("", None, "': a folder"),
        ("pipe", None, "pipe': no ordinary file"),
        ("empty.wav", None, "got nothing: 0 bytes"),
        ("odd.pcm", 16_000, "got 3 bytes: an odd number"),
        ("a\0b", None, "embedded null"),
        ("x" * 300, None, "File name too long"),
    ):
        with pytest.raises(inferd.InvalidRequest, match=said) as refused:
            opened(f"{tmp_path}/{name}", rate_hz)
        assert refused.value.details["field"] == "audio"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_the_app_may_not_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    (tmp_path / "secret.wav").chmod(0)
    with pytest.raises(inferd.InvalidRequest, match="Permission denied"):
        opened(tmp_path / "secret.wav", None)


# --- cutting


@given(
    st.one_of(
        st.binary(max_size=5_000).map(lambda data: Sound(data[: len(data) // 2 * 2], step_bytes=1_600)),
        st.binary(max_size=5_000).map(lambda data: Sound(data, step_bytes=700, unit_bytes=1)),
        st.text(max_size=500).filter(lambda text: text.isprintable()).map(Writing),
    ),
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 2_000)), max_size=30),
)
def test_pieces_are_whole_units_in_order_inside_every_window(
    what: Sound | Writing, windows: list[tuple[int, int]]
) -> None:
    uplink, limit_seq, limit_bytes, sent_bytes, offset, pieces = Uplink(), 0, 0, 0, 0, []
    for more_seq, more_bytes in [*windows, (5_000, 50_000)]:
        limit_seq, limit_bytes = limit_seq + more_seq, limit_bytes + more_bytes
        uplink.widen(Granted(limit_seq, limit_bytes))
        while what and (command := uplink.feed(7, what)):
            piece = decode(command.frames, FROM_APP)
            pieces.append(piece)
            assert (piece.request, piece.seq, piece.offset) == (7, len(pieces), offset)
            sent_bytes += len(piece.data or b"") + len((piece.text or "").encode())
            offset += what.units(piece)
            assert piece.seq <= limit_seq
            assert sent_bytes <= limit_bytes
    assert not what
    whole = what._data if isinstance(what, Sound) else what._text.encode()
    assert b"".join(bytes(piece.data or b"") or (piece.text or "").encode() for piece in pieces) == whole
