"""The result: what is known of a model from its file's header alone.

Covers: the fields, plain values that cross a process boundary as JSON. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """One entry for each layer: what a token leaves in the cache there, and what a sequence does.

    Keys and values are counted in numbers, not bytes: kv heads times head size. 0: this layer keeps none.
    """

    keys: tuple[int, ...] = ()
    values: tuple[int, ...] = ()
    states: tuple[int, ...] = ()
    """Numbers of a recurrent state, for each sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A model file. An empty text and 0 mean that the header does not say."""

    architecture: str
    name: str = ""
    file_type: str = ""
    """The quantization as llama.cpp names it, "Q4_1"; of the most bytes where the file has no such key."""
    context_tokens: int = 0
    """What it was trained for."""
    width: int = 0
    """Numbers of a token's embedding."""
    hidden: int = 0
    """Numbers in the widest feed-forward layer."""
    heads: int = 0
    """Of queries, in the layer that has the most."""
    kv_heads: int = 0
    """Of keys and values, in the layer that has the most."""
    key_size: int = 0
    value_size: int = 0
    """Numbers of one head's key and value."""
    window_tokens: int = 0
    """How far layers with a sliding window look back."""
    vocabulary: int = 0
    """Tokens."""
    merges: int = 0
    """Rules by which a tokenizer puts tokens together."""
    parameters: int = 0
    is_causal: bool = True
    """False: an encoder, which has no cache."""
    has_template: bool = False
    tensor_bytes: Mapping[str, int] = field(default_factory=dict)
    """By tensor type, without padding."""
    layers: Layers = Layers()
    part: int = 0
    """Which of `parts` files this is, from 0; tensors of the others are not counted."""
    parts: int = 1

    @property
    def weights_bytes(self) -> int:
        """All tensors of this file together."""
        return sum(self.tensor_bytes.values())
