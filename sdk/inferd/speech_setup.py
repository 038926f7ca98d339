"""What the operations about speech tell: what was done, what is missing, how a sentence came back.

Covers: drafts, results, and what follows from the daemon's report. Does not cover waiting: `speech_set` and `aio_speech_set`
do. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from inferd import wire
from inferd.drafts import Draft, draft
from inferd.errors import InferenceError, InvalidRequest, LoadFailed, ModelFailed, ResourceBlocked
from inferd.messages import speech
from inferd.messages.events import Pulled, PullProgress
from inferd.messages.reports import Preflight, Problem, Warmed
from inferd.messages.speech import SpeechHealth, SpeechStage

if TYPE_CHECKING:
    from inferd.spoken import Speech
    from inferd.transcript import Transcript

OnPull = Callable[[str, PullProgress | Pulled], object]
"""Told of a model how far its download is."""

MAX_WER: Final = 0.25
"""What passes: one word of four. The smallest pair (whisper tiny.en, piper joe) gets the English sentence without
error, measured; a wrong language, rate or byte order leaves nearly none right."""

SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "en": "The weather is nice today, so we will walk to the river and have lunch there.",
        "de": "Das Wetter ist heute schön, deshalb gehen wir zum Fluss und essen dort zu Mittag.",
        "fr": "Il fait beau aujourd'hui, alors nous irons à la rivière et nous y mangerons.",
        "nl": "Het is vandaag mooi weer, dus we lopen naar de rivier en eten daar.",
    }
)
"""Language → what the smoke test says: everyday words, no names, no numbers. The languages of the curated voices."""

_BAD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "squeezed": "end programs that hold memory",
        "too_large": "choose a smaller model: `speech.set_policy`, or raise memory.budget_bytes of the config",
    }
)
"""Verdict of a preflight under which a model cannot be loaded now → what would help."""


@dataclass(frozen=True, slots=True)
class SpeechSetup:
    """What `prepare` or `install` did, and what is missing yet."""

    ready: bool
    """Nothing is missing; after `prepare` both models are loaded, too."""
    did: tuple[str, ...]
    """One sentence each."""
    missing: tuple[Problem, ...]
    needs: tuple[Preflight, ...]
    """Memory of the ear and of the voice, judged before anything was done."""
    health: SpeechHealth
    """How it is afterwards."""


@dataclass(frozen=True, slots=True)
class SmokeStep:
    """One half of the smoke test, and where its time went."""

    stage: str
    """voice or ear."""
    model: str
    sound_s: float
    """Length of what was spoken, or heard."""
    queue_s: float
    load_s: float
    first_event_s: float | None
    """From the call to the first sound, or the first words."""
    compute_s: float
    """Time that the model took."""
    latency_s: float
    """From the call to its end, as the app saw it."""


@dataclass(frozen=True, slots=True)
class SmokeTest:
    """A sentence that was spoken and heard again."""

    passed: bool
    said: str
    heard: str
    wer: float | None
    """Word error rate, 0 for every word as it was said; None: it did not come to that."""
    steps: tuple[SmokeStep, ...]
    missing: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a smoke test is to do."""

    said: str
    language: str | None
    """For the ear."""
    missing: tuple[Problem, ...]
    is_possible: bool
    """Nothing of what is missing keeps the local models from it."""


# --- drafts


def status_draft(*, timeout_s: float) -> Draft:
    """Return the request for what would hear and speak."""
    return draft(speech.SpeechStatus(), timeout_s=timeout_s)


def policy_draft(fields: Mapping[str, object], *, timeout_s: float) -> Draft:
    """Return the request to change the policy. Raises InvalidRequest naming the first wrong field."""
    return draft(wire.from_fields(fields, speech.SetSpeechPolicy), timeout_s=timeout_s)


# --- what is missing


def stages(health: SpeechHealth) -> tuple[tuple[str, SpeechStage], ...]:
    """Return the parts by name."""
    return ("ear", health.ear), ("voice", health.voice), ("vad", health.vad)


def chosen(health: SpeechHealth) -> tuple[str, ...]:
    """Return the models that were chosen: the ear's, the voice's."""
    return tuple(one.model for one in (health.ear, health.voice) if one.model)


def to_fetch(health: SpeechHealth) -> tuple[str, ...]:
    """Return the models whose files are not here."""
    return tuple(name for name in chosen(health) if not _stage_of(health, name).weights_ready)


def lacks(health: SpeechHealth, needs: Iterable[Preflight] = ()) -> tuple[Problem, ...]:
    """Return what keeps speech from working: packages, files, failures, memory."""
    parts = [Problem(name, one.problem, one.next, broken=True) for name, one in stages(health) if one.problem]
    blocked = (one for one in needs if one.verdict in _BAD)
    return (*parts, *(Problem(one.model, _numbers(one), _BAD[one.verdict], broken=True) for one in blocked))


def prepared(health: SpeechHealth, warmed: Sequence[Warmed], needs: tuple[Preflight, ...]) -> SpeechSetup:
    """Return what came of a preparation. `health`: after it."""
    did = tuple(f"loaded {one.model} in {one.load_s:.1f} s" for one in warmed if one.ready and one.load_s)
    failed = (Problem(one.name, one.message, _retry(one), broken=True) for one in warmed if not one.ready)
    warm = {one.model for one in warmed if one.ready}
    left = (
        Problem(
            name, f"{one.model} was loaded and has left again", "free memory: both do not fit together", broken=True
        )
        for name, one in stages(health)
        if one.model in warm and not one.loaded
    )
    missing = (*lacks(health), *failed, *left)
    return SpeechSetup(not missing, did, missing, needs, health)


def failure(about: str, error: InferenceError, step: str) -> Problem:
    """Return an error as something that is missing."""
    return Problem(about, error.message[:4096] or error.code, step, broken=True)


def installed(
    health: SpeechHealth, pulled: Sequence[Pulled], failed: Sequence[Problem], needs: tuple[Preflight, ...]
) -> SpeechSetup:
    """Return what came of an installation. `health`: after it."""
    did = tuple(f"fetched {one.model}, {one.size_bytes:,} bytes" for one in pulled)
    missing = (*lacks(health, needs), *failed)
    return SpeechSetup(not missing, did, missing, needs, health)


# --- the smoke test

FAILURES: Final = (LoadFailed, ModelFailed, ResourceBlocked, InvalidRequest)
"""What a model's failure in the test is told by; anything else is raised."""


def rehearsal(health: SpeechHealth, text: str | None, absent: tuple[Problem, ...]) -> Rehearsal:
    """Return what is to be said, its language, and what is against it. `absent`: what is not tested, and was asked for."""
    spoken = _languages(health.voice)
    known = _languages(health.ear)
    wanted = _primary(health.policy.language)
    language = wanted if wanted in spoken else spoken[0] if spoken else wanted
    said = text or SENTENCES.get(language or "en", "")
    broken = (*lacks(health), *_against(health, said, language, known))
    return Rehearsal(said, language or None, (*broken, *absent), is_possible=not broken)


def _against(health: SpeechHealth, said: str, language: str, known: tuple[str, ...]) -> Iterator[Problem]:
    if not said:
        what = f"there is no sentence in {language}, the language of {health.voice.model}"
        yield Problem("voice", what, "give a text", broken=True)
    if language and known and language not in known:
        what = f"{health.ear.model} does not know {language}, which {health.voice.model} speaks"
        yield Problem("ear", what, "`speech.set_policy(language=…)`, or name another ear or voice in it", broken=True)


def no_remote() -> Problem:
    """Return why nothing remote can be tested."""
    return Problem("remote", "this version serves no remote models", "test the local ones", broken=True)


def smoke(
    said: str, spoken: Speech | None, transcript: Transcript | None, missing: tuple[Problem, ...] = ()
) -> SmokeTest:
    """Return the result, of what there is of it."""
    from inferd import wer  # here: few apps test, and all import this

    rate = wer.rate([(said, transcript.text)]) if transcript else None
    steps = [_step("voice", spoken)] if spoken else []
    steps += [_step("ear", transcript)] if transcript else []
    heard = transcript.text.strip() if transcript else ""
    passed = not missing and rate is not None and rate <= MAX_WER
    return SmokeTest(passed, said, heard, rate, tuple(steps), missing)


def smoke_failed(plan: Rehearsal, spoken: Speech | None, error: InferenceError) -> SmokeTest:
    """Return the result of a test in which a model failed: the ear, if something was spoken."""
    failed = failure("ear" if spoken else "voice", error, "see `inferd speech health`")
    return smoke(plan.said, spoken, None, (*plan.missing, failed))


def _step(stage: str, done: Speech | Transcript) -> SmokeStep:
    return SmokeStep(
        stage,
        done.model,
        done.duration_s,
        done.queue_s,
        done.load_s,
        done.first_event_s,
        done.compute_s,
        done.latency_s,
    )


def _stage_of(health: SpeechHealth, model: str) -> SpeechStage:
    return health.ear if health.ear.model == model else health.voice


def _numbers(one: Preflight) -> str:
    word = one.verdict.replace("_", " ")
    return f"{one.model} is {word}: it needs {one.estimate_bytes:,} bytes, {one.free_bytes:,} of {one.limit_bytes:,} are free"


def _retry(one: Warmed) -> str:
    return "try again" if one.retry_after_s is None else f"try again after {one.retry_after_s:.0f} s"


def _languages(stage: SpeechStage) -> tuple[str, ...]:
    return tuple(map(_primary, stage.languages))


def _primary(tag: str) -> str:
    return tag.lower().partition("-")[0]
