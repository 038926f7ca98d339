"""What can be told from a text alone: has its speaker finished, was it speech at all, was it heard well.

Covers: these judgements. Pure. Does not cover the sound's own share in them: `endpointing`, and the VAD in front of all.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

LAST_MARKS: Final = tuple(".!?。！？؟।॥።։｡")  # noqa: RUF001 - of all scripts that end sentences with a mark
TRAILING: Final = ("...", "…")
CLOSING: Final = "\"'”’»)]」』"  # noqa: RUF001 - quotation marks of several languages
_WAITING: Final = (
    "and or but so because if that which who when while with to the a an of for in on at as than then um uh er hmm like "  # en
    "und oder aber weil dass wenn der die das mit zu ein eine äh ähm "  # de
    "et ou mais donc que si quand avec le la les un une de euh "  # fr
    "y o pero porque si cuando con el los las una eh "  # es
    "e ma perché quando con il lo gli uno "  # it
    "mas porque quando com os as um uma"  # pt
)
WAITING_WORDS: Final = frozenset(_WAITING.split())
"""Words that ask for another one, conjunctions, articles and fillers of languages that are often spoken to machines."""
MAX_RATIO: Final = 2.4
"""Whisper's own limit of compression: beyond it a text repeats itself."""
MIN_LOGPROB: Final = -1.0
"""Whisper's own limit of the mean log-probability of a text's tokens."""
SURE_LOGPROB: Final = -0.6
"""Above it a hearing in a short window is as the one in the whole window: 6 of 279 recordings differed, by one error in sum."""
TOKENS_PER_S: Final = 6
"""People say 2 to 4 words a second, and a word takes 1.3 tokens."""
LEAST_TOKENS: Final = 12
_WORD: Final = re.compile(r"\w+")
_ASIDE: Final = re.compile(r"\s*(?:\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|[♪♫♬*.\-–—…\s])+\s*")  # noqa: RUF001 - as models write them


def looks_finished(text: str) -> bool:
    """Tell whether a speaker who falls silent here is done: a sentence ends, and not in a word that asks for another.

    An empty text is finished: nothing was said that could go on.
    """
    said = text.strip().rstrip(CLOSING)
    if not said:
        return True
    if said.endswith(TRAILING) or not said.endswith(LAST_MARKS):
        return False
    words = said.rstrip("".join(LAST_MARKS)).split()
    return not words or words[-1].casefold() not in WAITING_WORDS


def is_aside(text: str) -> bool:
    """Tell whether a text is a note on the sound, [Music] or (applause), dots or dashes: nobody said it."""
    return not text.strip() or _ASIDE.fullmatch(text) is not None


def max_tokens(sound_s: float) -> int:
    """Return how many tokens can have been said in so much sound."""
    return int(TOKENS_PER_S * sound_s) + LEAST_TOKENS


def is_credible(text: str, mean_logprob: float) -> bool:
    """Tell whether a text is neither repetition nor guesswork, by Whisper's own two limits."""
    packed = text.encode()
    ratio = len(packed) / len(zlib.compress(packed)) if packed else 0.0
    return ratio <= MAX_RATIO and mean_logprob >= MIN_LOGPROB


def is_doubtful(text: str, mean_logprob: float) -> bool:
    """Tell whether a text from a short window should be heard again in the whole one: a guess, or said again at once."""
    return mean_logprob < SURE_LOGPROB or not is_credible(text, mean_logprob) or _repeats(text)


def _repeats(text: str) -> bool:
    """Tell whether a phrase of two words or more is said twice in a row, or a word three times."""
    words = _WORD.findall(text.casefold())
    thrice = any(one == two == three for one, two, three in zip(words, words[1:], words[2:], strict=False))
    return thrice or any(
        words[at : at + size] == words[at + size : at + 2 * size]
        for size in range(2, len(words) // 2 + 1)
        for at in range(len(words) - 2 * size + 1)
    )
