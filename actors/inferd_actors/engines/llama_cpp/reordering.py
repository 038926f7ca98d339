"""Which weights llama.cpp copies into another order as it loads them, for the sake of this CPU's instructions.

Covers: types of tensors by features of the CPU, as of the pinned llama.cpp (`ggml-cpu/repack.cpp`). The copy lies beside the
file's pages: such weights take twice their size (SmolLM2 as Q4_0: 57 MiB more, exactly its 57 MiB of that type). Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

REORDERED: Final[Mapping[str, frozenset[str]]] = {
    "avx2": frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"}),
    "avx512f": frozenset({"Q2_K"}),
    "asimddp": frozenset({"Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "Q1_0", "IQ4_NL", "MXFP4"}),
}
"""Feature as Linux names it in `/proc/cpuinfo` → types of tensors."""


def reordered_types(features: Collection[str]) -> frozenset[str]:
    """Return the types that are copied on a CPU with these features."""
    return frozenset[str]().union(*(types for feature, types in REORDERED.items() if feature in features))
