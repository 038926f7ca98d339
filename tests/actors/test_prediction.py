"""The arithmetic of predicted memory; how near it comes to real processes: `tests/system/test_predicted_memory.py`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.errors import LoadFailed
from inferd_actors.engines import processor
from inferd_actors.engines.llama_cpp.prediction import CUDA_BASE_BYTES, CUDA_BYTES, Prediction, predict
from inferd_actors.engines.llama_cpp.reordering import reordered_types
from inferd_actors.headers.header import Header, Layers

LAYERS = Layers(keys=(192,) * 30, values=(192,) * 30, states=(0,) * 30)
STARTER = Header(
    architecture="llama",
    context_tokens=8_192,
    width=576,
    hidden=1_536,
    vocabulary=49_152,
    merges=48_900,
    has_template=True,
    tensor_bytes={"F32": 140_544, "Q4_1": 66_355_200, "Q8_0": 30_081_024},
    layers=LAYERS,
)
RECURRENT = replace(STARTER, layers=Layers(keys=(0,) * 30, values=(0,) * 30, states=(1_000,) * 30))


def of(header: Header = STARTER, **options: int) -> Prediction:
    return predict(header, options)


def test_the_cache_has_two_contexts_of_keys_and_values_in_16_bits() -> None:
    assert of().cache_bytes == 2 * 4_096 * 30 * 384 * 2
    assert of(context_tokens=1_024, cache_tokens=5_120).cache_bytes == 5_120 * 30 * 384 * 2
    assert of(context_tokens=300).cache_bytes == 768 * 30 * 384 * 2, "cells come in multiples of 256"


def test_a_state_is_kept_for_each_seat_whatever_the_context() -> None:
    assert of(RECURRENT, slots=3, prefixes=1).cache_bytes == 4 * 30 * 1_000 * 4
    assert of(RECURRENT, context_tokens=512).peak_bytes == of(RECURRENT).peak_bytes


def test_weights_are_all_tensors_and_those_in_another_order_count_twice() -> None:
    plain, copied = of(), predict(STARTER, {}, reordered={"Q4_1"})
    assert plain.weights_bytes == 96_576_768
    assert copied.reordered_bytes == copied.peak_bytes - plain.peak_bytes == 66_355_200


def test_on_a_gpu_nothing_is_copied_and_steps_are_larger() -> None:
    on_gpu = predict(STARTER, {}, reordered={"Q4_1"}, has_gpu=True)
    assert on_gpu.reordered_bytes == 0
    assert on_gpu.compute_bytes > of().compute_bytes


def test_what_lies_on_a_gpu_does_not_lie_in_the_machines_memory() -> None:
    whole, half, none = (predict(STARTER, {"gpu_layers": layers}, has_gpu=True) for layers in (-1, 15, 0))
    moved_bytes = whole.weights_bytes + whole.cache_bytes
    assert whole.gpu_bytes == CUDA_BYTES + whole.compute_bytes + moved_bytes
    assert (
        whole.peak_bytes == of().peak_bytes + CUDA_BASE_BYTES - moved_bytes + whole.compute_bytes - of().compute_bytes
    )
    assert half.gpu_bytes == CUDA_BYTES + half.compute_bytes + int(15 / 31 * moved_bytes)
    assert (none.gpu_bytes, none.peak_bytes) == (0, of().peak_bytes)
    assert of().gpu_bytes == 0, "where there is no GPU, whatever the settings"


def test_a_model_with_windows_has_a_second_mask() -> None:
    windowed = replace(STARTER, window_tokens=512)
    assert of(windowed).compute_bytes - of().compute_bytes == 2 * 8_192 * 256


def test_an_encoder_without_template_takes_neither_cache_nor_renderer() -> None:
    encoder = replace(STARTER, has_template=False, layers=Layers(keys=(0,) * 30, values=(0,) * 30, states=(0,) * 30))
    assert (of(encoder).cache_bytes, of(encoder).template_bytes) == (0, 0)


def test_what_is_to_be_reserved_includes_a_full_shelf() -> None:
    assert of(shelf_bytes=0).peak_bytes == of(shelf_bytes=0).loaded_bytes
    assert of(shelf_bytes=12_345).peak_bytes == of(shelf_bytes=0).peak_bytes + 12_345


@pytest.mark.parametrize(
    ("options", "named"),
    [({"context_tokens": 8_193}, "context_tokens"), ({"contxt": 1}, "contxt"), ({"slots": 0}, "slots")],
)
def test_a_wrong_setting_is_named_as_the_load_would(options: dict[str, int], named: str) -> None:
    with pytest.raises(LoadFailed) as failed:
        predict(STARTER, options)
    assert failed.value.details["option"] == named


@given(st.integers(1, 8_192), st.integers(0, 100_000), st.integers(1, 128), st.integers(0, 64), st.integers(0, 2**40))
def test_more_of_anything_never_takes_less(context: int, cache: int, slots: int, prefixes: int, shelf: int) -> None:
    less = of(context_tokens=context, cache_tokens=cache, slots=slots, prefixes=prefixes, shelf_bytes=shelf)
    for more in (
        of(
            context_tokens=min(8_192, 2 * context),
            cache_tokens=cache,
            slots=slots,
            prefixes=prefixes,
            shelf_bytes=shelf,
        ),
        of(context_tokens=context, cache_tokens=2 * cache, slots=slots, prefixes=prefixes, shelf_bytes=shelf),
        of(context_tokens=context, cache_tokens=cache, slots=128, prefixes=64, shelf_bytes=shelf),
        of(context_tokens=context, cache_tokens=cache, slots=slots, prefixes=prefixes, shelf_bytes=shelf + 1),
    ):
        assert more.peak_bytes >= less.peak_bytes


def test_weights_are_reordered_for_the_instructions_of_a_cpu() -> None:
    assert reordered_types({"fpu", "avx2"}) == {"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"}
    assert "Q2_K" in reordered_types({"avx2", "avx512f"})
    assert "Q6_K" in reordered_types({"asimd", "asimddp"})
    assert reordered_types({"sse2"}) == frozenset()


@pytest.mark.skipif(not processor.ROWS.exists(), reason="the kernel does not tell")
def test_the_features_of_this_cpu_are_known() -> None:
    assert processor.features() & {"fpu", "asimd", "fp"}


@pytest.mark.parametrize(
    ("rows", "features", "is_intel"),
    [
        ("processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu avx2\n\nflags\t: other\n", {"fpu", "avx2"}, True),
        ("vendor_id\t: AuthenticAMD\nmodel name\t: GenuineIntel's rival\nflags : fpu\n", {"fpu"}, False),
        ("processor\t: 0\nFeatures\t: fp asimd\n", {"fp", "asimd"}, False),
        ("", set(), False),
    ],
)
def test_what_the_kernel_says_of_a_cpu_is_read(
    tmp_path: Path, rows: str, features: set[str], *, is_intel: bool
) -> None:
    file = tmp_path / "cpuinfo"
    assert (processor.features(file), processor.is_intel(file)) == (frozenset(), False), "there is no such file"
    file.write_text(rows)
    assert (processor.features(file), processor.is_intel(file)) == (frozenset(features), is_intel)
