"""A turn of a voice session, from an utterance to the first sound of the answer; used by the benches of turns and by the soak.

Covers: which utterances are used, the answer, listening to one turn as an app does. The answer's words are fixed, so that every
side speaks the same; they come at the pace at which the starter model writes tokens of a story for this very request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import recordings
from questions import story
from service import STARTER
from speech_daemon import EAR, VOICE, Sound, microphone, quiet
from speech_direct import speech_spans
from speech_streamed import PIECES

from inferd import AsyncClient, TextDelta
from inferd.messages.events import AudioChunk
from inferd.messages.operations import Message
from inferd.voice import Session, Settings, UserStoppedSpeaking

SETTINGS: Final = Settings(max_endpointing_delay_ms=500)
"""Every turn ends after the same silence, whatever the sentence looks like."""
SHORTEST_S: Final = 1.5
LONGEST_S: Final = 6.0
SILENCE_S: Final = 40.0
"""Behind an utterance: longer than any answer takes to begin."""
NEVER_MS: Final = 1000 * SILENCE_S
"""Stands for an answer that had not begun by then."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something said in one go."""

    text: str
    sound: Sound
    """int16, 16 kHz; the speech alone."""

    @property
    def duration_s(self) -> float:
        """Of the sound."""
        return len(self.sound) / recordings.RATE_HZ


def questions(count: int) -> list[Question]:
    """Return so many recordings in which nobody pauses, sentences of a novel first."""
    found = list[Question]()
    for one in (*recordings.librivox(), *recordings.prompts()):
        spans = speech_spans(recordings.samples(one))
        if len(spans) == 1:
            asked = Question(one.text, recordings.pcm(one)[slice(*spans[0])])
            if SHORTEST_S <= asked.duration_s <= LONGEST_S:
                found.append(asked)
        if len(found) == count:
            break
    return found


async def answer(client: AsyncClient, nonce: str) -> AsyncGenerator[str, None]:
    """Yield the answer, a word for each token that the text model writes. Another nonce is another prompt."""
    rest = list(PIECES)
    async with client.stream(
        story(nonce, 0), model=STARTER, priority="voice", max_tokens=len(PIECES), temperature=0.0, thinking="off"
    ) as stream:
        async for event in stream:
            if isinstance(event, TextDelta) and rest:
                yield rest.pop(0)
    for word in rest:
        yield word


async def first_sound_ms(
    client: AsyncClient, question: Question, nonce: str, *, wait_s: float = 0.0, stay: asyncio.Barrier | None = None
) -> float:
    """Return the time from the endpoint to the first sound of the answer, both as the app sees them; `NEVER_MS` at most.

    `wait_s`: of silence before the utterance. `stay`: the answer goes on until all who share it have heard theirs.
    """

    def reply(messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        return answer(client, nonce)

    async with Session(
        client, hear=EAR, voice=VOICE, reply=reply, settings=SETTINGS, language="en", priority="voice"
    ) as session:
        sound = np.concatenate([quiet(wait_s), question.sound, quiet(SILENCE_S)])
        heard: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        tasks: list[asyncio.Future[Any]] = [
            asyncio.create_task(microphone(session.send, sound)),
            asyncio.create_task(_listen(session, heard)),
        ]
        try:
            done, _ = await asyncio.wait([heard, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()  # what failed is raised here
            if stay is not None:
                await stay.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    return min(heard.result(), NEVER_MS) if heard.done() else NEVER_MS


async def _listen(session: Session, heard: asyncio.Future[float]) -> None:
    """Listen to all of it; tell when the first sound has come."""
    stopped_s = 0.0
    async for event in session:
        match event:
            case UserStoppedSpeaking():
                stopped_s = time.monotonic()
            case AudioChunk() if not heard.done():
                heard.set_result(1000 * (time.monotonic() - stopped_s))
