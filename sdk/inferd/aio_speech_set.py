"""The asyncio client's care for speech as a whole: ready, fetched, chosen, tried.

Covers: `AsyncSpeechSet`, the room `speech` of `AsyncClient`. See also: `speech_set`, the same names for threads;
`speech_setup`, what they tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd import endings
from inferd import speech_setup as setup
from inferd.aio_speech_calls import AsyncSpeechCalls
from inferd.aio_streams import AsyncStream, answer
from inferd.drafts import CALL_TIMEOUT_S, STREAM_TIMEOUT_S, preflight_draft, pull_draft
from inferd.errors import PullFailed
from inferd.intake import Only
from inferd.keeping import warm_up_draft
from inferd.messages.events import PreflightReport, Pulled, PullProgress, WarmedUp
from inferd.messages.speech import SpeechReport
from inferd.reply import PullEvent

if TYPE_CHECKING:
    from inferd.keeping import OnProgress
    from inferd.line import Line
    from inferd.messages.reports import Preflight
    from inferd.messages.speech import Prefer, SpeechHealth, SpeechPolicy
    from inferd.speech_setup import OnPull


class _Calls(AsyncSpeechCalls):
    """The calls about speech that the smoke test makes."""

    def __init__(self, line: Line) -> None:
        self._line = line


class AsyncSpeechSet:
    """Who hears and who speaks when a request names none, and whether they can."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def health(self, *, timeout_s: float = CALL_TIMEOUT_S) -> SpeechHealth:
        """Return who would hear and speak, why, and what is missing; see `SpeechSet.health`."""
        return (await answer(self._line, setup.status_draft(timeout_s=timeout_s), SpeechReport)).health

    async def policy(self, *, timeout_s: float = CALL_TIMEOUT_S) -> SpeechPolicy:
        """Return by which rules models are chosen; see `SpeechSet.policy`."""
        return (await self.health(timeout_s=timeout_s)).policy

    async def set_policy(
        self,
        *,
        language: str | None = None,
        prefer: Prefer | None = None,
        ear: str | None = None,
        voice: str | None = None,
        local_only: bool | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> SpeechHealth:
        """Change the policy, for all apps of this user; see `SpeechSet.set_policy`."""
        fields = {"language": language, "prefer": prefer, "ear": ear, "voice": voice, "local_only": local_only}
        request = setup.policy_draft(fields, timeout_s=timeout_s)
        return (await answer(self._line, request, SpeechReport)).health

    async def prepare(
        self, *, on_progress: OnProgress | None = None, timeout_s: float = STREAM_TIMEOUT_S
    ) -> setup.SpeechSetup:
        """Load the chosen ear and voice, or tell what is missing; see `SpeechSet.prepare`."""
        health = await self.health()
        needs = await self._needs(health)
        missing = setup.lacks(health, needs)
        if missing:
            return setup.SpeechSetup(ready=False, did=(), missing=missing, needs=needs, health=health)
        request = warm_up_draft(setup.chosen(health), timeout_s=timeout_s, priority="interactive")
        warmed = await answer(self._line, request, WarmedUp, on_progress)
        return setup.prepared(await self.health(), warmed.results, needs)

    async def install(self, *, on_pull: OnPull | None = None, timeout_s: float = STREAM_TIMEOUT_S) -> setup.SpeechSetup:
        """Fetch the chosen ear and voice where they are not stored; see `SpeechSet.install`."""
        health = await self.health()
        pulled, failed = [], []
        for name in setup.to_fetch(health):
            try:
                pulled.append(await self._pull(name, on_pull, timeout_s))
            except PullFailed as error:
                failed.append(setup.failure(name, error, f"`inferd pull {name}` tries again"))
        health = await self.health()
        return setup.installed(health, pulled, failed, await self._needs(health))

    async def smoke_test(
        self,
        text: str | None = None,
        *,
        local: bool = True,
        remote: bool = False,
        timeout_s: float = STREAM_TIMEOUT_S,
    ) -> setup.SmokeTest:
        """Speak a sentence, have it written down, and compare; see `SpeechSet.smoke_test`."""
        absent = (setup.no_remote(),) if remote else ()
        if not local:
            return setup.smoke("", None, None, absent)
        health = await self.health()
        plan = setup.rehearsal(health, text, absent)
        if not plan.is_possible:
            return setup.smoke(plan.said, None, None, plan.missing)
        calls = _Calls(self._line)
        spoken = None
        try:
            spoken = await calls.synthesize(plan.said, model=health.voice.model, timeout_s=timeout_s)
            transcript = await calls.transcribe(
                spoken.pcm, spoken.rate_hz, language=plan.language, model=health.ear.model, timeout_s=timeout_s
            )
        except setup.FAILURES as error:
            return setup.smoke_failed(plan, spoken, error)
        return setup.smoke(plan.said, spoken, transcript, plan.missing)

    async def _needs(self, health: SpeechHealth) -> tuple[Preflight, ...]:
        found = []
        for name in setup.chosen(health):
            request = preflight_draft(name, None, timeout_s=CALL_TIMEOUT_S)
            found.append((await answer(self._line, request, PreflightReport)).preflight)
        return tuple(found)

    async def _pull(self, name: str, on_pull: OnPull | None, timeout_s: float) -> Pulled:
        view: Only[PullEvent] = Only(PullProgress, Pulled)
        async with AsyncStream(self._line, pull_draft(name, timeout_s=timeout_s), view) as stream:
            async for event in stream:
                if on_pull is not None and isinstance(event, PullProgress | Pulled):
                    on_pull(name, event)
                if isinstance(event, Pulled):
                    return event
        raise endings.wrong_end()
