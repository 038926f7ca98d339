"""Where speech goes: into a WAV file, or to the loudspeaker by whichever player this system has.

Covers: the choice of a player, and the file's header. Sound is int16, mono.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol

import typer

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Output(Protocol):
    """Takes sound piece by piece; used as a `with` block, at whose proper end everything has been written or heard."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def write(self, pcm: bytes, rate_hz: int) -> None:
        """Take the next piece; blocks while the player has no room."""


PLAYERS: Final[Mapping[str, Callable[[int], list[str]]]] = {
    "paplay": lambda rate_hz: ["paplay", "--raw", "--format=s16le", f"--rate={rate_hz}", "--channels=1"],
    "aplay": lambda rate_hz: ["aplay", "-q", "-t", "raw", "-f", "S16_LE", "-r", str(rate_hz), "-c", "1", "-"],
}
"""Program → how it plays samples as they are piped in; the one that knows the desktop's devices first."""
FILE_PLAYER: Final = "afplay"
"""macOS has a player of files alone."""


def output_to(path: str | None) -> Output:
    """Return where sound is to go: a file, - for stdout, None for the loudspeaker. Raises BadParameter without a player."""
    if path is not None:
        return WavFile(path)
    for program, line in PLAYERS.items():
        if shutil.which(program):
            return Piped(line)
    if shutil.which(FILE_PLAYER):
        return Played()
    raise typer.BadParameter(f"no player is installed ({', '.join((*PLAYERS, FILE_PLAYER))}): give -o FILE")


class _Gathered:
    """Keeps everything until the end."""

    def __init__(self) -> None:
        self._sound = bytearray()
        self._rate_hz = 16_000  # of no samples at all

    def __enter__(self) -> Self:
        return self

    def write(self, pcm: bytes, rate_hz: int) -> None:
        """Take the next piece."""
        self._sound += pcm
        self._rate_hz = rate_hz

    def wav(self) -> bytes:
        """Return the whole as a WAV file."""
        whole = io.BytesIO()
        with wave.open(whole, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self._rate_hz)
            file.writeframes(self._sound)
        return whole.getvalue()


class WavFile(_Gathered):
    """A file, written once all of it is there: what is broken off leaves none."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error:
            return
        if self._path == "-":
            sys.stdout.buffer.write(self.wav())
            sys.stdout.buffer.flush()
            return
        try:
            Path(self._path).write_bytes(self.wav())
        except OSError as reason:
            raise typer.BadParameter(f"{self._path} cannot be written: {reason.strerror}") from None


class Played(_Gathered):
    """A player of files, started once all of it is there."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error or not self._sound:
            return
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            file.write(self.wav())
            file.flush()
            subprocess.run([FILE_PLAYER, file.name], check=False)


class Piped:
    """A player that plays as the sound comes."""

    def __init__(self, line: Callable[[int], list[str]]) -> None:
        self._line = line
        self._player: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def write(self, pcm: bytes, rate_hz: int) -> None:
        """Pass the next piece on. Raises BadParameter if the player has ended: it has said why."""
        try:
            pipe = self._pipe(rate_hz)
            pipe.write(pcm)
            pipe.flush()
        except BrokenPipeError:
            raise typer.BadParameter("the player ended: give -o FILE to have the sound in a file") from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._player is None:
            return
        if error:
            self._player.terminate()
        with suppress(BrokenPipeError):
            self._player.communicate()

    def _pipe(self, rate_hz: int) -> IO[bytes]:
        if self._player is None:
            self._player = subprocess.Popen(self._line(rate_hz), stdin=subprocess.PIPE)
        pipe = self._player.stdin
        if pipe is None:
            raise BrokenPipeError
        return pipe
