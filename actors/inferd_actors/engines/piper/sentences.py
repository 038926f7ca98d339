"""The only door to sentencex: where the sentences of a text end."""

from __future__ import annotations

import sentencex


def ends(language: str, text: str) -> list[int]:
    """Return the index behind each sentence, blanks included, in characters; the last one is the text's length.

    `language`: ISO 639-1; of one that sentencex does not know it takes the rules of a relative, or of English.
    """
    return [int(one["end_index"]) for one in sentencex.get_sentence_boundaries(language, text)]
