"""A BERT encoder as GGUF: weights from `model.safetensors`, words from `tokenizer.json`, numbers from `config.json`.

Covers: the recipe `bert_gguf`: sentence embeddings by the mean over all tokens, large matrices in 16 bits, the rest as it is.
The same inputs give the same bytes. The names of tensors and keys are those of llama.cpp's architecture "bert"; its tokenizer
wants a phantom space before what begins a word, and no "##" before what goes on.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np
import numpy.typing as npt

from inferd_actors.converting.safetensors import SIZES, Tensor, WrongFile, tensors_of

INPUTS: Final = ("config.json", "tokenizer.json", "model.safetensors")
"""Names of the files that the recipe reads."""

MAX_JSON_BYTES: Final = 16 * 2**20
"""A tokenizer of 250,000 words takes 10 MB."""
SPACE: Final = "\u2581"
CONTINUES: Final = "##"
_BLOCK: Final[Mapping[str, str]] = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
"""Parts of a layer: there, and here."""
_SPECIAL: Final[Mapping[str, str]] = {
    "[CLS]": "bos",
    "[SEP]": "eos",
    "[UNK]": "unk",
    "[PAD]": "pad",
    "[MASK]": "mask",
}

Numbers = npt.NDArray[np.float32]


def convert(folder: Path, target: Path) -> None:
    """Write the model that the files in `folder` make. Raises WrongFile, and what a library raises about odd values."""
    config, tokenizer = (_read_json(folder / name) for name in INPUTS[:2])
    with (
        (folder / INPUTS[2]).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as data,
    ):
        weights = _Weights(data)
        writer = gguf.GGUFWriter(target, "bert")
        try:
            _describe(writer, config)
            _add_words(writer, config, tokenizer)
            for name, numbers in _tensors(weights, int(config["num_hidden_layers"])):
                writer.add_tensor(name, numbers)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()


class _Weights:
    """The tensors of the file, read when they are asked for."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._tensors: dict[str, Tensor] = tensors_of(data)

    def of(self, name: str) -> Numbers:
        """Return a copy of a tensor. Raises WrongFile."""
        found = self._tensors.get(name)
        if found is None or found.kind not in SIZES:
            raise WrongFile(f"it has no tensor {name} of a type in {', '.join(SIZES)}")
        raw = self._data[found.start_bytes : found.start_bytes + found.size_bytes].tobytes()
        numbers = np.frombuffer(raw, dtype=np.float32 if found.kind == "F32" else np.float16)
        return numbers.reshape(found.shape).astype(np.float32)


def _read_json(file: Path) -> dict[str, Any]:
    if file.stat().st_size > MAX_JSON_BYTES:
        raise WrongFile(f"{file.name} has more than {MAX_JSON_BYTES} bytes")
    said = json.loads(file.read_bytes())
    if not isinstance(said, dict):
        raise WrongFile(f"{file.name} holds no map")
    return said


def _describe(writer: gguf.GGUFWriter, config: Mapping[str, Any]) -> None:
    writer.add_type("model")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(value=False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def _add_words(writer: gguf.GGUFWriter, config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> None:
    ids: dict[str, int] = tokenizer["model"]["vocab"]
    words = sorted(ids, key=lambda word: ids[word])
    if [ids[word] for word in words] != list(range(len(words))):
        raise WrongFile("the ids of its tokens leave gaps")
    words += [f"[PAD{number}]" for number in range(len(words), int(config["vocab_size"]))]
    special = {one["content"] for one in tokenizer["added_tokens"] if one["special"]}
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([word if word in special else _as_here(word) for word in words])
    kinds = (gguf.TokenType.CONTROL, gguf.TokenType.NORMAL)
    writer.add_token_types([kinds[word not in special] for word in words])
    writer.add_token_type_count(config["type_vocab_size"])
    for word, role in _SPECIAL.items():
        getattr(writer, f"add_{role}_token_id")(ids[word])
    writer.add_sep_token_id(ids["[SEP]"])
    writer.add_add_bos_token(value=True)
    writer.add_add_eos_token(value=True)


def _as_here(word: str) -> str:
    return word.removeprefix(CONTINUES) if word.startswith(CONTINUES) else SPACE + word


def _tensors(weights: _Weights, layers: int) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield names and numbers in the order of the file."""
    yield "token_embd.weight", weights.of("embeddings.word_embeddings.weight").astype(np.float16)
    yield "position_embd.weight", weights.of("embeddings.position_embeddings.weight")
    yield "token_types.weight", weights.of("embeddings.token_type_embeddings.weight")
    for half in ("weight", "bias"):
        yield f"token_embd_norm.{half}", weights.of(f"embeddings.LayerNorm.{half}")
    for layer in range(layers):
        for there, here in _BLOCK.items():
            for half in ("weight", "bias"):
                numbers = weights.of(f"encoder.layer.{layer}.{there}.{half}")
                is_large = half == "weight" and "LayerNorm" not in there
                yield f"blk.{layer}.{here}.{half}", numbers.astype(np.float16) if is_large else numbers
