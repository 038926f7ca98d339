"""inferd's side of the speech benches: a daemon with an ear, a voice and a text model, and a microphone.

Covers: the models and their threads, the daemon, loading them, sound that is fed by the clock. Every side is given the same
files and as many threads. See also: `speech_direct`, the libraries called without a daemon.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Final

import numpy as np
from daemon_process import DaemonProcess, running
from numpy.typing import NDArray
from ours import STANDARD, Room
from recordings import RATE_HZ
from service import STARTER, load, models_dir

from inferd import Client
from inferd_actors.engines import cores
from inferd_daemon.catalogue import curated
from inferd_daemon.store import Store

EAR: Final = "openai/whisper-tiny.en:int8"
FINE_EAR: Final = "openai/whisper-base:int8"
VOICE: Final = "piper/en_us-joe-medium:f32"
THREADS: Final = min(4, cores.count())
"""Of each model: what inferd takes by itself on a machine of up to four cores."""
FRAME: Final = 320
"""Samples that a microphone hands over: 20 ms."""

Sound = NDArray[np.int16]
Send = Callable[[bytes], Awaitable[None]]


def path_of(model: str) -> Path:
    """Return a model's folder, or a voice's file with its description beside it; fetched if it is not here."""
    models_dir().mkdir(parents=True, exist_ok=True)
    path = Store(models_dir()).pull(curated().find(model), lambda _progress: None, Event())
    assert path is not None
    return next(path.glob("*.onnx"), path)


@contextmanager
def service(*models: str, room: Room = STANDARD) -> Iterator[DaemonProcess]:
    """Run a daemon that has these models loaded, for the length of a block. `room`: of the text model."""
    rows = [f'[models."{model}"]\nengine_options = {_options(model, room)}\n' for model in models]
    for model in models:
        path_of(model)
    config = "\n".join(['log_level = "warning"\ndrain_s = 0.0\n', *rows])
    with running(config, environment={"INFERD_MODELS_DIR": str(models_dir())}) as daemon:
        with daemon.client("bench") as client:
            for model in models:
                wake(client, model)
        yield daemon


def _options(model: str, room: Room) -> str:
    return room.engine_options if model == STARTER else f"{{ threads = {THREADS} }}"


def wake(client: Client, model: str) -> None:
    """Have a model loaded; returns when it has done something."""
    match model:
        case _ if model == STARTER:
            load(client, model)
        case _ if model == VOICE:
            client.synthesize("I am here.", model=model)
        case _:
            client.transcribe(quiet(1.0).tobytes(), RATE_HZ, model=model, language="en")


def quiet(seconds: float) -> Sound:
    """Return silence, int16, shape (n_samples,)."""
    return np.zeros(round(seconds * RATE_HZ), np.int16)


async def microphone(send: Send, sound: Sound) -> float:
    """Send a sound as it would be heard, a frame every 20 ms; return when its first sample was, monotonic seconds."""
    began_s = time.monotonic()
    for at in range(0, len(sound), FRAME):
        frame = sound[at : at + FRAME]
        await asyncio.sleep(began_s + (at + len(frame)) / RATE_HZ - time.monotonic())
        await send(frame.tobytes())
    return began_s
