"""Who hears and who speaks: answers what would, why, and what is missing; changes the policy.

Covers: one method per operation, each of which ends its request; how candidates are now. Does not cover choosing (`defaults`)
nor the policy's file (`speech_policy`). Runs in the loop; packages and the file are looked for in worker threads.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from inferd.errors import InferenceError, InvalidRequest
from inferd.messages.speech import SetSpeechPolicy, SpeechHealth, SpeechReport, SpeechStage, SpeechStatus
from inferd_actors import engines
from inferd_daemon.answering import Making, answer_later
from inferd_daemon.defaults import EAR, STAGES, VOICE, Candidate, Choice, Nearness, speech_model
from inferd_daemon.desk import HERE
from inferd_daemon.lifecycle import State

if TYPE_CHECKING:
    from inferd_daemon.catalogue import Models, Schema
    from inferd_daemon.catalogue.schema import Capability
    from inferd_daemon.fleet import Fleet
    from inferd_daemon.requests import Requests
    from inferd_daemon.speech_policy import PolicyFile
    from inferd_daemon.steward import Steward
    from inferd_daemon.work import Work

Operation = SpeechStatus | SetSpeechPolicy
"""What is answered here."""

VAD_PACKAGE: Final = "faster_whisper"
"""Brings the Silero model that tells speech from silence, and its engine runs it."""
VAD: Final = "silero"


class SpeechDesk:
    """Chooses who hears and speaks, and tells of it."""

    def __init__(
        self,
        *,
        catalogue: Models,
        fleet: Fleet,
        requests: Requests,
        steward: Steward,
        policy_file: PolicyFile,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._catalogue = catalogue
        self._fleet = fleet
        self._requests = requests
        self._steward = steward
        self._file = policy_file
        self._tasks = tasks
        self._writing = asyncio.Lock()

    # --- choosing

    def choice(self, op: str, language: str | None = None) -> Choice | None:
        """Return who serves an operation of speech that names nobody; None: it is none of speech, or nobody does."""
        stage = STAGES.get(op)
        if stage is None:
            return None
        now_s = time.monotonic()
        able = [one for one in self._catalogue.schemas if stage in one.capabilities and one.is_served]
        return speech_model(stage, [self._candidate(one, now_s) for one in able], self._file.policy, language)

    def _candidate(self, schema: Schema, now_s: float) -> Candidate:
        state = self._fleet.lifecycle.view(schema.id, now_s).state
        nearness: Nearness = (
            "loaded" if state in (State.READY, State.LOADING) else "stored" if state in HERE else "listed"
        )
        return Candidate(
            schema,
            nearness,
            fits=nearness == "loaded" or self._steward.would_fit(schema, now_s),
            failed=state in (State.BACKOFF, State.FAILED),
        )

    # --- answering

    def answer(self, work: Work) -> None:
        """Serve one request: one of `Operation`."""
        match work.operation:
            case SpeechStatus():
                self._later(work, self._report())
            case SetSpeechPolicy() as wish:
                self._later(work, self._set(wish))
            case _:
                raise AssertionError("another room serves this")

    def _later(self, work: Work, making: Making) -> None:
        answer_later(work, making, self._requests, self._tasks)

    async def _set(self, wish: SetSpeechPolicy) -> SpeechReport:
        for field, name, stage in (("ear", wish.ear, EAR), ("voice", wish.voice, VOICE)):
            if name:
                self._check(field, name, stage)
        async with self._writing:
            try:
                await asyncio.to_thread(self._file.write, self._file.changed(wish))
            except OSError as failed:
                raise InferenceError(f"the policy of speech cannot be written: {failed}") from None
        return await self._report()

    def _check(self, field: str, name: str, stage: Capability) -> None:
        """Raise ModelNotFound for a name on no list, InvalidRequest for a model that does something else."""
        schema = self._catalogue.find(name)
        if stage not in schema.capabilities or not schema.is_served:
            serves = ", ".join(schema.capabilities)
            text = f"body.{field}: {schema.id} serves {serves or 'nothing'} here, not {stage}: name another"
            raise InvalidRequest(text, details={"field": f"body.{field}"})

    async def _report(self) -> SpeechReport:
        absent = await asyncio.to_thread(_absent)
        self._steward.ticked(time.monotonic(), look=True)
        ear, voice = (self._stage(stage, absent) for stage in (EAR, VOICE))
        vad = self._vad(ear, absent)
        healthy = not any(one.problem for one in (ear, voice, vad))
        return SpeechReport(SpeechHealth(healthy, self._file.policy, ear, voice, vad))

    def _stage(self, stage: Capability, absent: dict[str, tuple[str, ...]]) -> SpeechStage:
        choice = self.choice(stage)
        if choice is None:
            none = f"no model on the list serves {stage}"
            return _nobody(none, "register one: `inferd register FILE`")
        try:
            schema = self._catalogue.find(choice.model)
        except InferenceError as unknown:  # unregistered since
            return _nobody(unknown.message[:4096], "choose another: `inferd speech policy --help`", choice.reason)
        view = self._fleet.lifecycle.view(schema.id, time.monotonic())
        problem, step = _problem(schema, view.state, view.reason, absent)
        return SpeechStage(
            str(schema.id),
            choice.reason,
            available=not absent.get(schema.engine) and view.state is not State.FAILED,
            weights_ready=view.state in HERE,
            loaded=view.state is State.READY,
            languages=schema.languages,
            size_bytes=self._fleet.file_bytes(schema) or schema.file_bytes,
            problem=problem[:4096],
            next=step,
        )

    def _vad(self, ear: SpeechStage, absent: dict[str, tuple[str, ...]]) -> SpeechStage:
        missing = absent.get(VAD_PACKAGE, ())
        problem, step = _uninstalled(VAD_PACKAGE, missing) if missing else ("", "")
        is_here = not missing
        reason = "comes with the ear's engine"
        return SpeechStage(VAD, reason, is_here, is_here, is_here and ear.loaded, problem=problem, next=step)


def _absent() -> dict[str, tuple[str, ...]]:
    """Return the packages that engines need and that are not installed. Looks at the disk."""
    return {name: engines.missing(name) for name in engines.ROOMS}


def _uninstalled(engine: str, missing: tuple[str, ...]) -> tuple[str, str]:
    what = f"the engine {engine} needs {', '.join(missing)}, which this daemon's Python does not have"
    return what, f"pip install 'inferd[{engines.ROOMS[engine].extra}]', then start the daemon again"


def _problem(schema: Schema, state: State, reason: str, absent: dict[str, tuple[str, ...]]) -> tuple[str, str]:
    """Return what keeps a model from serving, and the next step; empty: nothing does."""
    missing = absent.get(schema.engine, ())
    if missing:
        return _uninstalled(schema.engine, missing)
    match state:
        case State.FAILED | State.BACKOFF:
            return f"{schema.id} failed: {reason}", f"`inferd stop {schema.id}` allows a new attempt"
        case State.PULLING:
            return f"{schema.id} is being fetched", f"watch it: `inferd pull {schema.id}`"
        case State.ABSENT:
            return f"{schema.id} is not stored", f"`inferd speech install`, or `inferd pull {schema.id}`"
        case _:
            return "", ""


def _nobody(problem: str, step: str, reason: str = "") -> SpeechStage:
    return SpeechStage("", reason, available=False, weights_ready=False, loaded=False, problem=problem, next=step)
