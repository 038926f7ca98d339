"""Names and numbers that the deciding parts share.

Covers: who asks (`AppKey`), which request (`StreamNo`), which process of a model (`Life`). See also: `catalogue.names`
for models, `switchboard`, which gives streams their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

StreamNo = NewType("StreamNo", int)
"""A request that has no terminal event yet."""

Life = NewType("Life", int)
"""One process of one model, from 1 upwards; never used twice, by no model."""


@dataclass(frozen=True, slots=True, order=True)
class AppKey:
    """Whom fair share and limits go by: the uid is the kernel's word, the name the app's own."""

    uid: int
    name: str
