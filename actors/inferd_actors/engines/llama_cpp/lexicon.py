"""One model file opened for its words: text to tokens and back, and how long a prompt would be.

Covers: what is exact and what is refused. Does not cover who asks when (`vocab`), the library (`library`), nor the sandbox of
chat templates (`template`). May be used by several threads at once; estimates of one file take turns, as its template does.

What a text's tokens are, without `lossy`:
1. a tokenizer that changes texts by its nature: refused, before any work
2. one that should not, and did with this text: refused, too. Many of byte-level BPE lack some bytes, of control characters or
   of planes that Unicode does not use yet; llama.cpp drops those without a word
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from inferd.errors import InvalidRequest, UnsupportedMode
from inferd.messages.bounds import MAX_TEXT_CHARS
from inferd.messages.operations import EstimateTokens, Generate
from inferd_actors.engines.abilities import check
from inferd_actors.engines.llama_cpp import library
from inferd_actors.engines.llama_cpp.prompt import prompt_of
from inferd_actors.engines.llama_cpp.sizes import context_tokens_of
from inferd_actors.engines.llama_cpp.template import ChatTemplate

ID_BYTES: Final = 4
WIRE_IDS: Final = np.dtype("<i4")
MAX_TEXT_BYTES: Final = MAX_TEXT_CHARS
"""What fits on the wire; a million ids of long tokens would be half a gigabyte."""


class Lexicon:
    """The words of one file. Raises LoadFailed with its cause."""

    def __init__(self, path: str) -> None:
        library.open_library()
        self._name = Path(path).name
        self._file = library.VocabularyFile(path)
        self._words = self._file.vocabulary
        self._is_exact = self._words.is_there and self._words.is_exact
        self._template: ChatTemplate | None = None
        self._rendering = threading.Lock()

    def tokenize(self, text: str, model: str, *, lossy: bool) -> bytes:
        """Return the text's tokens, int32, little-endian. Blocks, up to 2 s for each megabyte.

        Raises UnsupportedMode where they would not give the text back, unless `lossy`.
        """
        self._check(model, lossy=lossy)
        tokens = self._words.tokenize(text, add_begin=False, marks=False)
        if not lossy and (back := self._words.text_of(tokens)) != (data := text.encode()):
            same_bytes = _same_bytes(data, back)
            at = len(data[:same_bytes].decode(errors="ignore"))
            raise _unlike(f"the tokenizer of {model} changes this text at character {at:,}", model)
        return tokens.astype(WIRE_IDS, copy=False).tobytes()

    def detokenize(self, ids: bytes, model: str, *, lossy: bool) -> str:
        """Return the text of tokens. Blocks.

        Raises InvalidRequest naming the id that the model does not have, or whose bytes begin no UTF-8 (unless `lossy`).
        """
        self._check(model, lossy=lossy)
        tokens = self._checked(ids, model)
        size_bytes = self._words.size_of(tokens)
        if size_bytes > MAX_TEXT_BYTES:
            raise _invalid(
                "ids", f"their text would have {size_bytes:,} bytes; {MAX_TEXT_BYTES:,} may be: ask for parts"
            )
        data = self._words.text_of(tokens)
        try:
            return data.decode(errors="replace" if lossy else "strict")
        except UnicodeDecodeError as wrong:
            at = self._holder(tokens, wrong.start)
            raise _invalid(
                f"ids[{at}]", "the bytes from here on are no UTF-8: ask with lossy=True for U+FFFD"
            ) from None

    def estimate(
        self, asked: EstimateTokens, model: str, configured: int, still_wanted: Callable[[], bool]
    ) -> tuple[int, int] | None:
        """Return (tokens of the prompt, context), None when nobody wants it any more; as the engine would count. Blocks.

        `configured`: the context as far as the daemon knows it. Raises what a `generate` with these fields would raise.
        """
        generate = Generate(
            asked.messages,
            max_tokens=asked.max_tokens,
            thinking=asked.thinking,
            tools=asked.tools,
            tool_choice=asked.tool_choice,
            parallel_tool_calls=asked.parallel_tool_calls,
            response_format=asked.response_format,
        )
        check(generate, model)
        self._check(model, lossy=True)
        with self._rendering:
            prompt = prompt_of(generate, model, self._opened_template(), self._words.tokens_of_prompt, still_wanted)
        if prompt is None:
            return None
        return len(prompt), context_tokens_of(configured, self._file.trained_tokens)

    def close(self) -> None:
        """Release the file; the caller sees to it that nobody uses it any more."""
        if self._template is not None:
            self._template.close()
        self._file.close()

    def _check(self, model: str, *, lossy: bool) -> None:
        if not self._words.is_there:
            raise UnsupportedMode(f"{model} has no tokenizer in its file", details={"model": model})
        if not (lossy or self._is_exact):
            raise _unlike(f"the tokenizer of {model} changes texts (spaces, case or accents)", model)

    def _checked(self, ids: bytes, model: str) -> library.Tokens:
        if len(ids) % ID_BYTES:
            raise _invalid("ids", f"expected int32 values, got {len(ids):,} bytes")
        tokens = np.frombuffer(ids, WIRE_IDS).astype(np.int32, copy=False)
        wrong = np.flatnonzero((tokens < 0) | (tokens >= len(self._words)))
        if wrong.size:
            at = int(wrong[0])
            problem = f"{model} has the tokens 0 to {len(self._words) - 1:,}, got {int(tokens[at]):,}"
            raise _invalid(f"ids[{at}]", problem)
        return tokens

    def _holder(self, tokens: library.Tokens, at_byte: int) -> int:
        """Return the index of the token that holds this byte of their text."""
        end = 0
        for at, token in enumerate(tokens.tolist()):
            end += len(self._words.text_of([token]))
            if at_byte < end:
                return at
        return len(tokens)

    def _opened_template(self) -> ChatTemplate | None:
        source = self._file.template
        if self._template is None and source is not None:
            words = self._words
            self._template = ChatTemplate(source, name=self._name, begin_text=words.begin_text, end_text=words.end_text)
        return self._template


def _same_bytes(one: bytes, other: bytes) -> int:
    """Return how long a beginning two different texts share."""
    length = min(len(one), len(other))
    unlike = np.frombuffer(one, np.uint8, length) != np.frombuffer(other, np.uint8, length)
    return int(unlike.argmax()) if unlike.any() else length


def _unlike(problem: str, model: str) -> UnsupportedMode:
    text = f"{problem}: detokenizing would not give it back. Ask with lossy=True, or choose another model"
    return UnsupportedMode(text, details={"field": "body.lossy", "model": model})


def _invalid(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {problem}", details={"field": f"body.{field}"})
