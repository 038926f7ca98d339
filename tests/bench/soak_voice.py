"""Conversations by voice, broken off at random moments: `soak_voice.py [--seconds N] [--sessions N] [--seed N]`.

Covers: sessions of a real daemon with real models, three at a time: they are spoken to, or hear silence, noise and music; they
are interrupted at a random moment of the answer, left at a random moment, or reach their end. Every turn, session and request
must end once, no sound of an older epoch may come behind an interruption, nothing but speech may give words, and after each
round, with nothing in flight, the daemon and the three models' processes are weighed.
Exit codes: 0 all of that held · 1 otherwise. Bounded: `--seconds` ends the rounds, however many sessions there were by then.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
sys.path += map(str, (HERE, HERE.parent / "fakes", HERE.parents[1] / "tools"))

import numpy as np  # noqa: E402 - the harness lies beside the tests
from ours import STANDARD  # noqa: E402
from recordings import RATE_HZ  # noqa: E402
from service import STARTER, actor_pid  # noqa: E402
from soak_text import Weight, grown  # noqa: E402
from speech_daemon import EAR, VOICE, Sound, microphone, quiet, service  # noqa: E402
from speech_talk import SETTINGS, Question, answer, questions  # noqa: E402

from inferd import Client  # noqa: E402
from inferd.aio import AsyncClient  # noqa: E402
from inferd.messages.events import AudioChunk  # noqa: E402
from inferd.voice import (  # noqa: E402
    AgentStartedSpeaking,
    Failed,
    FinalTranscript,
    Interrupted,
    PartialTranscript,
    Session,
    TurnEnded,
)

SECONDS: Final = 1_200
SESSIONS: Final = 200
ROUND: Final = 15
"""Sessions of a round."""
AT_A_TIME: Final = 3
LONGEST_S: Final = 60.0
"""For one session: an answer is some 15 s of sound."""
STAY_S: Final = 60.0
"""Until everything that was in flight at the end of a round must have ended."""
DAEMON_GROWTH_BYTES: Final = 2 * 2**20
MODEL_GROWTH_BYTES: Final = 16 * 2**20
"""What an allocator's pages come and go by: a pass over another length of sound takes other buffers."""
ROOM: Final = replace(STANDARD, shelf_bytes=24 * 2**20)
"""A shelf that the first rounds fill: with the usual 256 MiB the text model would grow by its own budget all the time."""
LONGEST_MOMENT_S: Final = 3.0
DOES: Final = ("interrupts", "leaves", "ends")


@dataclass(frozen=True, slots=True)
class Case:
    """One session: what is heard, and what is done to it when."""

    question: Question | None
    """None: nobody speaks."""
    sound: Sound
    does: str
    moment_s: float
    """After the first sound of the answer for an interruption, after the opening for leaving."""

    @classmethod
    def drawn(cls, chance: random.Random, asked: list[Question]) -> Case:
        """Return one by chance."""
        if chance.random() < 0.25:
            return cls(None, no_words(chance), "ends", 0.0)
        question, does = chance.choice(asked), chance.choices(DOES, (5, 3, 1))[0]
        longest_s = LONGEST_MOMENT_S if does == "interrupts" else question.duration_s + LONGEST_MOMENT_S
        return cls(question, np.concatenate([question.sound, quiet(1.5)]), does, chance.uniform(0.0, longest_s))


def no_words(chance: random.Random) -> Sound:
    """Return some seconds of silence, noise, or chords that change."""
    seconds = chance.uniform(2.0, 5.0)
    draw, kind = np.random.default_rng(chance.randrange(2**32)), chance.choice(("silence", "noise", "music"))
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    match kind:
        case "silence":
            return quiet(seconds)
        case "noise":
            sound = draw.normal(0.0, chance.choice((0.003, 0.03, 0.1)), len(times))
        case _:
            root_hz = 220.0 * 2 ** (np.floor(times * 2) % 5 / 12)
            chord = [np.sin(2 * np.pi * np.cumsum(root_hz * step) / RATE_HZ) for step in (1.0, 1.25, 1.5)]
            sound = 0.1 * np.sum(chord, axis=0)
    return np.clip(sound * 32_767, -32_768, 32_767).astype(np.int16)


class Talk:
    """One session at work, and what was wrong with it."""

    def __init__(self, client: AsyncClient, case: Case, name: str, ended: Counter[str]) -> None:
        self._client, self._case, self._name, self._ended = client, case, name, ended
        self._cut = False
        """Interrupted: no sound may come before the next answer begins."""
        self._epoch = -1
        self.wrong = list[str]()

    async def run(self) -> None:
        """Live through it."""
        case = self._case
        session = Session(
            self._client,
            hear=EAR,
            voice=VOICE,
            reply=lambda messages: answer(self._client, self._name),
            settings=SETTINGS,
            language="en",
        )
        try:
            async with asyncio.timeout(LONGEST_S), session:
                feeding = asyncio.create_task(self._feed(session))
                try:
                    if case.does == "leaves":
                        await self._leave(session)
                    else:
                        await self._listen(session)
                finally:
                    feeding.cancel()
                    await asyncio.wait({feeding})
        except Exception as reason:  # noqa: BLE001 - every other end is a failure of the soak, and is told
            self.wrong.append(f"failed: {type(reason).__name__}: {reason}")
            self._ended["failed"] += 1
        else:
            self._ended[case.does if case.question else "heard nothing"] += 1

    async def _feed(self, session: Session) -> None:
        await microphone(session.send, self._case.sound)
        await session.finish()

    async def _leave(self, session: Session) -> None:
        listening = asyncio.create_task(self._listen(session))
        await asyncio.wait({listening}, timeout=self._case.moment_s)
        listening.cancel()
        await asyncio.wait({listening})

    async def _listen(self, session: Session) -> None:
        loop, turns = asyncio.get_running_loop(), 0
        async for event in session:
            match event:
                case AgentStartedSpeaking():
                    self._cut, self._epoch = False, event.epoch
                    if self._case.does == "interrupts":
                        loop.call_later(self._case.moment_s, session.interrupt)
                case AudioChunk() if self._cut or event.epoch != self._epoch:
                    self.wrong.append(f"stale sound of epoch {event.epoch} in {self._epoch}")
                case Interrupted():
                    self._cut = True
                case PartialTranscript() | FinalTranscript() if self._case.question is None:
                    self._words(event)
                case TurnEnded():
                    turns += 1
                case Failed():
                    self.wrong.append(f"{event.stage} failed: {event.error}")
        if self._case.question and not turns:
            self.wrong.append(f"no turn came of {self._case.question.text!r}")

    def _words(self, event: PartialTranscript | FinalTranscript) -> None:
        text = event.text if isinstance(event, FinalTranscript) else event.stable + event.tentative
        if text.strip():
            self.wrong.append(f"words out of no speech: {text!r}")


async def go_round(socket: Path, seed: str, count: int, asked: list[Question], ended: Counter[str]) -> list[str]:
    """Have so many conversations, and return what was wrong."""
    wrong, chance = list[str](), random.Random(seed)  # noqa: S311 - traffic, not a secret
    seats = asyncio.Semaphore(AT_A_TIME)
    async with AsyncClient("soak", socket=socket) as client:

        async def one(number: int, case: Case) -> None:
            async with seats:
                talk = Talk(client, case, f"{seed} {number}", ended)
                await talk.run()
                wrong.extend(f"session {seed} {number} ({case.does}): {what}" for what in talk.wrong)

        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                tasks.create_task(one(number, Case.drawn(chance, asked)))
    return wrong


def is_idle(client: Client) -> bool:
    """Tell whether no model has anything to do and all apps but this one have gone."""
    report = client.daemon.status()
    return all(row.busy == row.queued == 0 for row in report.models) and len(report.apps) == 1


def settle(client: Client) -> bool:
    """Return whether everything has ended in time."""
    give_up_s = time.monotonic() + STAY_S
    while time.monotonic() < give_up_s:
        if is_idle(client):
            return True
        time.sleep(0.05)
    return False


def main() -> int:
    """Soak, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"after which no round begins; default {SECONDS}"
    )
    parser.add_argument("--sessions", type=int, default=SESSIONS, help=f"of all rounds; default {SESSIONS}")
    parser.add_argument("--seed", type=int, default=1, help="of the sessions")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the daemon is not left behind
    ended, wrong, weights = Counter[str](), list[str](), dict[str, list[Weight]]()
    asked, give_up_s = questions(12), time.monotonic() + arguments.seconds
    with service(EAR, VOICE, STARTER, room=ROOM) as daemon, daemon.client("soak-own") as own:
        pids = {"daemon": daemon.pid, **{model: actor_pid(own, model) for model in (EAR, VOICE, STARTER)}}
        while ended.total() < arguments.sessions and time.monotonic() < give_up_s:
            count = min(ROUND, arguments.sessions - ended.total())
            seed = f"{arguments.seed}-{ended.total()}"
            wrong += asyncio.run(go_round(daemon.socket, seed, count, asked, ended))
            if not settle(own):
                wrong.append(f"not idle {STAY_S:.0f} s after the last session: {own.daemon.status()}")
                break
            for name, pid in pids.items():
                weights.setdefault(name, []).append(Weight.of(pid))
            told = "; ".join(f"{name} {of[-1]}" for name, of in weights.items())
            print(f"{ended.total()} sessions: {told}", flush=True)
        wrong += [
            f"{model}: another process"
            for model, pid in pids.items()
            if model in (EAR, VOICE, STARTER) and actor_pid(own, model) != pid
        ]
    for name, of in weights.items():
        wrong += grown(name, of, DAEMON_GROWTH_BYTES if name == "daemon" else MODEL_GROWTH_BYTES)
    print(f"ended: {dict(ended)}")
    print("\n".join(wrong) or "nothing grew, nothing was stale, and every session ended once")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
