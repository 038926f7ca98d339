"""`inferd demo-voice`, not shown in the help: a question is spoken, heard live, answered by voice, and shown as a picture.

Covers: the steps. See also: `hosting` (the daemon for it), `timeline` and `drawing` (the picture), `make demo-voice`, which
installs first.
"""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from inferd.messages.events import TextDelta
from inferd_cli import amounts
from inferd_cli.asking import fetch
from inferd_cli.client import APP, connect
from inferd_cli.demo import STARTER
from inferd_cli.failures import telling
from inferd_cli.hosting import hosted, since, step
from inferd_cli.options import AsJson, Socket
from inferd_cli.playing import output_to
from inferd_cli.screen import screen_of_stdout

if TYPE_CHECKING:
    from inferd import Speech
    from inferd.voice import Session, VoiceEvent
    from inferd_cli.client import Client
    from inferd_cli.screen import Screen
    from inferd_cli.timeline import Record

EAR: Final = "openai/whisper-tiny.en:int8"
VOICE: Final = "piper/en_us-joe-medium:f32"
"""Small models that need no hub: they come in Python packages, as the one that writes."""
QUESTION: Final = "Please tell me something nice about the ocean."
SYSTEM: Final = "Answer in two short sentences."
FRAME_S: Final = 0.02
"""Of the microphone: as sound cards and telephones deliver it."""
MAX_TOKENS: Final = 60
"""Of the answer: some fifteen seconds of speech."""


def demo_voice(
    context: typer.Context,
    *,
    question: Annotated[str, typer.Option(help="What to ask.")] = QUESTION,
    folder: Annotated[
        Path, typer.Option(file_okay=False, help="Where answer.wav and turn.png are written; made if it is not there.")
    ] = Path(),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the daemon running.")] = False,
    as_json: AsJson = False,
    socket: Socket = None,
) -> None:
    """Show a turn by voice: speak a question, hear it live, write and speak the answer, and draw who worked when."""
    # A demo that is ended by a signal puts everything back, as one that is interrupted does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen = screen_of_stdout(as_json=as_json, stats=True)
    with telling(as_json=as_json), hosted(context.obj or connect, socket, screen, keep=keep) as client:
        _fetch_all(client, screen)
        spoken = _speak(client, question, screen)
        record = asyncio.run(_turn(socket, spoken, screen))
        folder.mkdir(parents=True, exist_ok=True)
        _write(record, folder, screen)


def _fetch_all(client: Client, screen: Screen) -> None:
    began_s = time.monotonic()
    for name in (EAR, VOICE, STARTER):
        screen.wait_for(f"looking for {name}")
        fetch(client, name, screen)
    screen.note(step("models", f"ear, voice and text are stored ({since(began_s)})"))


def _speak(client: Client, question: str, screen: Screen) -> Speech:
    screen.wait_for("loading the voice")
    with client.synthesis(question, VOICE) as stream:
        for _ in stream:
            continue
        spoken = stream.speech()
    screen.note(step("question", f"{question!r}, {amounts.span(spoken.duration_s)} of speech by {VOICE}"))
    return spoken


async def _turn(socket: str | None, spoken: Speech, screen: Screen) -> Record:
    """Return what happened in one turn, with its events shown as they come."""
    from inferd import AsyncClient
    from inferd.voice import Session
    from inferd_cli.timeline import Record

    screen.wait_for("loading ear, text and voice together")
    began_s = time.monotonic()
    async with (
        AsyncClient(APP, socket=socket) as client,
        Session(
            client,
            hear=EAR,
            think=STARTER,
            voice=VOICE,
            system=SYSTEM,
            options={"max_tokens": MAX_TOKENS, "temperature": 0.0},
            rate_hz=spoken.rate_hz,
        ) as session,
    ):
        screen.note(step("session", f"open, its models are held ({since(began_s)})"))
        record = Record(time.monotonic(), spoken.duration_s)
        microphone = asyncio.create_task(_microphone(session, spoken))
        try:
            async for event in session:
                record.add(event, time.monotonic())
                _show(event, screen)
                if record.turn is not None:
                    break
        finally:
            microphone.cancel()
            await asyncio.wait({microphone})
    screen.close()
    return record


async def _microphone(session: Session, spoken: Speech) -> None:
    """Send the question at the pace at which it would be said, then silence, until cancelled."""
    frame_bytes = int(spoken.rate_hz * FRAME_S) * 2
    due_s = time.monotonic()
    at = 0
    while True:
        frame = spoken.pcm[at : at + frame_bytes]
        await session.send(frame or bytes(frame_bytes))
        at += frame_bytes
        due_s += FRAME_S
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))


def _show(event: VoiceEvent, screen: Screen) -> None:
    from inferd import voice

    match event:
        case voice.UserStartedSpeaking():
            screen.note(step("ear", "somebody speaks"))
        case voice.PartialTranscript(stable=stable, tentative=tentative):
            screen.note(step("partial", f"{stable}|{tentative}"))
        case voice.FinalTranscript(text=text):
            screen.note(step("final", text.strip()))
        case voice.ReplyDelta(text=text):
            screen.show(TextDelta(text))
        case voice.Failed(stage=stage, error=error):
            screen.close()
            screen.note(step(stage, f"failed: {error}"))
        case _:
            pass


def _write(record: Record, folder: Path, screen: Screen) -> None:
    from inferd_cli.drawing import draw

    sound, picture = folder / "answer.wav", folder / "turn.png"
    with output_to(str(sound)) as sink:
        for chunk in record.sound:
            sink.write(chunk.pcm, chunk.rate_hz)
    screen.note(step("answer", f"{amounts.span(record.sound_s)} of speech in {sound}"))
    timeline = record.timeline()
    if timeline.response_s is not None:
        screen.note(step("turn", f"answered {timeline.response_s:.2f} s after the question's last sound"))
    try:
        draw(timeline, picture)
    except ImportError:
        screen.note(step("picture", "none: pip install 'inferd[report]' brings what draws it"))
    else:
        screen.note(step("picture", str(picture)))
