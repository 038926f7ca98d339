"""How a model is called: `provider/model:variant`, in lower case.

Covers: the id, its rules, and the shorter names a person may use for it. Does not cover which name means which model
among many: that is `Catalogue.find`. A name never becomes part of a path: files are found by digest (see `store`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SEGMENT = r"[a-z0-9][a-z0-9._-]{0,63}"
_ID = re.compile(rf"(?P<provider>{_SEGMENT})/(?P<model>{_SEGMENT}(?:/{_SEGMENT})*):(?P<variant>{_SEGMENT})")

MAX_ID_CHARS = 256
"""As long as a name may be on the wire (`bounds.Name`)."""

SHOWN_CHARS = 80
"""Longest piece of a wrong name that an error repeats."""


def shown(text: str) -> str:
    """Return `text` fit for an error message: short, quoted, without control characters or lone surrogates."""
    return ascii(text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "...")


@dataclass(frozen=True, slots=True, order=True)
class ModelId:
    """One model in one form, e.g. `huggingfacetb/smollm2-135m-instruct:q4_1`; `str()` gives that text back.

    `model` may have several segments (`library/llama3`). Upper case is refused, so that two ids never differ by case
    alone; what a person types may have any case. Raises ValueError for everything that is not such an id.
    """

    provider: str
    model: str
    variant: str

    def __post_init__(self) -> None:
        text = str(self)
        match = _ID.fullmatch(text) if len(text) <= MAX_ID_CHARS else None
        if match is None or match.group("provider", "model", "variant") != (self.provider, self.model, self.variant):
            raise ValueError(
                f"{shown(text)} is no model id: expected provider/model:variant in lower case, at most {MAX_ID_CHARS} "
                "characters, each part of a-z 0-9 . _ - and starting with a letter or digit"
            )

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}:{self.variant}"

    @classmethod
    def parse(cls, text: str) -> ModelId:
        """Return the id that `text` writes; raises ValueError if it is none."""
        provider, _, rest = text.partition("/")
        model, _, variant = rest.rpartition(":")
        return cls(provider, model, variant)

    @property
    def short_names(self) -> tuple[str, ...]:
        """Names for this model, from the most to the least exact; the last ones may fit other models too."""
        last = self.model.rpartition("/")[2]
        return (str(self), f"{self.provider}/{self.model}", f"{last}:{self.variant}", last)


VOCAB = ModelId.parse("inferd/vocab:actor")
"""The line in which requests wait for the vocab actor, whichever model they are about; no model may be called so."""

STANDBY = ModelId.parse("inferd/standby:process")
"""Whose memory it is that a process without a model holds; no model may be called so."""
