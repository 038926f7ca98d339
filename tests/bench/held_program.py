"""A child of benches: a program that knows nothing of the bench, ended with it, whatever happens.

`held_program.py LOG COMMAND…`: says its process id, and ends it when the bench closes its end. Ends itself when it ends.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from child import say

END_S = 3.0
"""Less than the bench waits for this process."""


def hold(log: Path, command: list[str]) -> int:
    """Run a command until it ends or the bench does; return its exit code."""
    with log.open("wb") as output:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    say(pid=program.pid)
    threading.Thread(target=_watch, args=(program,), daemon=True).start()
    return program.wait()


def _watch(program: subprocess.Popen[bytes]) -> None:
    sys.stdin.read()
    program.terminate()
    try:
        program.wait(END_S)
    except subprocess.TimeoutExpired:
        program.kill()


if __name__ == "__main__":
    sys.exit(hold(Path(sys.argv[1]), sys.argv[2:]))
