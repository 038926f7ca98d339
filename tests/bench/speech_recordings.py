"""Whole recordings: how fast they are transcribed, and how many words are wrong, against faster-whisper called directly.

Both with the same model, settings and threads. Speed: five sentences of a novel per pair. Words: these, playing cards and a
telephone's prompts, each once.
"""

from __future__ import annotations

import tempfile
import time
import wave
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import recordings
from measure import Goal, Row, alternate, ratio_row
from recordings import RATE_HZ, Recording
from speech_daemon import EAR, FINE_EAR, path_of, service
from speech_direct import FILE, Hearing

from inferd import wer

PROMPTS: Final = 60
FEWER_PROMPTS: Final = 20
"""Of the model that takes three times as long."""
SPEED_GOAL: Final = Goal(0.97, at_least=True)
EQUAL: Final = Goal(0.0)

Hear = Callable[[Path], str]
Case = tuple[Path, Recording]


def run(pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench."""
    with tempfile.TemporaryDirectory() as folder, service(EAR, FINE_EAR) as daemon, daemon.client("files") as client:
        novels = _files(recordings.librivox(), Path(folder))
        others = _files([*recordings.cards(), *recordings.prompts(PROMPTS)], Path(folder))
        rows, notes = list[Row](), list[str]()
        for model, cases in ((EAR, [*novels, *others]), (FINE_EAR, [*novels, *others[: 5 + FEWER_PROMPTS]])):
            direct = Hearing(path_of(model))

            def ours(path: Path, model: str = model) -> str:
                return client.transcribe(path, model=model, language="en", timestamps="none").text

            def theirs(path: Path, direct: Hearing = direct) -> str:
                return direct.text(str(path), FILE)

            for warm in (ours, theirs):
                warm(novels[0][0])
            if model == EAR:
                rows.append(_speed(ours, theirs, novels, pairs))
            row, said = _words(model, ours, theirs, cases)
            rows.append(row)
            notes.append(said)
    return rows, notes


def _files(found: Iterable[Recording], folder: Path) -> list[Case]:
    """Return the recordings as wav files of 16 kHz."""
    cases = [(folder / f"{number}-{one.name}.wav", one) for number, one in enumerate(found)]
    for path, one in cases:
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
            file.writeframes(recordings.pcm(one).tobytes())
    return cases


def _speed(ours: Hear, theirs: Hear, cases: Sequence[Case], pairs: int) -> Row:
    duration_s = sum(len(recordings.pcm(one)) for _, one in cases) / RATE_HZ

    def speed(hear: Hear) -> float:
        began_s = time.monotonic()
        for path, _ in cases:
            hear(path)
        return duration_s / (time.monotonic() - began_s)

    taken = alternate(lambda _: speed(ours), lambda _: speed(theirs), pairs)
    return ratio_row("recordings transcribed / faster-whisper directly", "s of sound per s", taken, SPEED_GOAL)


def _words(model: str, ours: Hear, theirs: Hear, cases: Sequence[Case]) -> tuple[Row, str]:
    heard = [(one.text, ours(path), theirs(path)) for path, one in cases]
    mine = 100 * wer.rate((said, text) for said, text, _ in heard)
    direct = 100 * wer.rate((said, text) for said, _, text in heard)
    same = sum(wer.words(text) == wer.words(other) for _, text, other in heard)
    row = Row(f"WER, {model}", "%", mine, direct, "difference", mine - direct, None, EQUAL)
    return row, f"WER, {model}: {same} of {len(heard)} recordings with the same words on both sides"
