"""Chat models of a few hundred kilobytes with weights of chance, that pass through llama.cpp's true loading code.

Covers: `chat` (arch llama, a cache that can be cut), `recurrent` (mamba, a state), `windowed` (gemma2, a sliding window of 16
tokens). All write printable characters, different ones for different prompts, and no sense. The same files every time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import gguf_file
import numpy as np
from gguf_file import Tensors, Value
from numpy.typing import NDArray

TRAINED_TOKENS: Final = 2_048
LAYERS: Final = 2
WIDTH: Final = 64
HIDDEN: Final = 128
HEADS: Final = 4
SHARED_HEADS: Final = 2
"""Heads for keys and values."""
WINDOW_TOKENS: Final = 16
STATE: Final = 16
"""Numbers of mamba's state for each of its channels."""
CONVOLVED: Final = 4
"""Tokens under mamba's convolution."""
TIME_RANK: Final = 4

NORMAL, CONTROL = 1, 3
"""Of llama.cpp's kinds of tokens."""
MARKS: Final = ("<|end|>", "<|im_start|>", "<|im_end|>")
MERGES: Final = ("Ġ t", "Ġ a", "Ġ w", "Ġ o")
"""As the byte-level alphabet writes them: a blank is `Ġ` there. No answer has one, so its text has the tokens that made it."""
PRINTABLE: Final = range(33, 127)
CHATML: Final = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

Make = Callable[[Path], Path]


def chat(folder: Path) -> Path:
    """Write the model whose cache can be cut; return its path."""
    keys, words = _header("llama")
    keys |= _attention("llama") | {"llama.rope.dimension_count": WIDTH // HEADS}
    chance = np.random.default_rng(1)
    tensors = _ends(chance, words)
    for layer in range(LAYERS):
        tensors |= _decoder(chance, f"blk.{layer}.")
    return _written(folder / "chat.gguf", keys, tensors | {"output.weight": _voice(chance, words)})


def windowed(folder: Path) -> Path:
    """Write the model that looks back over a window in every other layer; return its path."""
    keys, words = _header("gemma2")
    keys |= _attention("gemma2") | {"gemma2.attention.sliding_window": WINDOW_TOKENS}
    chance = np.random.default_rng(2)
    tensors = _ends(chance, words) | {"token_embd.weight": _voice(chance, words)}
    for layer in range(LAYERS):
        tensors |= _decoder(chance, f"blk.{layer}.")
        for name in ("post_attention_norm", "post_ffw_norm"):
            tensors[f"blk.{layer}.{name}.weight"] = np.full(WIDTH, 20, np.float32)  # louder than the token before
    return _written(folder / "windowed.gguf", keys, tensors)


def recurrent(folder: Path) -> Path:
    """Write the model that has a state instead of a cache; return its path."""
    keys, words = _header("mamba")
    channels = 2 * WIDTH
    keys |= {
        "mamba.ssm.conv_kernel": CONVOLVED,
        "mamba.ssm.inner_size": channels,
        "mamba.ssm.state_size": STATE,
        "mamba.ssm.time_step_rank": TIME_RANK,
    }
    chance = np.random.default_rng(3)
    tensors = _ends(chance, words)
    for layer in range(LAYERS):
        tensors |= _mixer(chance, f"blk.{layer}.", channels)
    return _written(folder / "recurrent.gguf", keys, tensors | {"output.weight": _voice(chance, words)})


MODELS: Final[dict[str, Make]] = {"chat": chat, "recurrent": recurrent, "windowed": windowed}


def _header(arch: str) -> tuple[dict[str, Value], list[str]]:
    """Return the keys that all have, and the vocabulary."""
    alphabet = _alphabet()
    words = [*alphabet, *(merge.replace(" ", "") for merge in MERGES), *MARKS]
    begin, _, end = (words.index(mark) for mark in MARKS)
    keys: dict[str, Value] = {
        "general.architecture": arch,
        "general.name": f"tiny {arch}",
        f"{arch}.context_length": TRAINED_TOKENS,
        f"{arch}.embedding_length": WIDTH,
        f"{arch}.block_count": LAYERS,
        f"{arch}.feed_forward_length": HIDDEN,
        f"{arch}.attention.layer_norm_rms_epsilon": 1e-6,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.token_type": [CONTROL if word in MARKS else NORMAL for word in words],
        "tokenizer.ggml.merges": list(MERGES),
        "tokenizer.ggml.bos_token_id": begin,
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": CHATML,
    }
    return keys, words


def _alphabet() -> list[str]:
    """Return the 256 bytes as characters that can be seen: those that cannot are moved above 255, in order."""
    seen = [*PRINTABLE, *range(161, 173), *range(174, 256)]
    moved = [byte for byte in range(256) if byte not in seen]
    return [chr(byte if byte in seen else 256 + moved.index(byte)) for byte in range(256)]


def _attention(arch: str) -> dict[str, Value]:
    return {f"{arch}.attention.head_count": HEADS, f"{arch}.attention.head_count_kv": SHARED_HEADS}


def _chance(chance: np.random.Generator, rows: int, columns: int, gain: float = 1.0) -> NDArray[np.float32]:
    """Return weights that keep the size of what passes through them, times `gain`."""
    drawn: NDArray[np.float32] = chance.standard_normal((rows, columns), np.float32)
    return drawn * np.float32(gain / columns**0.5)


def _ones() -> NDArray[np.float32]:
    return np.ones(WIDTH, np.float32)


def _ends(chance: np.random.Generator, words: list[str]) -> dict[str, NDArray[np.float32]]:
    return {"token_embd.weight": _chance(chance, len(words), WIDTH, 4), "output_norm.weight": _ones()}


def _voice(chance: np.random.Generator, words: list[str]) -> NDArray[np.float32]:
    """Return the last weights: of all tokens, one printable character is the likeliest."""
    weights = _chance(chance, len(words), WIDTH, 4)
    weights[[at for at in range(len(words)) if at not in PRINTABLE]] *= 0.01
    return weights


def _decoder(chance: np.random.Generator, of: str) -> dict[str, NDArray[np.float32]]:
    narrow = WIDTH // HEADS * SHARED_HEADS
    shapes = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (narrow, WIDTH),
        "attn_v": (narrow, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (HIDDEN, WIDTH),
        "ffn_up": (HIDDEN, WIDTH),
        "ffn_down": (WIDTH, HIDDEN),
    }
    made = {f"{of}{name}.weight": _chance(chance, *shape, 2) for name, shape in shapes.items()}
    return made | {f"{of}{name}.weight": _ones() for name in ("attn_norm", "ffn_norm")}


def _mixer(chance: np.random.Generator, of: str, channels: int) -> dict[str, NDArray[np.float32]]:
    decay = -np.tile(np.linspace(0.02, 1, STATE, dtype=np.float32), (channels, 1))
    return {
        f"{of}attn_norm.weight": _ones(),
        f"{of}ssm_in.weight": _chance(chance, 2 * channels, WIDTH, 2),
        f"{of}ssm_conv1d.weight": _chance(chance, channels, CONVOLVED),
        f"{of}ssm_conv1d.bias": np.zeros(channels, np.float32),
        f"{of}ssm_x.weight": _chance(chance, TIME_RANK + 2 * STATE, channels, 2),
        f"{of}ssm_dt.weight": _chance(chance, channels, TIME_RANK),
        f"{of}ssm_dt.bias": np.zeros(channels, np.float32),
        f"{of}ssm_a": decay,
        f"{of}ssm_d": np.ones(channels, np.float32),
        f"{of}ssm_out.weight": _chance(chance, WIDTH, channels, 2),
    }


def _written(path: Path, keys: dict[str, Value], tensors: Tensors) -> Path:
    gguf_file.write(path, keys, tensors)
    return path
