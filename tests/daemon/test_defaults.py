"""Which model answers a request that names none: of text by what is stored, of speech by policy, language and nearness."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.messages.speech import SpeechPolicy
from inferd_daemon.catalogue import ModelId, Schema
from inferd_daemon.catalogue.schema import Capability, Engine
from inferd_daemon.catalogue.sources import FileSource
from inferd_daemon.defaults import (
    EAR,
    NEARNESS,
    STAGES,
    VOICE,
    Candidate,
    Choice,
    default_model,
    language_rank,
    speech_model,
)


def model(name: str, engine: Engine, capability: Capability, *languages: str, size: int | None = None) -> Schema:
    return Schema(
        id=ModelId.parse(name),
        name=name,
        engine=engine,
        source=FileSource("/m"),
        capabilities=(capability,),
        languages=languages,
        parameters=size,
    )


TEXT = model("a/text:1", "llama_cpp", "generate")
OTHER = model("a/other:1", "llama_cpp", "generate")
SMALL = model("a/ear:small", "faster_whisper", EAR, "en", size=40)
LARGE = model("a/ear:large", "faster_whisper", EAR, "en", "de", size=900)
VOICE_US = model("a/voice:us", "piper", VOICE, "en-US", size=16)
VOICE_DE = model("a/voice:de", "piper", VOICE, "de-DE", size=16)
ALL = (TEXT, OTHER, SMALL, LARGE, VOICE_US)


@pytest.mark.parametrize(
    ("stored", "configured", "chosen"),
    [
        ((), None, TEXT),
        ((OTHER, SMALL), None, OTHER),
        ((TEXT, OTHER), None, TEXT),
        ((OTHER,), "mine", "mine"),
        ((SMALL,), None, TEXT),
    ],
)
def test_text_goes_to_a_model_that_writes(
    stored: tuple[Schema, ...], configured: str | None, chosen: Schema | str
) -> None:
    here = {one.id for one in stored}
    asked = default_model(ALL, here.__contains__, configured=configured, starter=TEXT.id)
    assert asked == (chosen if isinstance(chosen, str) else str(chosen.id))


def test_whole_and_streamed_speech_have_the_same_stage() -> None:
    assert STAGES == {"transcribe": EAR, "transcribe_stream": EAR, "synthesize": VOICE, "synthesize_stream": VOICE}


@pytest.mark.parametrize(
    ("known", "wanted", "rank"),
    [
        ((), "", 0),
        (("en",), "", 0),
        (("en", "de"), "de", 0),
        (("en-US",), "en", 0),
        (("en",), "EN-us", 0),
        (("en-US",), "en-GB", 1),
        ((), "de", 2),
        (("en",), "de", 3),
        (("eng",), "en", 3),
    ],
)
def test_a_language_is_known_by_its_tag_at_large_perhaps_or_not(known: tuple[str, ...], wanted: str, rank: int) -> None:
    assert language_rank(known, wanted) == rank


def near(schema: Schema, at: int, *, fits: bool = True, failed: bool = False) -> Candidate:
    return Candidate(schema, NEARNESS[at], fits, failed)


@pytest.mark.parametrize(
    ("there", "policy", "language", "chosen", "why"),
    [
        ((near(SMALL, 2), near(LARGE, 2)), SpeechPolicy(), None, SMALL, "none that would do is stored"),
        ((near(SMALL, 2), near(LARGE, 1)), SpeechPolicy(), None, LARGE, "is stored"),
        ((near(SMALL, 1), near(LARGE, 0)), SpeechPolicy(), None, LARGE, "is loaded"),
        ((near(SMALL, 0), near(LARGE, 1)), SpeechPolicy(prefer="quality"), None, LARGE, "the largest of 2"),
        ((near(SMALL, 0), near(LARGE, 2)), SpeechPolicy(prefer="quality"), None, SMALL, "is loaded"),
        ((near(SMALL, 0), near(LARGE, 1)), SpeechPolicy(), "de", LARGE, "knows de"),
        ((near(SMALL, 0), near(LARGE, 1)), SpeechPolicy(language="de"), "en", SMALL, "knows en"),
        ((near(SMALL, 0), near(LARGE, 1)), SpeechPolicy(), "fr", SMALL, "no model on the list knows fr"),
        ((near(SMALL, 1), near(LARGE, 1, fits=False)), SpeechPolicy(prefer="quality"), None, SMALL, "is stored"),
        ((near(SMALL, 1, failed=True), near(LARGE, 2)), SpeechPolicy(), None, LARGE, "on the list"),
        ((near(SMALL, 1, fits=False),), SpeechPolicy(), None, SMALL, "does not fit into memory now"),
    ],
)
def test_the_ear_is_the_best_that_knows_the_language_and_the_reason_says_so(
    there: tuple[Candidate, ...], policy: SpeechPolicy, language: str | None, chosen: Schema, why: str
) -> None:
    choice = speech_model(EAR, there, policy, language)
    assert choice is not None
    assert choice.model == str(chosen.id)
    assert why in choice.reason


def test_the_voice_goes_by_the_policys_language() -> None:
    there = (near(VOICE_US, 0), near(VOICE_DE, 2), near(LARGE, 0))
    for language, voice in (("", VOICE_US), ("en-GB", VOICE_US), ("de", VOICE_DE)):
        choice = speech_model(VOICE, there, SpeechPolicy(language=language))
        assert choice is not None
        assert choice.model == str(voice.id)


SCHEMAS = st.builds(
    lambda at, stage, languages, size: model(f"a/m:{at}", "piper", stage, *languages, size=size),
    st.integers(0, 10**9),
    st.sampled_from([EAR, VOICE]),
    st.lists(st.sampled_from(["en", "en-US", "de", "de-DE", "fr"]), max_size=3),
    st.none() | st.integers(1, 5),
)
CANDIDATES = st.builds(Candidate, SCHEMAS, st.sampled_from(NEARNESS), st.booleans(), st.booleans())
POLICIES = st.builds(
    SpeechPolicy,
    language=st.sampled_from(["", "en", "de-AT", "ja"]),
    prefer=st.sampled_from(["quality", "latency"]),
    local_only=st.booleans(),
)
CROWDS = st.lists(CANDIDATES, max_size=6, unique_by=lambda one: one.schema.id)
LANGUAGES = st.sampled_from([None, "en", "de", "fr-CA"])


@given(CROWDS, POLICIES, LANGUAGES, st.sampled_from(["joe", "gone"]))
def test_the_model_that_the_policy_names_is_taken_whatever_there_is(
    crowd: list[Candidate], policy: SpeechPolicy, language: str | None, name: str
) -> None:
    named = replace(policy, ear=name)
    assert speech_model(EAR, crowd, named, language) == Choice(name, "set by the policy")
    assert speech_model(VOICE, crowd, named, language) == speech_model(VOICE, crowd, policy, language)


@given(CROWDS, POLICIES, LANGUAGES)
def test_somebody_is_chosen_who_serves_and_nobody_knows_the_language_better(
    crowd: list[Candidate], policy: SpeechPolicy, language: str | None
) -> None:
    choice = speech_model(EAR, crowd, policy, language)
    able = {str(one.schema.id): one for one in crowd if EAR in one.schema.capabilities}
    assert (choice is None) == (not able)
    if choice is None:
        return
    best, wanted = able[choice.model], language or policy.language
    assert choice.reason

    def order(one: Candidate) -> tuple[int, bool, bool]:
        return language_rank(one.schema.languages, wanted), one.failed, not one.fits

    assert order(best) == min(map(order, able.values()))
    alike = [one for one in able.values() if order(one) == order(best)]
    if policy.prefer == "latency":
        assert NEARNESS.index(best.nearness) == min(NEARNESS.index(one.nearness) for one in alike)
    else:
        assert best.nearness != "listed" or all(one.nearness == "listed" for one in alike)


@given(CROWDS, POLICIES, LANGUAGES)
def test_a_choice_that_is_loaded_stays_the_choice(
    crowd: list[Candidate], policy: SpeechPolicy, language: str | None
) -> None:
    choice = speech_model(EAR, crowd, policy, language)
    if choice is not None:
        loaded = [
            replace(one, nearness="loaded", fits=True, failed=False) if str(one.schema.id) == choice.model else one
            for one in crowd
        ]
        again = speech_model(EAR, loaded, policy, language)
        assert again is not None
        assert again.model == choice.model


def test_what_runs_elsewhere_is_not_taken_while_all_stays_here() -> None:
    far = Candidate(model("a/far:1", "remote", EAR), "loaded")
    assert speech_model(EAR, [far], SpeechPolicy()) is None
