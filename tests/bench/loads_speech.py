"""What first lives of speech models are taken to need against what their processes take, read while they work.

Of the packaged models: Whisper in two sizes and two kinds of numbers, and a voice. Sound is noise, which costs what speech does
and more; the voice speaks one long text. A process is read twenty times a second while it works on three windows, or sentences.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from typing import Final

from daemon_process import DaemonProcess, running
from measure import Goal, Row, single_row
from service import actor_pid, models_dir, tree_bytes

from inferd import Client
from inferd_daemon.catalogue import Schema, curated
from inferd_daemon.store import Store

RATE_HZ: Final = 16_000
SOUND_S: Final = 75
"""Three windows of Whisper."""
LOOK_S: Final = 0.05
TEXT: Final = (
    "The quick brown fox jumps over the lazy dog while the sun is slowly setting behind the hills, and nobody in the whole "
    "valley wants to go home before it is dark. "
)
LIVES: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    **{
        f"ear/{size}-{kind}:a": (f"openai/whisper-{size}:int8", {"compute_type": kind})
        for size in ("tiny.en", "base")
        for kind in ("int8", "float32")
    },
    "voice/joe:a": ("piper/en_us-joe-medium:f32", {}),
}
"""Name → model of the curated list, and settings."""
GOAL: Final = Goal(10.0)


def run(_pairs: int) -> tuple[list[Row], list[str]]:
    """Return the row and the notes of this bench; there are no pairs: each life is compared with its own foresight."""
    with _service() as daemon, daemon.client("bench") as client:
        lives = {name: _life(client, name, curated().find(model)) for name, (model, _) in LIVES.items()}
    furthest = max(abs(_off(*life)) for life in lives.values())
    notes = [
        f"speech: {name}: foreseen {expected / 2**20:.0f} MiB, taken {taken / 2**20:.0f} ({_off(expected, taken):+.1f} %)"
        for name, (expected, taken) in lives.items()
    ]
    return [single_row("foreseen: first life of a speech model, furthest off", "%", furthest, GOAL)], notes


def _off(expected_bytes: int, taken_bytes: int) -> float:
    return 100.0 * (expected_bytes - taken_bytes) / taken_bytes


@contextmanager
def _service() -> Iterator[DaemonProcess]:
    store = Store(models_dir())
    rows = []
    for name, (model, options) in LIVES.items():
        schema = curated().find(model)
        folder = store.pull(schema, lambda _progress: None, Event())
        assert folder is not None
        files = ", ".join(f'{{ name = "{one.name}", file = "{one.resolve()}" }}' for one in sorted(folder.iterdir()))
        said = ", ".join(f'{key} = "{value}"' for key, value in options.items())
        rows.append(
            f'[models."{name}"]\nengine = "{schema.engine}"\nfiles = [{files}]\nengine_options = {{ {said} }}\n'
        )
    with running('log_level = "warning"\ndrain_s = 0.0\n\n' + "\n".join(rows)) as daemon:
        yield daemon


def _life(client: Client, name: str, schema: Schema) -> tuple[int, int]:
    """Return what a life was taken to need, and the most that it took."""
    list(client.models.pull(name))
    expected_bytes = client.models.preflight(name).estimate_bytes
    work = _hearing(client, name) if schema.engine == "faster_whisper" else _speaking(client, name)
    work(1)
    taken_bytes = _most_bytes(actor_pid(client, name), lambda: work(3))
    client.models.unload(name)
    return expected_bytes, taken_bytes


def _hearing(client: Client, name: str) -> Callable[[int], object]:
    chance = random.Random(0)  # noqa: S311 - noise
    sound = b"".join(chance.randint(-9_000, 9_000).to_bytes(2, "little", signed=True) for _ in range(RATE_HZ * SOUND_S))
    return lambda times: client.transcribe(sound[: len(sound) * times // 3], rate_hz=RATE_HZ, model=name)


def _speaking(client: Client, name: str) -> Callable[[int], object]:
    return lambda times: client.synthesize(TEXT * times, model=name)


def _most_bytes(pid: int, work: Callable[[], object]) -> int:
    """Return the most that a process and those below it took while `work` went on."""
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            most[0] = max(most[0], tree_bytes(pid))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        work()
    finally:
        over.set()
        looking.join()
    return most[0]
