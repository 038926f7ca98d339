"""A BERT encoder with random weights as its makers publish one: `model.safetensors`, `tokenizer.json`, `config.json`.

Covers: the files, and what the model computes by the book, for comparison. See also: `tiny_models` (GGUF files).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float32]

WORDS: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "##s", "on", "mat", ".")
WIDTH, HIDDEN, HEADS, LAYERS, PLACES = 32, 64, 4, 2, 64
EPSILON: Final = 1e-12
CONFIG: Final[Mapping[str, Any]] = {
    "hidden_size": WIDTH,
    "intermediate_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "max_position_embeddings": PLACES,
    "layer_norm_eps": EPSILON,
    "type_vocab_size": 2,
    "vocab_size": len(WORDS) + 4,
}
TOKENIZER: Final[Mapping[str, Any]] = {
    "model": {"vocab": {word: at for at, word in enumerate(WORDS)}},
    "added_tokens": [{"content": word, "special": True} for word in WORDS[:5]],
}
LAYER: Final = {
    "attention.self.query": (WIDTH, WIDTH),
    "attention.self.key": (WIDTH, WIDTH),
    "attention.self.value": (WIDTH, WIDTH),
    "attention.output.dense": (WIDTH, WIDTH),
    "attention.output.LayerNorm": (WIDTH,),
    "intermediate.dense": (HIDDEN, WIDTH),
    "output.dense": (WIDTH, HIDDEN),
    "output.LayerNorm": (WIDTH,),
}


def weights() -> dict[str, Numbers]:
    """Return every tensor, the same each time."""
    chance = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (CONFIG["vocab_size"], WIDTH),
        "embeddings.position_embeddings.weight": (PLACES, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        for name, shape in LAYER.items():
            shapes |= {f"encoder.layer.{layer}.{name}.weight": shape, f"encoder.layer.{layer}.{name}.bias": shape[:1]}
    return {name: chance.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


def safetensors_of(tensors: Mapping[str, Numbers]) -> bytes:
    """Return a safetensors file."""
    rows, data = {}, b""
    for name, numbers in tensors.items():
        raw = numbers.tobytes()
        rows[name] = {"dtype": "F32", "shape": list(numbers.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    header = json.dumps({"__metadata__": {"format": "pt"}, **rows}).encode()
    return len(header).to_bytes(8, "little") + header + data


def files() -> dict[str, bytes]:
    """Return the three files by name."""
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer.json": json.dumps(TOKENIZER).encode(),
        "model.safetensors": safetensors_of(weights()),
    }


def put(folder: Path, content: Mapping[str, bytes]) -> None:
    """Write files into a new folder."""
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)


def embedding(words: list[str]) -> Numbers:
    """Return the mean over all tokens' last numbers, with [CLS] and [SEP] around these words, normalised."""
    by_name = weights()
    ids = [WORDS.index(word) for word in ("[CLS]", *words, "[SEP]")]
    numbers = (
        by_name["embeddings.word_embeddings.weight"][ids]
        + by_name["embeddings.position_embeddings.weight"][: len(ids)]
        + by_name["embeddings.token_type_embeddings.weight"][0]
    )
    numbers = _normed(by_name, "embeddings.LayerNorm", numbers)
    for layer in range(LAYERS):
        place = f"encoder.layer.{layer}"
        passed = _linear(by_name, f"{place}.attention.output.dense", _attended(by_name, place, numbers))
        numbers = _normed(by_name, f"{place}.attention.output.LayerNorm", numbers + passed)
        inner = _linear(by_name, f"{place}.intermediate.dense", numbers)
        bent = 0.5 * inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        passed = _linear(by_name, f"{place}.output.dense", bent)
        numbers = _normed(by_name, f"{place}.output.LayerNorm", numbers + passed)
    mean: Numbers = numbers.mean(0)
    return mean / np.linalg.norm(mean)


def _attended(by_name: Mapping[str, Numbers], place: str, numbers: Numbers) -> Numbers:
    query, key, value = (
        _linear(by_name, f"{place}.attention.self.{part}", numbers).reshape(len(numbers), HEADS, -1).transpose(1, 0, 2)
        for part in ("query", "key", "value")
    )
    scores = np.exp(query @ key.transpose(0, 2, 1) / math.sqrt(WIDTH // HEADS))
    shares = scores / scores.sum(-1, keepdims=True)
    mixed: Numbers = (shares @ value).transpose(1, 0, 2).reshape(len(numbers), WIDTH)
    return mixed


def _linear(by_name: Mapping[str, Numbers], name: str, numbers: Numbers) -> Numbers:
    return numbers @ by_name[f"{name}.weight"].T + by_name[f"{name}.bias"]


def _normed(by_name: Mapping[str, Numbers], name: str, numbers: Numbers) -> Numbers:
    centred = numbers - numbers.mean(-1, keepdims=True)
    scaled: Numbers = centred / np.sqrt(centred.var(-1, keepdims=True) + EPSILON)
    return scaled * by_name[f"{name}.weight"] + by_name[f"{name}.bias"]
