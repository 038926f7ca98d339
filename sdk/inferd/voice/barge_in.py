"""Whether what somebody says into an answer ends it.

Covers: the decision, and our own voice come back through the microphone. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.voice.wording import telling, words

if TYPE_CHECKING:
    from inferd.voice.answer import Answer, Utterance
    from inferd.voice.settings import Settings


def interrupts(settings: Settings, answer: Answer, utterance: Utterance, text: str, now_s: float) -> bool:
    """Decide whether `text`, as far as the utterance has been understood, ends the answer.

    1. nothing may
    2. our own voice does not
    3. no words are needed: speech that is long enough does
    4. too few words do not; words that say "go on" do not count
    5. short remarks do not, right after the answer began
    """
    spoken_ms = (now_s - utterance.started_s) * 1000
    if not settings.allow_interruptions:  # 1
        return False
    if is_echo(settings, answer, text):  # 2
        return False
    if settings.words_to_interrupt == 0:  # 3
        return spoken_ms >= settings.interruption_min_ms
    if len(telling(text, settings.backchannels)) < settings.words_to_interrupt:  # 4
        return False
    began_s = answer.sounding_s
    early = began_s is not None and (utterance.started_s - began_s) * 1000 < settings.backchannel_window_ms
    return not early or spoken_ms >= settings.interruption_min_ms  # 5


def is_echo(settings: Settings, answer: Answer | None, text: str) -> bool:
    """Return whether a text is made of words that we have just spoken, where our voice comes back."""
    if not settings.half_duplex or answer is None:
        return False
    ours = set(words("".join(answer.attempt.pieces)))
    return all(word in ours for word in words(text))
