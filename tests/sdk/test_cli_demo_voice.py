"""The demo by voice: who worked when, and its picture. The whole of it, with real models, is `make demo-voice`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd import AudioChunk, Blob
from inferd.voice import (
    AgentStartedSpeaking,
    FinalTranscript,
    PartialTranscript,
    ReplyDelta,
    Turn,
    TurnEnded,
    UserStartedSpeaking,
    UserStoppedSpeaking,
    VoiceEvent,
)
from inferd_cli import drawing
from inferd_cli.timeline import LANES, Record

BEGAN_S = 100.0
TURN = Turn(
    1,
    "What is the sea?",
    "Wet.",
    silence_ms=500,
    endpoint_s=BEGAN_S + 3.0,
    transcript_s=BEGAN_S + 3.2,
    reply_s=BEGAN_S + 2.8,
    first_text_s=BEGAN_S + 3.3,
    first_audio_s=BEGAN_S + 3.8,
    ended_s=BEGAN_S + 13.8,
)
SECOND = AudioChunk(Blob(bytes(16_000)), 8_000)
TOLD: tuple[tuple[float, VoiceEvent], ...] = (
    (0.4, UserStartedSpeaking(1)),
    (1.5, PartialTranscript(1, "What is", " the")),
    (3.0, UserStoppedSpeaking(1)),
    (3.2, FinalTranscript(1, "What is the sea?")),
    (3.3, ReplyDelta(1, "We")),
    (3.6, ReplyDelta(1, "t.")),
    (3.8, AgentStartedSpeaking(1, 1)),
    *((3.8 + at, SECOND) for at in range(10)),
    (13.8, TurnEnded(TURN)),
)


def record(told: tuple[tuple[float, VoiceEvent], ...] = TOLD) -> Record:
    made = Record(BEGAN_S, 2.6)
    for at_s, event in told:
        made.add(event, BEGAN_S + at_s)
    return made


def test_each_part_has_its_bars_from_what_the_session_told() -> None:
    timeline = record().timeline()
    bars = {(one.lane, one.shade): (round(one.start_s, 3), round(one.end_s, 3)) for one in timeline.bars}
    assert bars == {
        ("microphone", "full"): (0.0, 2.6),
        ("VAD", "full"): (0.4, 2.5),
        ("VAD", "light"): (2.5, 3.0),
        ("ear", "light"): (0.4, 3.0),
        ("ear", "full"): (3.0, 3.2),
        ("text", "light"): (2.8, 3.3),
        ("text", "full"): (3.3, 3.6),
        ("voice", "light"): (3.3, 3.8),
        ("voice", "full"): (3.8, 12.8),
        ("playback", "full"): (3.8, 13.8),
    }
    assert timeline.response_s == pytest.approx(1.3)
    assert [(round(one.at_s, 3), one.label) for one in timeline.marks if one.lane == "ear"] == [(1.5, "What is the")]
    assert (timeline.asked, timeline.answered) == ("What is the sea?", "Wet.")


@given(st.lists(st.sampled_from(TOLD), max_size=8))
def test_whatever_is_missing_no_bar_runs_backwards_or_has_no_lane(told: list[tuple[float, VoiceEvent]]) -> None:
    timeline = record(tuple(told)).timeline()
    for bar in timeline.bars:
        assert bar.lane in LANES
        assert bar.start_s < bar.end_s <= timeline.end_s


@pytest.mark.parametrize("told", [TOLD, TOLD[:3], ()])
def test_the_picture_is_drawn_of_a_whole_turn_and_of_a_broken_one(
    told: tuple[tuple[float, VoiceEvent], ...], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    drawing.draw(record(told).timeline(), tmp_path / "turn.png")
    assert (tmp_path / "turn.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_without_matplotlib_there_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError):
        drawing.draw(record().timeline(), tmp_path / "turn.png")
