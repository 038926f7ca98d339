"""Whether this CPU and this compiler together can use AMX instructions, which neither tells.

Covers: one trial, and the compiler flags that leave AMX out. Why: optimizing, GCC 12 takes the instruction that reads a
tile's shape for one that reads its first eight bytes, and leaves the others unwritten; llama.cpp compiled for a CPU with AMX
then dies of the first tile, "illegal instruction" (seen). A kernel that withholds the tiles' state ends the same way.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

WITHOUT: Final = ("-DCMAKE_C_FLAGS=-U__AMX_INT8__", "-DCMAKE_CXX_FLAGS=-U__AMX_INT8__")
"""ggml's AMX code is compiled where the compiler defines this, whatever ggml's own switches say in a native build."""
CPU: Final = Path("/proc/cpuinfo")
TRIAL: Final = """
#include <immintrin.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    if (syscall(SYS_arch_prctl, 0x1023, 18)) return 1; /* ARCH_REQ_XCOMP_PERM for the tiles' state */
    uint8_t shape[64] = {1};
    shape[16] = 64; shape[48] = 16;                    /* tile 0: 16 rows of 64 bytes */
    _tile_loadconfig(shape);
    _tile_zero(0);
    _tile_release();
    return 0;
}
"""


def flags() -> tuple[str, ...]:
    """Return what CMake must be told: nothing where AMX works, or where there is none. Blocks for half a second."""
    return WITHOUT if _is_announced() and not _works() else ()


def _is_announced() -> bool:
    return CPU.exists() and " amx_tile" in CPU.read_text(encoding="utf-8")


def _works() -> bool:
    compiler = os.environ.get("CC") or next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), "cc")
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "trial.c"), Path(folder, "trial")
        source.write_text(TRIAL, encoding="utf-8")
        build = [compiler, "-O3", "-mamx-tile", "-mamx-int8", str(source), "-o", str(program)]
        try:
            subprocess.run(build, check=True, capture_output=True)
            return subprocess.run([str(program)], check=False).returncode == 0
        except (OSError, subprocess.CalledProcessError):  # a compiler that cannot compile it will not use it either
            return False
