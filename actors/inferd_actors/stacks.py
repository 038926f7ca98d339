"""Threads on deep stacks, for calls into libraries that recurse.

Covers: starting them. Who tokenizes text that anybody may send does it in such a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

STACK_BYTES: Final = 256 * 2**20
"""Address space for each thread. llama.cpp matches some texts by recursion, 350 bytes of stack for each character without a
break: 8 MiB, the usual size, ended the process at 30,000 characters of base64 with the tokenizer of deepseek-llm."""


def start_deep(threads: Iterable[threading.Thread]) -> None:
    """Start these threads; others that are started at the same moment may get such stacks too."""
    usual_bytes = threading.stack_size(STACK_BYTES)
    try:
        for thread in threads:
            thread.start()
    finally:
        threading.stack_size(usual_bytes)
