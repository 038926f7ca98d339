"""Which model answers a request that names none.

Covers: text, by what is configured and stored; speech, by the policy, the request's language and how every candidate is now.
Pure. Does not cover routing by the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from inferd.messages.speech import SpeechPolicy
from inferd_daemon.catalogue import ModelId, Schema
from inferd_daemon.catalogue.schema import STREAMED, Capability

WRITES: Final = "generate"
"""What the configured default and the starter are for."""

EAR: Final[Capability] = "transcribe"
VOICE: Final[Capability] = "synthesize"
STAGES: Final[Mapping[str, Capability]] = MappingProxyType(
    {op: stage for stage in (EAR, VOICE) for op in (stage, STREAMED[stage])}
)
"""Wire name of an operation → the stage of speech that serves it."""

Nearness = Literal["loaded", "stored", "listed"]
NEARNESS: Final[tuple[Nearness, ...]] = ("loaded", "stored", "listed")
"""From the nearest: how far a model is from its first answer."""
NEARNESS_WORDS: Final[Mapping[Nearness, str]] = MappingProxyType(
    {"loaded": "is loaded", "stored": "is stored", "listed": "is on the list, and none that would do is stored"}
)
LANGUAGE_WORDS: Final = (
    "knows {}",
    "knows the language of {}",
    "nobody told whether it knows {}",
    "no model on the list knows {}",
)
"""By `language_rank`."""
UNKNOWN_PARAMETERS: Final = 10**15
"""Of a model whose size nobody told: behind all others, by either preference."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that could serve a request, as it is now."""

    schema: Schema
    nearness: Nearness
    fits: bool = True
    """Into memory now, as far as is known."""
    failed: bool = False
    """Its last load or process failed, and it has not come back since."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The model of requests that name none, and why it is this one."""

    model: str
    """Its id, or the name that the policy gives."""
    reason: str


def default_model(
    schemas: Sequence[Schema],
    is_stored: Callable[[ModelId], bool],
    *,
    configured: str | None,
    starter: ModelId,
) -> str:
    """Return the id or name of the model that writes: the configured one, the only stored one, or the starter.

    What no model serves goes there too, and admission says what is wrong.
    """
    able = [one for one in schemas if one.engine != "echo" and one.is_served and WRITES in one.capabilities]
    stored = [one for one in able if is_stored(one.id)]
    return configured or str(stored[0].id if len(stored) == 1 else starter)


def speech_model(
    stage: Capability, candidates: Sequence[Candidate], policy: SpeechPolicy, language: str | None = None
) -> Choice | None:
    """Return who hears or speaks: the model that the policy names, else the best of the candidates. None: there is none.

    `language`: of the request; None: the policy's. The best, by the first of these that tells two apart:
    1. It knows the language: this very tag, the language at large, not known whether, no.
    2. It has not failed, and it fits into memory.
    3. It is near. "latency": loaded before stored before listed. "quality": what is here before what is not; whether it is
       loaded decides between equals alone, for else the first that was ever loaded would stay the choice.
    4. "latency": the smallest; "quality": the largest. Then the place on the list.
    """
    named = policy.ear if stage == EAR else policy.voice
    if named:
        return Choice(named, "set by the policy")
    able = [one for one in candidates if stage in one.schema.capabilities and _is_allowed(one.schema, policy)]
    wanted = language or policy.language
    ranked = sorted(able, key=lambda one: _rank(one, policy, wanted))
    return Choice(str(ranked[0].schema.id), _reason(ranked, policy, wanted)) if ranked else None


def language_rank(known: Sequence[str], wanted: str) -> int:
    """Return how well a model that knows these languages does for the wanted one, best first; 0 where none is wanted.

    0: this tag, or one that it narrows or that narrows it; 1: the language, of another region; 2: nobody told; 3: not.
    """
    if not wanted:
        return 0
    if not known:
        return 2
    tag = wanted.lower()
    tags = [one.lower() for one in known]
    if any(one == tag or one.startswith(f"{tag}-") or tag.startswith(f"{one}-") for one in tags):
        return 0
    return 1 if primary(tag) in map(primary, tags) else 3


def primary(tag: str) -> str:
    """Return the language of a tag, without region and script."""
    return tag.lower().partition("-")[0]


def _is_allowed(schema: Schema, policy: SpeechPolicy) -> bool:
    return schema.is_served and schema.engine != "echo" and not (policy.local_only and schema.engine == "remote")


def _rank(one: Candidate, policy: SpeechPolicy, wanted: str) -> tuple[int, ...]:
    near = NEARNESS.index(one.nearness)
    size = one.schema.parameters or UNKNOWN_PARAMETERS
    first = (language_rank(one.schema.languages, wanted), int(one.failed), int(not one.fits))
    if policy.prefer == "latency":
        return (*first, near, size)
    return (*first, int(one.nearness == "listed"), -size if one.schema.parameters else 0, near)


def _reason(ranked: Sequence[Candidate], policy: SpeechPolicy, wanted: str) -> str:
    best = ranked[0]
    alike = [one for one in ranked if _peerage(one, policy, wanted) == _peerage(best, policy, wanted)]
    size = "smallest" if policy.prefer == "latency" else "largest"
    parts = [
        LANGUAGE_WORDS[language_rank(best.schema.languages, wanted)].format(wanted) if wanted else "",
        NEARNESS_WORDS[best.nearness],
        f"the {size} of {len(alike)} such models ({policy.prefer})" if len(alike) > 1 else "",
        "its last load failed" if best.failed else "",
        "" if best.fits else "does not fit into memory now",
    ]
    return ", ".join(part for part in parts if part)


def _peerage(one: Candidate, policy: SpeechPolicy, wanted: str) -> tuple[int, ...]:
    """Return what a candidate's rank begins with, before its size counts."""
    return _rank(one, policy, wanted)[:4]
