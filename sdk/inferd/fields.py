"""What is said about one field of a message: how it broke a rule, and that it travels as a frame of its own.

Covers: the nouns that the codec and its users share. Does not cover checking: `strict`, whose library is imported when the
first message is read or written, and not with `import inferd`: a quarter of that time. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIELD_CHARS: Final = 256
"""Longest path that an error names: keys are the sender's own words, and up to 8 MiB long."""


class FieldError(ValueError):
    """A value broke a rule; `field` is its path (may be empty), `problem` what was found and what is allowed."""

    def __init__(self, field: str, problem: str) -> None:
        field = field[:FIELD_CHARS]
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem

    def inside(self, step: str) -> FieldError:
        """Return the same error as seen from one level further out."""
        joint = "." if self.field and not self.field.startswith("[") else ""
        return FieldError(f"{step}{joint}{self.field}", self.problem)


def field_error(error: Exception) -> FieldError:
    """Return what a locating converter raised as a broken rule; without a path if it concerns the value as a whole."""
    return error if isinstance(error, FieldError) else FieldError("", str(error))


@dataclass(frozen=True, slots=True)
class RawBytes:
    """A blob on its way out: the packer gives it a frame and writes the frame's index instead."""

    data: bytes
