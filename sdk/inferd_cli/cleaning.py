"""Foreign text made fit for a terminal: names, errors and answers may hold escape sequences that would act on it.

Covers: the two ways of cleaning. Does not cover JSON, which escapes everything itself (see `documents`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from inferd.messages.bounds import ShortText

_KEPT: Final = "\n\t"
"""Control characters that an answer may hold: they move the cursor only where text would."""

_CONTROL: Final = dict.fromkeys(
    [code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in _KEPT] + list(range(0xD800, 0xE000))
)
"""C0, DEL, C1 and lone surrogates → nothing. Joiners stay: emoji and some scripts need them."""


def clean_text(text: str) -> str:
    """Return `text` without control characters except line feed and tab: for answers, in any number of lines."""
    return text.translate(_CONTROL)


def clean_line(text: ShortText) -> str:
    """Return `text` as one line of printable characters: for names, reasons and messages.

    White space becomes single blanks. What `str.isprintable` refuses goes, which includes the marks that reverse the
    direction of writing and so make one name look like another.
    """
    shown = (" " if character.isspace() else character for character in text)
    return " ".join("".join(character for character in shown if character.isprintable()).split())
