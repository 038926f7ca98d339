"""Files of every format and of none: decoded whole, fed in pieces, and hostile."""

from __future__ import annotations

import errno
import io
import os
import tempfile
import threading
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy")
av = pytest.importorskip("av")

from inferd.errors import InvalidRequest, ResourceBlocked  # noqa: E402 - behind the question whether they are there
from inferd.messages.bounds import Blob  # noqa: E402
from inferd.messages.control import Feed  # noqa: E402
from inferd_actors.engines.faster_whisper.hearing import RATE_HZ  # noqa: E402
from inferd_actors.engines.faster_whisper.intake import MAX_S, Intake  # noqa: E402
from inferd_actors.engines.faster_whisper.library.decoding import (  # noqa: E402
    Resampler,
    decoded,
    decoded_samples,
)
from inferd_actors.engines.faster_whisper.library.vad import Vad  # noqa: E402
from inferd_actors.engines.faster_whisper.spool import AHEAD_BYTES, Abandoned, Spool  # noqa: E402

SECONDS = 2
FORMATS = [
    ("wav", "pcm_s16le"),
    ("flac", "flac"),
    ("mp3", "libmp3lame"),
    ("mp4", "aac"),
    ("ogg", "libopus"),
]


def tone(for_s: float, rate_hz: int) -> Any:  # noqa: ANN401 - an array
    """Return a tone that swells."""
    time_s = np.arange(int(for_s * rate_hz)) / rate_hz
    return (np.sin(2 * np.pi * 440 * time_s) * time_s / for_s * 12_000).astype(np.int16)


def file_of(kind: str, codec: str, *, for_s: float = SECONDS, options: dict[str, str] | None = None) -> bytes:
    """Return a sound file of 48 kHz, stereo."""
    rate_hz, layout = 48_000, "stereo"
    with tempfile.NamedTemporaryFile() as target:  # one with its index in front is opened a second time for it
        with av.open(target.name, "w", format=kind, options=options or {}) as file:
            stream = file.add_stream(codec, rate=rate_hz, layout=layout)
            frame = av.AudioFrame.from_ndarray(tone(for_s, rate_hz)[None], format="s16", layout="mono")
            frame.sample_rate = rate_hz
            resampler = av.AudioResampler(
                format=stream.format.name, layout=layout, rate=rate_hz, frame_size=stream.frame_size or 4_096
            )
            for one in (*resampler.resample(frame), *resampler.resample(None)):
                file.mux(stream.encode(one))
            file.mux(stream.encode(None))
        return Path(target.name).read_bytes()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {f"{kind}/{codec}": file_of(kind, codec) for kind, codec in FORMATS}


def sound_of(source: Any) -> Any:  # noqa: ANN401 - both ends
    return np.concatenate(list(decoded(source)))


@pytest.mark.parametrize("name", [f"{kind}/{codec}" for kind, codec in FORMATS])
def test_every_format_becomes_the_same_sound(files: dict[str, bytes], name: str) -> None:
    sound, expected = (
        sound_of(io.BytesIO(files[name])),
        tone(SECONDS, RATE_HZ) / 32_768 / 2**0.5,
    )  # made stereo by power
    assert sound.dtype == np.float32
    assert len(sound) / RATE_HZ == pytest.approx(SECONDS, abs=0.15)
    spectrum = np.abs(np.fft.rfft(sound[: SECONDS * RATE_HZ - 4_000]))
    assert np.argmax(spectrum) * RATE_HZ / (SECONDS * RATE_HZ - 4_000) == pytest.approx(440, abs=2)
    assert np.std(sound) == pytest.approx(np.std(expected), rel=0.15)


@pytest.mark.parametrize("name", [f"{kind}/{codec}" for kind, codec in FORMATS])
def test_a_file_that_comes_in_pieces_is_the_same_sound(files: dict[str, bytes], name: str) -> None:
    spool, data, found = Spool(), files[name], []
    reader = threading.Thread(target=lambda: found.append(sound_of(spool)))
    reader.start()
    for at in range(0, len(data), 7_001):
        spool.feed(data[at : at + 7_001])
    spool.finish()
    reader.join(60)
    spool.close()
    assert_same(found[0], sound_of(io.BytesIO(data)))


def assert_same(fed: Any, whole: Any) -> None:  # noqa: ANN401 - arrays
    """An mp3's last frame, 1,152 samples at 48 kHz, may be more or less: its padding is known by the file's size."""
    assert len(fed) == pytest.approx(len(whole), abs=384)
    assert np.array_equal(fed[: len(whole) - 384], whole[:-384])


class Trickle(Spool):
    """Fed by its own decoder, no sooner than it has to be."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data
        self.fed = 0

    def read(self, size: int, /) -> bytes:
        while self.fed <= self.tell() and self.fed < len(self._data):
            piece = self._data[self.fed : self.fed + 4_000]
            self.feed(piece)
            self.fed += len(piece)
        if self.fed == len(self._data):
            self.finish()
        return super().read(size)


@pytest.mark.parametrize("name", [f"{kind}/{codec}" for kind, codec in FORMATS])
def test_a_file_is_decoded_as_it_comes_and_an_m4a_once_its_index_has(name: str) -> None:
    data = file_of(*name.split("/"), for_s=15)
    spool = Trickle(data)
    blocks = decoded(spool)
    first = next(block for block in blocks if len(block))
    assert (spool.fed < len(data)) == (name != "mp4/aac")
    sound, whole = np.concatenate([first, *blocks]), sound_of(io.BytesIO(data))
    spool.close()
    assert_same(sound, whole)


def test_an_m4a_with_its_index_in_front_is_the_same_sound() -> None:
    data = file_of("mp4", "aac", options={"movflags": "faststart"})
    assert data.index(b"moov") < data.index(b"mdat")
    spool = Trickle(data)
    assert np.array_equal(sound_of(spool), sound_of(io.BytesIO(data)))
    spool.close()


def test_a_disk_that_is_full_refuses_the_sound_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else the engine hears goes on: its loop knows such errors."""
    spool = Spool()
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(ResourceBlocked, match="No space") as refusal:
        spool.feed(b"sound")
    assert refusal.value.details["field"] == "body.audio"
    spool.close()
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(ResourceBlocked):
        Spool()


def full(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000])
def test_samples_of_any_rate_become_16_khz(rate_hz: int) -> None:
    pcm = tone(SECONDS, rate_hz).tobytes()
    sound = np.concatenate(list(decoded_samples(io.BytesIO(pcm), rate_hz)))
    assert len(sound) == pytest.approx(SECONDS * RATE_HZ, abs=40)
    assert np.argmax(np.abs(np.fft.rfft(sound))) / SECONDS == pytest.approx(440, abs=2)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 9_000), max_size=12), st.sampled_from([8_000, 16_000, 44_100]))
def test_a_stream_resampled_in_pieces_is_the_stream_resampled_at_once(cuts: list[int], rate_hz: int) -> None:
    samples = tone(0.3, rate_hz)
    whole, pieces = Resampler(rate_hz), Resampler(rate_hz)
    expected = np.concatenate([whole.push(samples), whole.flush()])
    edges = [0, *sorted(min(cut, len(samples)) for cut in cuts), len(samples)]
    parts = [pieces.push(samples[first:end]) for first, end in pairwise(edges)]
    found = np.concatenate([*parts, pieces.flush()])
    assert len(found) == pytest.approx(len(expected), abs=2)
    shared = min(len(found), len(expected))
    assert np.abs(found[:shared] - expected[:shared]).max(initial=0.0) < 1e-3


def refused(data: bytes) -> str:
    with pytest.raises(InvalidRequest) as refusal:
        sound_of(io.BytesIO(data))
    assert refusal.value.details["field"] == "body.audio"
    return refusal.value.message


@pytest.mark.parametrize(
    "data",
    [
        b"no sound at all" * 50,
        b"\x00" * 5_000,
        os.urandom(5_000),
        b"RIFF\xff\xff\xff\xffWAVEfmt ",
        b"fLaC" + b"\xff" * 900,
        b"ID3\x04" + b"\x7f" * 99,
    ],
)
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    refused(data)


def test_a_list_of_other_files_is_no_sound(tmp_path: Path) -> None:
    """FFmpeg would open what such a file names, on this machine or any other."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(file_of("wav", "pcm_s16le"))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    concatenation = f"ffconcat version 1.0\nfile '{secret}'\n"
    for text in (playlist, concatenation):
        refused(text.encode())


def test_a_damaged_file_is_heard_as_far_as_it_goes(files: dict[str, bytes]) -> None:
    for name in ("mp3/libmp3lame", "flac/flac"):
        data = bytearray(files[name])
        data[len(data) // 2 : len(data) // 2 + 200] = b"\x00" * 200
        assert len(sound_of(io.BytesIO(bytes(data)))) > RATE_HZ


@settings(max_examples=40)
@given(st.data())
def test_changed_bytes_are_sound_or_a_refusal_and_nothing_else(data: st.DataObject) -> None:
    kind, codec = data.draw(st.sampled_from(FORMATS))
    sound = bytearray(_cached(kind, codec))
    for _ in range(data.draw(st.integers(1, 12))):
        sound[data.draw(st.integers(0, min(len(sound), 3_000) - 1))] = data.draw(st.integers(0, 255))
    with suppress(InvalidRequest):
        for _ in decoded(io.BytesIO(bytes(sound))):
            pass


_FILES: dict[tuple[str, str], bytes] = {}


def _cached(kind: str, codec: str) -> bytes:
    if (kind, codec) not in _FILES:
        _FILES[kind, codec] = file_of(kind, codec)
    return _FILES[kind, codec]


def test_half_a_sample_at_the_end_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="2 bytes each"):
        list(decoded_samples(io.BytesIO(b"\x01\x02\x03"), 16_000))


def test_the_window_follows_the_decoder_and_not_the_feed() -> None:
    spool = Spool()
    assert spool.window() == (4_096, AHEAD_BYTES)
    spool.feed(b"\x00" * AHEAD_BYTES)
    assert spool.window() is None
    assert spool.read(AHEAD_BYTES // 2) == b"\x00" * (AHEAD_BYTES // 2)
    window = spool.window()
    assert window is not None
    assert window[1] == AHEAD_BYTES // 2 + AHEAD_BYTES
    spool.close()


def test_a_decoder_that_waits_for_bytes_nobody_wants_is_let_go() -> None:
    spool = Spool()
    ended: list[BaseException] = []

    def read() -> None:
        try:
            spool.read(10)
        except Abandoned as reason:
            ended.append(reason)

    reader = threading.Thread(target=read)
    reader.start()
    spool.abandon()
    reader.join(30)
    spool.close()
    assert len(ended) == 1


def test_a_stream_takes_a_week_and_says_so() -> None:
    """Later moments cannot be written on the wire."""
    intake = Intake(RATE_HZ, Resampler(RATE_HZ), Vad().voice())
    intake.fed_bytes = MAX_S * RATE_HZ * 2 - 2
    intake.feed(Feed(1, 1, data=Blob(b"\0\0")), 0.0)
    with pytest.raises(InvalidRequest, match="604,800 s") as refusal:
        intake.feed(Feed(1, 2, data=Blob(b"\0\0")), 0.0)
    assert refusal.value.details == {"field": "data", "limit": MAX_S}
