"""GGUF files of a few kilobytes that hold a tokenizer and nothing else: the kinds that the starter model is not.

Covers: writing a header of texts, numbers and lists, after the format's own description, version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

Value = str | bool | int | Sequence[str] | Sequence[int] | Sequence[float]

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
"""Kinds of tokens."""
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
"""Kinds of values."""
BYTES: Final = tuple(f"<0x{byte:02X}>" for byte in range(256))


def sentencepiece(path: Path, *, prefix: bool) -> str:
    """Write a vocabulary as Llama 2 has it: bytes, a few letters; `prefix`: a space goes in front of every text."""
    words = ("\u2581", "a", "\u2581a")
    tokens = ("<unk>", "<s>", "</s>", *BYTES, *words)
    kinds = (UNKNOWN, CONTROL, CONTROL, *[BYTE] * len(BYTES), *[NORMAL] * len(words))
    return write(
        path,
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.scores": tuple(-float(at) for at in range(len(tokens))),
            "tokenizer.ggml.token_type": kinds,
            "tokenizer.ggml.add_space_prefix": prefix,
        },
    )


def wordpiece(path: Path) -> str:
    """Write a vocabulary as BERT has it: lower case, words with their space."""
    tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581hello", "\u2581world")
    kinds = (CONTROL, UNKNOWN, CONTROL, CONTROL, NORMAL, NORMAL)
    ids = {"unknown": 1, "cls": 2, "padding": 0, "bos": 2, "eos": 3}
    return write(
        path,
        {
            "tokenizer.ggml.model": "bert",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": kinds,
            **{f"tokenizer.ggml.{name}_token_id": number for name, number in ids.items()},
        },
    )


def wordless(path: Path) -> str:
    """Write a file without a tokenizer."""
    return write(path, {"tokenizer.ggml.model": "no_vocab", "llama.vocab_size": 8})


def write(path: Path, header: Mapping[str, Value]) -> str:
    """Write a file with this header and no tensors; return its path."""
    values: dict[str, Value] = {"general.architecture": "llama", **header}
    packed = b"".join(_text(key) + _value(value) for key, value in values.items())
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(values)) + packed)
    return str(path)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", U32, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _text(value)
    if isinstance(value[0], str):
        return struct.pack("<IIQ", ARRAY, STRING, len(value)) + b"".join(_text(str(one)) for one in value)
    code, kind = ("f", F32) if isinstance(value[0], float) else ("i", I32)
    return struct.pack("<IIQ", ARRAY, kind, len(value)) + struct.pack(f"<{len(value)}{code}", *value)
