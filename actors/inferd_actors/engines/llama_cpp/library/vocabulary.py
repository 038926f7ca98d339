"""Text ⇄ tokens, by a model's own tokenizer.

Covers: the vocabulary of a loaded model, and one of a file whose weights stay on disk. May be used by several threads at once:
llama.cpp's tokenizer changes nothing.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from inferd.errors import LoadFailed
from inferd_actors.engines.llama_cpp.library.binding import lib
from inferd_actors.engines.llama_cpp.library.log import forget_complaints, load_failed

Tokens = NDArray[np.int32]
"""Token numbers, shape (n,)."""

MAGIC: Final = b"GGUF"
PIECE_BYTES: Final = 1_024
"""Room for one token's text at first; longer ones are asked for again."""
ADDED_TOKENS: Final = 16
"""Room beside one token for each byte: a few special ones may be added."""
STRIDE_TOKENS: Final = 65_536
"""Texts are joined so many tokens at a time, which takes milliseconds: between them other threads have their turn."""
NORMALISING: Final = frozenset({lib.LLAMA_VOCAB_TYPE_WPM, lib.LLAMA_VOCAB_TYPE_UGM})
"""WordPiece drops spaces, and case and accents where it is uncased; Unigram rewrites texts by a table in its file."""
STRIPPING: Final = lib.LLAMA_TOKEN_ATTR_LSTRIP | lib.LLAMA_TOKEN_ATTR_RSTRIP | lib.LLAMA_TOKEN_ATTR_SINGLE_WORD
"""Tokens for which it matters what stands beside them."""
TRIALS: Final = ("a", " a", "  a ", "A\u0301\u00e9", "\n\n\t\x00", "\U0001f468\u200d\U0001f469", "don't .")
"""What shows a prefix of spaces, a lost space, a folded case or accent, bytes without tokens."""


class Vocabulary:
    """The tokens of a model, which stays open while this is used."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - a pointer
        self._vocab = lib.llama_model_get_vocab(model)
        self._pieces: dict[int, bytes] = {}
        self._texts: dict[int, bytes] = {}

    def __len__(self) -> int:
        return int(lib.llama_vocab_n_tokens(self._vocab))

    @property
    def begin_text(self) -> str:
        """Text of the token that begins a sequence; empty if there is none."""
        return self._text(lib.llama_vocab_bos(self._vocab))

    @property
    def end_text(self) -> str:
        """Text of the token that ends a sequence; empty if there is none."""
        return self._text(lib.llama_vocab_eos(self._vocab))

    def tokenize(self, text: str, *, add_begin: bool, marks: bool) -> Tokens:
        """Return a text's tokens. `add_begin`: as the model wants it. `marks`: special tokens are recognised in the text."""
        data = text.encode()
        room = len(data) + ADDED_TOKENS
        numbers = np.empty(room, np.int32)
        pointer = numbers.ctypes.data_as(lib.llama_token_p)
        count = lib.llama_tokenize(self._vocab, data, len(data), pointer, room, add_begin, marks)
        if count < 0:
            raise RuntimeError(f"llama_tokenize made more than {room} tokens of {len(data)} bytes")
        return numbers[:count].copy()

    def tokens_of_prompt(self, text: str) -> Tokens:
        """Return the tokens of a text that a template made: marks are recognised, and a beginning that it lacks is added."""
        return self.tokenize(text, add_begin=self.lacks_begin(text), marks=True)

    def lacks_begin(self, text: str) -> bool:
        """Tell whether the token that begins a sequence is to be added to a template's text, if the model wants one."""
        begin_text = self.begin_text
        return not (begin_text and text.startswith(begin_text))

    def piece(self, token: int) -> bytes:
        """Return a token's text as bytes, nothing for a control token; often a part of a character."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read_piece(token, marks=False)
        return known

    @property
    def is_there(self) -> bool:
        """Whether the file has a tokenizer at all; without one nothing else here may be called."""
        return bool(lib.llama_vocab_type(self._vocab) != lib.LLAMA_VOCAB_TYPE_NONE)

    def gives_back(self, text: str) -> bool:
        """Tell whether the tokens of this text stand for this text."""
        given: bytes = self.text_of(self.tokenize(text, add_begin=False, marks=False))
        return given == text.encode()

    @property
    def is_exact(self) -> bool:
        """Whether tokens can be expected to give every text back, as byte-level BPE does; a few texts prove the contrary."""
        normalising = int(lib.llama_vocab_type(self._vocab)) in NORMALISING
        return not normalising and all(map(self.gives_back, TRIALS))

    def text_of(self, tokens: Tokens | Sequence[int]) -> bytes:
        """Return the bytes of tokens, marks as their own text. The caller has checked that each is below `len(self)`."""
        numbers = np.asarray(tokens, np.int32)
        texts = self._texts_in(numbers)
        strides = (numbers[at : at + STRIDE_TOKENS].tolist() for at in range(0, len(numbers), STRIDE_TOKENS))
        return b"".join([b"".join([texts[token] for token in stride]) for stride in strides])

    def size_of(self, tokens: Tokens) -> int:
        """Return how many bytes `text_of` would have, without making them."""
        counts = np.bincount(tokens)
        texts = self._texts_in(tokens)
        return sum(len(texts[token]) * int(counts[token]) for token in np.flatnonzero(counts).tolist())

    def _texts_in(self, tokens: Tokens) -> dict[int, bytes]:
        """Return the texts of these tokens, and of others that were asked for before."""
        for token in np.flatnonzero(np.bincount(tokens)).tolist():
            if token not in self._texts:
                self._texts[token] = self._read_piece(token, marks=True)
        return self._texts

    def ends(self, token: int) -> bool:
        """Tell whether this token means that the answer is complete."""
        return bool(lib.llama_vocab_is_eog(self._vocab, token))

    def mark(self, token: int) -> str | None:
        """Return the text of a token in front of which a text may be cut without changing its tokens; None of all others.

        Those are byte-level BPE's control tokens, but for such as take the spaces beside them.
        """
        is_apart = bool(lib.llama_vocab_get_attr(self._vocab, token) & lib.LLAMA_TOKEN_ATTR_CONTROL)
        takes_more = lib.llama_vocab_get_attr(self._vocab, token) & STRIPPING
        is_bpe = lib.llama_vocab_type(self._vocab) == lib.LLAMA_VOCAB_TYPE_BPE
        if not (is_bpe and is_apart) or takes_more or lib.llama_vocab_get_add_eos(self._vocab):
            return None
        return self._text(token) or None

    def _text(self, token: int) -> str:
        return lib.llama_vocab_get_text(self._vocab, token).decode(errors="replace") if token >= 0 else ""

    def _read_piece(self, token: int, *, marks: bool) -> bytes:
        buffer = ctypes.create_string_buffer(PIECE_BYTES)
        length = lib.llama_token_to_piece(self._vocab, token, buffer, PIECE_BYTES, 0, marks)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = lib.llama_token_to_piece(self._vocab, token, buffer, -length, 0, marks)
        return buffer.raw[:length]


class VocabularyFile:
    """A model file opened for its vocabulary alone: megabytes instead of gigabytes, milliseconds instead of seconds.

    Raises LoadFailed with its cause.
    """

    def __init__(self, path: str) -> None:
        look_at(path)
        params = lib.llama_model_default_params()
        params.vocab_only = True
        forget_complaints()
        self._model = lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise load_failed(f"llama.cpp cannot read the vocabulary of {path}")
        self.vocabulary = Vocabulary(self._model)

    @property
    def trained_tokens(self) -> int:
        """The context it was trained for, 0 where its header does not say; the library reads that with the weights."""
        kind = metadata_of(self._model, "general.architecture")
        length = metadata_of(self._model, f"{kind}.context_length") or ""
        return int(length) if length.isascii() and length.isdigit() else 0

    @property
    def template(self) -> str | None:
        """The chat template in the file."""
        return template_of(self._model)

    def close(self) -> None:
        """Release it; its vocabulary is of no use any more."""
        lib.llama_model_free(self._model)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def metadata_of(model: Any, key: str) -> str | None:  # noqa: ANN401 - a pointer
    """Return a value of a file's header as text, None if there is none; for short values."""
    buffer = ctypes.create_string_buffer(PIECE_BYTES)
    length = lib.llama_model_meta_val_str(model, key.encode(), buffer, PIECE_BYTES)
    return buffer.value.decode(errors="replace") if length >= 0 else None


def template_of(model: Any) -> str | None:  # noqa: ANN401 - a pointer
    """Return the chat template in a model's file."""
    source = lib.llama_model_chat_template(model, None)
    return source.decode(errors="replace") if source else None


def look_at(path: str) -> None:
    """Raise LoadFailed for what needs no library to be seen."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - the library takes a path as text too
            magic = file.read(len(MAGIC))
    except OSError as reason:
        raise LoadFailed(f"{path} cannot be read: {reason.strerror}", details={"cause": "file_missing"}) from None
    if magic != MAGIC:
        problem = f"{path} is no GGUF file: it begins with {magic!r}"
        raise LoadFailed(problem, details={"cause": "file_corrupt"})
