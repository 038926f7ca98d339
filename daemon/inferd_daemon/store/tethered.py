"""Runs pip, and ends when the process that started it does: a killed daemon leaves no download behind.

Started as a script, with pip's arguments and a pipe as stdin into which nobody writes: it ends only with its owner.
"""

import os
import runpy
import threading


def _end_with_the_owner() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_owner, daemon=True).start()
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
