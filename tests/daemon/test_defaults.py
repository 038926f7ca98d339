"""Which model answers a request that names none: by what is asked and what is stored."""

from __future__ import annotations

import pytest

from inferd_daemon.catalogue import ModelId, Schema
from inferd_daemon.catalogue.schema import Capability, Engine
from inferd_daemon.catalogue.sources import FileSource
from inferd_daemon.defaults import default_model


def model(name: str, engine: Engine, capability: Capability) -> Schema:
    return Schema(id=ModelId.parse(name), name=name, engine=engine, source=FileSource("/m"), capabilities=(capability,))


TEXT = model("a/text:1", "llama_cpp", "generate")
OTHER = model("a/other:1", "llama_cpp", "generate")
EAR = model("a/ear:1", "faster_whisper", "transcribe")
FINE_EAR = model("a/ear:2", "faster_whisper", "transcribe")
VOICE = model("a/voice:1", "piper", "synthesize")
ALL = (TEXT, OTHER, EAR, FINE_EAR, VOICE)


@pytest.mark.parametrize(
    ("op", "stored", "configured", "chosen"),
    [
        ("generate", (), None, TEXT),
        ("generate", (OTHER, EAR), None, OTHER),
        ("generate", (TEXT, OTHER), None, TEXT),
        ("generate", (OTHER,), "mine", "mine"),
        ("tokenize", (), "mine", "mine"),
        ("transcribe", (), "mine", EAR),
        ("transcribe_stream", (FINE_EAR, TEXT), None, FINE_EAR),
        ("transcribe", (EAR, FINE_EAR), None, EAR),
        ("synthesize", (TEXT,), None, VOICE),
        ("synthesize_stream", (VOICE,), None, VOICE),
        ("loopback", (EAR,), None, TEXT),
    ],
)
def test_a_request_goes_to_a_model_that_serves_it(
    op: str, stored: tuple[Schema, ...], configured: str | None, chosen: Schema | str
) -> None:
    here = {one.id for one in stored}
    asked = default_model(op, ALL, here.__contains__, configured=configured, starter=TEXT.id)
    assert asked == (chosen if isinstance(chosen, str) else str(chosen.id))
