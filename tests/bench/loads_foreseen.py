"""What loads are taken to need against what the processes take: before the first life, and after one.

Of each model that the tests have, in several sizes of context. Of a life counts the highest of five looks between three rounds
of eight streams, in which each part is used. One model is there at a time, for pages that two processes map count half.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from daemon_process import DaemonProcess, running
from measure import Goal, Row, single_row
from ours import model_file
from service import actor_pid, load, tree_bytes
from tiny_models import MODELS as TINY

from inferd import Client
from inferd_daemon.gauge import EVERY_S

STREAMS: Final = 8
ROUNDS: Final = 3
MEASURED_S: Final = 2.5 * EVERY_S
"""Until the daemon has measured a life twice after its last request."""
SHELF_BYTES: Final = 16 * 2**20
LIVES: Final[Mapping[str, tuple[str, Mapping[str, int]]]] = {
    **{
        f"starter/{context}:a": ("starter", {"context_tokens": context, "shelf_bytes": 0})
        for context in (512, 1_024, 2_048, 4_096, 8_192)
    },
    "starter/shelf:a": ("starter", {"context_tokens": 1_024, "shelf_bytes": SHELF_BYTES}),
    "tiny/chat:a": ("chat", {"shelf_bytes": 0}),
}
"""Name → file and settings."""
FIRST_GOAL: Final = Goal(10.0)
LEARNED_GOAL: Final = Goal(3.0)


@dataclass(frozen=True, slots=True)
class Life:
    """What a life was taken to need and what it took, in bytes."""

    basis: str
    expected_bytes: int
    taken_bytes: int

    @property
    def off(self) -> float:
        """How far the expectation was off, in percent of what was taken."""
        return 100.0 * (self.expected_bytes - self.taken_bytes) / self.taken_bytes


def run(_pairs: int) -> tuple[list[Row], list[str]]:
    """Return the rows and notes of this bench; there are no pairs: each life is compared with its own foresight."""
    with _service() as daemon, daemon.client("bench") as client:
        lives = {name: (_life(client, name), _life(client, name)) for name in LIVES}
    rows = [
        single_row("foreseen: first life, furthest off", "%", _furthest(lives, 0), FIRST_GOAL),
        single_row("foreseen: second life, furthest off", "%", _furthest(lives, 1), LEARNED_GOAL),
    ]
    return rows, [_note(name, *both) for name, both in lives.items()]


def _furthest(lives: Mapping[str, tuple[Life, Life]], which: int) -> float:
    return max(abs(both[which].off) for both in lives.values())


def _note(name: str, first: Life, second: Life) -> str:
    told = (
        f"{one.basis} {one.expected_bytes / 2**20:.0f} MiB, taken {one.taken_bytes / 2**20:.0f} ({one.off:+.1f} %)"
        for one in (first, second)
    )
    return f"foreseen: {name}: {'; then '.join(told)}"


@contextmanager
def _service() -> Iterator[DaemonProcess]:
    with tempfile.TemporaryDirectory(prefix="ifb-") as folder:
        files = {name: make(Path(folder)) for name, make in TINY.items()}
        files["starter"] = Path(shutil.copyfile(model_file(), Path(folder) / "starter.gguf"))
        rows = (
            f'[models."{name}"]\nengine = "llama_cpp"\nfile = "{files[file]}"\n'
            f"engine_options = {{ {', '.join(f'{key} = {value}' for key, value in options.items())} }}\n"
            for name, (file, options) in LIVES.items()
        )
        with running('log_level = "warning"\ndrain_s = 0.0\n\n' + "\n".join(rows)) as daemon:
            yield daemon


def _life(client: Client, model: str) -> Life:
    foreseen = client.models.preflight(model)
    load(client, model)
    pid = actor_pid(client, model)
    looks = [tree_bytes(pid)]
    for _ in range(ROUNDS):
        with ThreadPoolExecutor(STREAMS) as streams:
            list(streams.map(lambda number: _ask(client, model, number), range(STREAMS)))
        looks.append(tree_bytes(pid))
    time.sleep(MEASURED_S)
    looks.append(tree_bytes(pid))
    client.models.unload(model)
    return Life(foreseen.basis, foreseen.estimate_bytes, max(looks))


def _ask(client: Client, model: str, number: int) -> None:
    words = " ".join(f"{number}{word:02}" for word in range(30))
    client.generate(words, model=model, max_tokens=8)
