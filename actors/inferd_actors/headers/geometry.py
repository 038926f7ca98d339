"""From a header's keys and tensors to what a model is.

Covers: every field of `Header` but `layers`, which has a file of its own. Pure.
"""

from __future__ import annotations

from collections import Counter

from inferd_actors.headers.gguf_header import Contents
from inferd_actors.headers.header import Header
from inferd_actors.headers.layers import head_size, kv_heads, what_layers_keep
from inferd_actors.headers.tensor_types import FILE_TYPES
from inferd_actors.headers.values import Values


def header_of(contents: Contents) -> Header:
    """Return what the header says of the model. Raises Malformed."""
    values, tensors = Values(contents), contents.tensors
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.type.name] += tensor.size_bytes
    return Header(
        architecture=values.arch,
        name=values.text("general.name"),
        file_type=_file_type(contents, sizes),
        context_tokens=values.number("context_length"),
        width=values.number("embedding_length"),
        hidden=_hidden(values),
        heads=max(values.each_layer("attention.head_count"), default=0),
        kv_heads=max(kv_heads(values), default=0),
        key_size=head_size(values, "key_length"),
        value_size=head_size(values, "value_length"),
        window_tokens=values.number("attention.sliding_window"),
        vocabulary=contents.counts.get("tokenizer.ggml.tokens", values.number("vocab_size")),
        merges=contents.counts.get("tokenizer.ggml.merges", 0),
        parameters=sum(tensor.numbers for tensor in tensors),
        is_causal=not values.is_false("attention.causal"),
        has_template=bool(values.text("tokenizer.chat_template")),
        tensor_bytes=dict(sizes),
        layers=what_layers_keep(values),
        part=values.whole("split.no", 0),
        parts=max(1, values.whole("split.count", 1)),
    )


def _file_type(contents: Contents, sizes: Counter[str]) -> str:
    most = max(sizes, key=sizes.__getitem__, default="")
    stated = contents.values.get("general.file_type")
    return FILE_TYPES.get(stated, most) if isinstance(stated, int) else most


def _hidden(values: Values) -> int:
    """Return the width of the feed-forward layer that computes the most at once: of experts, those that a token uses."""
    experts = values.number("expert_feed_forward_length") * values.number("expert_used_count")
    return max((*values.each_layer("feed_forward_length"), experts))
