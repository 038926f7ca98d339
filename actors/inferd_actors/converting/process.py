"""The program that converts one model: a process of its own, since its inputs may be anybody's.

Started as `python -m inferd_actors.converting.process RECIPE INPUTS TARGET MAX_BYTES`, with an empty environment and a pipe as
stdin whose end means that the daemon is gone. Covers: the limits of memory, processor time and of what is written; the answer
on stdout, one line: empty, or what is wrong.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

CPU_S: Final = 120
"""MiniLM takes 1.5 s on a slow core, a model thirty times as large a minute."""
MEMORY_BYTES: Final = 8 * 2**30
"""Address space: inputs are mapped, and what is written is held as a whole before."""
PROBLEM_CHARS: Final = 500


def _bert(folder: Path, target: Path) -> None:
    from inferd_actors.converting.bert import convert

    convert(folder, target)


RECIPES: Final[Mapping[str, Callable[[Path, Path], None]]] = {"bert_gguf": _bert}


def limit(max_bytes: int) -> None:
    """Leave this process what a conversion takes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
    if sys.platform != "darwin":  # there the system's own libraries alone map hundreds of gigabytes
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def answer(recipe: str, folder: Path, target: Path) -> str:
    """Return what went wrong; an empty text if the file is there."""
    try:
        RECIPES[recipe](folder, target)
    except ImportError as missing:
        return f"it needs a package that is not installed ({missing.name}): install inferd[llama]"
    except MemoryError:
        return f"it takes more than {MEMORY_BYTES // 2**30} GiB of memory"
    except Exception as wrong:  # noqa: BLE001 - odd values may make a library raise anything
        return f"{type(wrong).__name__}: {wrong}"
    return ""


def _end_with_the_owner() -> None:
    os.read(0, 1)
    os._exit(1)


def main() -> None:
    """Convert once."""
    recipe, folder, target, max_bytes = sys.argv[1:]
    threading.Thread(target=_end_with_the_owner, daemon=True).start()
    limit(int(max_bytes))
    words = answer(recipe, Path(folder), Path(target))[:PROBLEM_CHARS]
    sys.stdout.write("".join(one if one.isprintable() else " " for one in words))


if __name__ == "__main__":
    main()
