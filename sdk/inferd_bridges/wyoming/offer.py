"""What can be asked for here: the models that are on the disk and hear or speak, under names that lead back to them.

Covers: the `info` event, who is chosen for a language. A name in it is the model's id; a name that a client gives is passed on
as it is, for the daemon knows shorter ones and says what is closest to a wrong one. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from wyoming.info import AsrModel, AsrProgram, Attribution, Info, TtsProgram, TtsVoice

from inferd.errors import NoEligibleModel
from inferd.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferd.messages.reports import Model
    from inferd.messages.schemas import ModelSchema
    from inferd_bridges.wyoming.asked import Wish

Capability = Literal["transcribe", "synthesize"]
CAPABILITIES: Final[tuple[Capability, ...]] = ("transcribe", "synthesize")
WHAT: Final = {"transcribe": "hears", "synthesize": "speaks"}
INFERD: Final = Attribution("inferd", "")
FAR: Final = 2
"""Of a language that a model has not."""
DESCRIPTION: Final = "Local speech models, shared by every app of this machine"


@dataclass(frozen=True, slots=True)
class Offered:
    """One model."""

    id: str
    name: str = ""
    languages: tuple[str, ...] = ()
    """As BCP 47 writes them; empty: not known, so any may be."""
    maker: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """Who hears and who speaks, the preferred one first."""

    models: Mapping[Capability, tuple[Offered, ...]]

    def choose(self, capability: Capability, wish: Wish, preferred: str | None) -> str:
        """Return the model for a wish.

        1. who needs no look (`unseen`)
        2. without a language the first
        3. the first that has the very language ("en-GB"), 4. or the language ("en"); the preferred one comes first
        Raises NoEligibleModel, with the languages that there are.
        """
        if known := unseen(wish, preferred):
            return known
        for model in sorted(self.models[capability], key=lambda one: _distance(one, wish.language)):
            if _distance(model, wish.language) < FAR:
                return model.id
        raise self._nobody(capability, wish.language)

    def _nobody(self, capability: Capability, language: str | None) -> NoEligibleModel:
        there = sorted({one for model in self.models[capability] for one in model.languages})
        wanted = f" {ascii(language)[:40]}" if language else ""
        known = f"installed models know {', '.join(there)}" if there else "none is installed: `inferd pull MODEL`"
        return NoEligibleModel(
            f"no installed model {WHAT[capability]}{wanted}; {known}", details={"languages": tuple(there)}
        )


def unseen(wish: Wish, preferred: str | None) -> str | None:
    """Return the model for a wish whatever there is: the one that is named, without a language the preferred one."""
    return wish.name or (None if wish.language else preferred)


def _distance(model: Offered, language: str | None) -> int:
    """Return 0: it has the language; 1: another form of it; FAR: neither."""
    if language is None or not model.languages:
        return 0
    if tag(language) in map(tag, model.languages):
        return 0
    return 1 if base(language) in map(base, model.languages) else FAR


def tag(language: str) -> str:
    """Return a language for comparing: "en_US" and "en-us" are one."""
    return language.replace("_", "-").lower()


def base(language: str) -> str:
    """Return the language alone, ISO 639: "en" of "en-US"."""
    return tag(language).partition("-")[0]


def offer(models: Iterable[Model], schemas: Iterable[ModelSchema], preferred: Mapping[Capability, str | None]) -> Offer:
    """Return what is offered of all that the daemon knows: what is on the disk and can be used."""
    known = {schema.id: schema for schema in schemas}
    here = [one for one in models if one.weights_ready and one.available]
    return Offer(
        {
            capability: tuple(
                sorted(
                    (_offered(one, known.get(one.id)) for one in here if capability in one.capabilities),
                    key=lambda one: not is_called(one.id, preferred[capability]),
                )
            )
            for capability in CAPABILITIES
        }
    )


def _offered(model: Model, schema: ModelSchema | None) -> Offered:
    maker = model.id.partition("/")[0]
    if schema is None:
        return Offered(model.id, model.name, maker=maker)
    return Offered(model.id, model.name or schema.name, schema.languages, maker, schema.version)


def is_called(model: str, name: str | None) -> bool:
    """Tell whether a model may be meant by a name: its id, or that without provider, variant, or both."""
    path, _, variant = model.rpartition(":")
    last = path.rpartition("/")[2]
    return name is not None and name.lower() in (model, path, f"{last}:{variant}", last)


def info(offered: Offer) -> Info:
    """Return what a client is told; a program without a model is left out."""
    hears = [AsrModel(languages=list(one.languages), **_artifact(one)) for one in offered.models["transcribe"]]
    speaks = [TtsVoice(languages=list(one.languages), **_artifact(one)) for one in offered.models["synthesize"]]
    own: dict[str, Any] = {"name": "inferd", "attribution": INFERD, "installed": True}
    own |= {"description": DESCRIPTION, "version": __version__}
    return Info(
        asr=[AsrProgram(models=hears, supports_transcript_streaming=True, **own)] if hears else [],
        tts=[TtsProgram(voices=speaks, supports_synthesize_streaming=True, **own)] if speaks else [],
    )


def _artifact(one: Offered) -> dict[str, Any]:
    return {
        "name": one.id,
        "description": one.name or one.id,
        "attribution": Attribution(one.maker, ""),
        "installed": True,
        "version": one.version or None,
    }
