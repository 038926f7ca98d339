"""What layers keep of the past, by their header: each kind that the engine knows, and the tiny models against the engine."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from gguf_draft import BOOL, LIST, TEXT, UINT32, Draft, key, listed, text, u32

from inferd_actors import engines
from inferd_actors.headers.header import Header, Layers
from inferd_actors.headers.reader import read_header
from inferd_actors.headers.reading import header_in
from inferd_actors.headers.tensor_types import TENSOR_TYPES

SIZES = {
    "block_count": 4,
    "embedding_length": 64,
    "attention.head_count": 8,
    "attention.head_count_kv": 2,
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 128,
    "ssm.state_size": 16,
}
STATE = 3 * 128 + 128 * 16
"""Numbers of a Mamba layer of these sizes."""


Size = int | bool | list[int] | list[bool]


def header(**changes: Size | None) -> Header:
    values = {key.replace(".", "__"): one for key, one in SIZES.items()} | changes
    entries = [_key(name.replace("__", "."), value) for name, value in values.items() if value is not None]
    file = Draft(keys=(key("general.architecture", TEXT, text("x")), *entries), tensors=(), data=b"").file
    return header_in(io.BytesIO(file), len(file))


def _key(name: str, value: Size) -> bytes:
    match value:
        case bool():
            return key(f"x.{name}", BOOL, bytes([value]))
        case int():
            return key(f"x.{name}", UINT32, u32(value))
        case [bool(), *_]:
            return key(f"x.{name}", LIST, listed(BOOL, len(value), bytes(value)))
        case _:
            return key(f"x.{name}", LIST, listed(UINT32, len(value), b"".join(map(u32, value))))


def attention(**changes: Size | None) -> Layers:
    return header(ssm__conv_kernel=None, ssm__inner_size=None, ssm__state_size=None, **changes).layers


def test_attention_keeps_keys_and_values_of_its_own_heads() -> None:
    assert attention() == Layers(keys=(16,) * 4, values=(16,) * 4, states=(0,) * 4)


def test_without_heads_of_their_own_keys_have_those_of_queries() -> None:
    assert attention(attention__head_count_kv=None).keys == (64,) * 4


def test_heads_may_differ_between_layers_and_keys_from_values() -> None:
    layers = attention(attention__head_count_kv=[1, 2, 3, 4], attention__key_length=10, attention__value_length=20)
    assert (layers.keys, layers.values) == ((10, 20, 30, 40), (20, 40, 60, 80))


def test_layers_with_a_window_may_have_heads_of_another_size() -> None:
    layers = attention(attention__key_length_swa=4, attention__sliding_window_pattern=[True, False, True, False])
    assert layers.keys == (8, 16, 8, 16)
    assert layers.values == (16,) * 4


def test_the_last_layers_may_share_what_earlier_ones_keep() -> None:
    assert attention(attention__shared_kv_layers=3).keys == (16, 0, 0, 0)


def test_compressed_attention_keeps_one_vector() -> None:
    layers = attention(attention__head_count_kv=1, attention__key_length=576, attention__key_length_mla=192)
    assert (layers.keys, layers.values) == ((576,) * 4, (0,) * 4)


def test_an_encoder_keeps_nothing() -> None:
    made = header(attention__causal=False)
    assert made.layers == Layers(keys=(0,) * 4, values=(0,) * 4, states=(0,) * 4)
    assert not made.is_causal


def test_a_recurrent_model_without_heads_keeps_states_only() -> None:
    made = header(attention__head_count=None, attention__head_count_kv=None).layers
    assert made == Layers(keys=(0,) * 4, values=(0,) * 4, states=(STATE,) * 4)


def test_layers_without_heads_are_recurrent() -> None:
    made = header(attention__head_count_kv=[0, 0, 2, 0]).layers
    assert made.keys == (0, 0, 16, 0)
    assert made.states == (STATE, STATE, 0, STATE)


def test_every_layer_may_do_both() -> None:
    made = header().layers
    assert made.keys == (16,) * 4
    assert made.states == (STATE,) * 4


@pytest.mark.parametrize(
    "named",
    [{"full_attention_interval": 2}, {"attention__recurrent_layers": [True, False, True, False]}],
)
def test_recurrent_layers_may_be_named(named: Mapping[str, Size]) -> None:
    made = header(**named).layers
    assert made.keys == (0, 16, 0, 16)
    assert made.states == (STATE, 0, STATE, 0)


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        ({"wkv__head_size": 64}, 2 * 64 + 64 * 64),
        ({"wkv__head_size": 64, "token_shift_count": 1}, 64 + 64 * 64),
        ({"shortconv__l_cache": 3, "attention__head_count_kv": [0, 0, 0, 0]}, 64 * 2),
        ({"kda__head_dim": 16}, 3 * 3 * 8 * 16 + 16 * 16 * 8),
        ({"ssm__group_count": 2}, 3 * (128 + 2 * 2 * 16) + 128 * 16),
    ],
)
def test_each_kind_of_recurrence_has_its_state(keys: Mapping[str, Size], numbers: int) -> None:
    assert header(**keys).layers.states == (numbers,) * 4


def test_the_widest_layer_is_that_of_the_experts_a_token_uses() -> None:
    assert header(feed_forward_length=100, expert_feed_forward_length=60, expert_used_count=2).hidden == 120


# --- against the engine's own numbers


needs_llama = pytest.mark.skipif(bool(engines.missing("llama_cpp")), reason="llama-cpp-python or jinja2 is missing")


@needs_llama
def test_the_table_of_types_is_the_librarys() -> None:
    from inferd_actors.engines.llama_cpp.library.binding import bare as ggml

    ggml.ggml_type_size.restype = ggml.ggml_blck_size.restype = ctypes.c_size_t
    for number, known in TENSOR_TYPES.items():
        sizes = (ggml.ggml_blck_size(number), ggml.ggml_type_size(number))
        assert sizes == (known.block, known.block_bytes), known.name


@needs_llama
@pytest.mark.parametrize("name", ["chat", "recurrent", "windowed"])
def test_a_state_has_the_size_that_the_header_tells(name: str, tiny_models: Mapping[str, Path]) -> None:
    from inferd_actors.engines.llama_cpp import library
    from inferd_actors.engines.llama_cpp.shelf import Shelf

    path = str(tiny_models[name])
    layers = read_header(path).layers
    library.open_library()
    model = library.Model(path, gpu_layers=0, on_progress=lambda _: True)
    context = library.Context(model, cells=512, seats=1, batch_tokens=512, threads=1)

    def size_of(tokens: int) -> int:
        context.decode([library.Row(0, 0, [1] * tokens, wants_logits=False)])
        size = len(context.save(0, Shelf(0).place))
        context.forget(0)
        return size

    short, long = size_of(4), size_of(12)  # within the window
    context.close()
    model.close()
    cache_bytes = 2 * (sum(layers.keys) + sum(layers.values)) * 8
    assert cache_bytes <= long - short <= cache_bytes + 8 * 64  # besides, each cell tells its place
    states_bytes = 4 * sum(layers.states)
    assert states_bytes <= short - (long - short) // 2 <= states_bytes + 4_096
