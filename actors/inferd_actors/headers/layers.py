"""What each layer of a model keeps of the past, from the keys of its architecture.

Covers: attention with its heads, windows, shared and compressed ones; recurrent layers of the kinds that llama.cpp knows. Does
not cover what is hard-wired for one architecture in the engine. Pure.
"""

from __future__ import annotations

from inferd_actors.headers.header import Layers
from inferd_actors.headers.values import Values


def what_layers_keep(values: Values) -> Layers:
    """Return what a token and a sequence leave in each layer. Raises Malformed.

    1. An encoder keeps nothing.
    2. A recurrent layer keeps a state for each sequence, and keys and values only if all layers do both.
    3. The last layers may use the keys and values of earlier ones.
    4. Compressed attention keeps one vector for both.
    """
    count = values.layers
    if values.is_false("attention.causal"):  # 1
        return Layers(keys=(0,) * count, values=(0,) * count, states=(0,) * count)
    state, recurrent = _state(values), _recurrent(values)
    alternates = values.has("attention.recurrent_layers") or values.has("full_attention_interval")
    own = count - values.number("attention.shared_kv_layers")
    heads = [
        0 if at >= own or (alternates and recurrent[at]) else heads  # 3, 2
        for at, heads in enumerate(kv_heads(values))
    ]
    keys, value_sizes = _head_sizes(values, "key_length"), _head_sizes(values, "value_length")
    if values.number("attention.key_length_mla"):  # 4
        value_sizes = [0] * count
    return Layers(
        keys=tuple(head * size for head, size in zip(heads, keys, strict=True)),
        values=tuple(head * size for head, size in zip(heads, value_sizes, strict=True)),
        states=tuple(state if is_recurrent else 0 for is_recurrent in recurrent),
    )


def kv_heads(values: Values) -> tuple[int, ...]:
    """Return the heads of keys and values for each layer: as many as of queries, unless the file says otherwise."""
    key = "attention.head_count_kv"
    return values.each_layer(key if values.has(key) else "attention.head_count")


def head_size(values: Values, key: str) -> int:
    """Return the numbers of a head: `key_length` or `value_length`."""
    heads = max(values.each_layer("attention.head_count"), default=0)
    return values.number(f"attention.{key}", values.number("embedding_length") // max(1, heads))


def _head_sizes(values: Values, key: str) -> list[int]:
    """Return the numbers of a head for each layer: those with a window may have their own."""
    size = head_size(values, key)
    other = values.number(f"attention.{key}_swa", size)
    if size == other:
        return [size] * values.layers
    return [other if windowed else size for windowed in values.each_layer("attention.sliding_window_pattern")]


def _recurrent(values: Values) -> list[bool]:
    """Tell for each layer whether it has a state.

    1. No layer has.
    2. They are listed.
    3. Every n-th has attention instead.
    4. Those without heads have, or all where all have heads.
    """
    if not _state(values):  # 1
        return [False] * values.layers
    if values.has("attention.recurrent_layers"):  # 2
        return [bool(one) for one in values.each_layer("attention.recurrent_layers")]
    if interval := values.number("full_attention_interval"):  # 3
        return [(at + 1) % interval != 0 for at in range(values.layers)]
    heads = kv_heads(values)
    return [not own or all(heads) for own in heads]  # 4


def _state(values: Values) -> int:
    """Return how many numbers a recurrent layer keeps for a sequence, its convolution's among them; 0: none is recurrent.

    Origin: `n_embd_r` and `n_embd_s` of llama.cpp, by kind: RWKV, short convolution, Kimi's delta attention, Mamba.
    """
    number, width = values.number, values.number("embedding_length")
    taps = number("ssm.conv_kernel")
    if size := number("wkv.head_size"):
        return number("token_shift_count", 2) * width + width * size
    if cached := number("shortconv.l_cache"):
        return width * (cached - 1)
    if size := number("kda.head_dim"):
        return number("attention.head_count") * size * (3 * (taps - 1 if taps else 3) + size)
    inner, state = number("ssm.inner_size"), number("ssm.state_size")
    return max(0, taps - 1) * (inner + 2 * number("ssm.group_count") * state) + inner * state
