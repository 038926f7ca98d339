"""The program that reads one header: a process of its own, since the file may be anybody's.

Covers: the limits of memory, processor time and files, and the answer on stdout, JSON: `{"header": ...}` or `{"problem": ...}`.
The file is open on stdin: this process opens nothing and needs no rights. See also: `reader`, which starts it and adds the
limit of wall time.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import BinaryIO, Final

from inferd_actors.headers.ct2_header import read_ct2
from inferd_actors.headers.cursor import Cursor, Malformed
from inferd_actors.headers.geometry import header_of
from inferd_actors.headers.gguf_header import read_contents
from inferd_actors.headers.header import Header
from inferd_actors.headers.onnx_header import read_onnx

MEMORY_BYTES: Final = 256 * 2**20
"""Address space: the interpreter takes 30 MB, the table of the largest model 1 MB more."""
CPU_S: Final = 10
"""The longest honest header, a vocabulary of 260,000 tokens and twice as many merges, takes 0.5 s on a slow core."""
BUFFER_BYTES: Final = 2**20
FIRST_BYTES: Final = 4
ONNX_BEGINS: Final = b"\x08"
"""The key of the first field, the version of the format; a GGUF file begins with its name."""


def header_in(file: BinaryIO, size_bytes: int) -> Header:
    """Return what the header of an open file says; its first bytes tell its format. Raises Malformed."""
    first = file.read(FIRST_BYTES)
    file.seek(0)
    cursor = Cursor(file, size_bytes)
    if first[1:] == b"\0\0\0":
        return read_ct2(cursor)
    if first[:1] == ONNX_BEGINS:
        return read_onnx(cursor)
    return header_of(read_contents(cursor))


def answer(read: Callable[[], Header]) -> dict[str, object]:
    """Return what is told about the file."""
    try:
        return {"header": asdict(read())}
    except Malformed as wrong:
        return {"problem": str(wrong)}
    except MemoryError:
        return {"problem": f"its header takes more than {MEMORY_BYTES // 2**20} MiB of memory"}


def limit(memory_bytes: int = MEMORY_BYTES, cpu_s: int = CPU_S) -> None:
    """Leave this process what an honest header takes; from here on it opens no file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))  # the first ends it by SIGXCPU, which tells why
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    if sys.platform != "darwin":  # there the system's own libraries alone map hundreds of gigabytes
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def main() -> None:
    """Read the file on stdin."""
    limit()
    size_bytes = os.fstat(sys.stdin.fileno()).st_size
    with open(sys.stdin.fileno(), "rb", buffering=BUFFER_BYTES, closefd=False) as file:
        json.dump(answer(lambda: header_in(file, size_bytes)), sys.stdout)


if __name__ == "__main__":
    main()
