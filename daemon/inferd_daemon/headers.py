"""What model files say of themselves, for the loop: each is read once, and known as long as it stays the same.

Covers: asking without waiting, joining those who ask for one file, remembering. Does not cover reading, which is done in a
worker thread by a process of its own (`inferd_actors.headers`). Methods are called in the loop; none blocks but for a look at a
file's size and time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from inferd.errors import LoadFailed
from inferd_actors.engines.faster_whisper import prediction as faster_whisper
from inferd_actors.engines.piper import prediction as piper
from inferd_actors.headers.header import Header
from inferd_actors.headers.reader import read_header
from inferd_daemon.telemetry import report, survived

HEADED: Final[Mapping[str, str]] = MappingProxyType(
    {"llama_cpp": "*", "faster_whisper": faster_whisper.FILE, "piper": piper.FILE}
)
"""Engine → which of a model's files has the header: no file reaches these engines before it was read within limits."""
KEPT: Final = 256
"""Answers that are remembered, some kilobytes each: more models than anybody keeps on one disk."""

Answer = Header | LoadFailed
OnRead = Callable[[Answer], None]
"""In the loop."""


def headed_file(engine: str, path: Path | None) -> Path | None:
    """Return the file to read before this engine sees what is at `path`; None: there is none. Looks into a folder."""
    if path is None or engine not in HEADED:
        return None
    return next(iter(sorted(path.glob(HEADED[engine]))), path) if path.is_dir() else path


class Mark(NamedTuple):
    """What tells a file from one that takes its place."""

    path: str
    size_bytes: int
    mtime_ns: int


class Headers:
    """The headers. `read(path)` blocks and raises LoadFailed; it runs in a worker thread."""

    def __init__(self, tasks: asyncio.TaskGroup, read: Callable[[str], Header] = read_header) -> None:
        self._tasks = tasks
        self._read = read
        self._known: dict[Mark, Answer] = {}
        self._asking: dict[Mark, list[OnRead]] = {}

    def ask(self, path: Path, then: OnRead) -> None:
        """Have `then` told what the file says, or why it cannot be a model: at once if that is known."""
        try:
            now = path.stat()
        except OSError as failed:
            then(LoadFailed(f"{path.name} cannot be read: {failed.strerror}", details={"cause": "file_missing"}))
            return
        mark = Mark(str(path), now.st_size, now.st_mtime_ns)
        known = self._known.get(mark)
        if known is not None:
            then(known)
            return
        asking = self._asking.setdefault(mark, [])
        asking.append(then)
        if len(asking) == 1:
            self._tasks.create_task(self._find_out(mark), name=f"header of {path.name}")

    async def _find_out(self, mark: Mark) -> None:
        answer = await self._answer(mark.path)
        if _is_lasting(answer):
            self._known[mark] = answer
            if len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
        for then in self._asking.pop(mark):
            with survived("what follows a header"):
                then(answer)

    async def _answer(self, path: str) -> Answer:
        try:
            return await asyncio.to_thread(self._read, path)
        except LoadFailed as failed:
            return failed
        except Exception as bug:  # noqa: BLE001 - in a task of the root group it would end the daemon
            report(bug, "reading a header")
            return LoadFailed(
                f"its header could not be read, by a bug ({type(bug).__name__})", details={"cause": "engine"}
            )


def _is_lasting(answer: Answer) -> bool:
    """Tell whether asking again about the same file would give the same; parts of a model may change unseen."""
    if isinstance(answer, LoadFailed):
        return answer.details.get("cause") == "file_corrupt"
    return answer.parts == 1
