"""The blocking client's care for speech as a whole: ready, fetched, chosen, tried.

Covers: `SpeechSet`, the room `speech` of `Client`. See also: `aio_speech_set`, the same names awaited;
`speech_setup`, what they tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd import endings
from inferd import speech_setup as setup
from inferd.drafts import CALL_TIMEOUT_S, STREAM_TIMEOUT_S, preflight_draft, pull_draft
from inferd.errors import PullFailed
from inferd.intake import Only
from inferd.keeping import warm_up_draft
from inferd.messages.events import PreflightReport, Pulled, PullProgress, WarmedUp
from inferd.messages.speech import SpeechReport
from inferd.reply import PullEvent
from inferd.speech_calls import SpeechCalls
from inferd.streams import Stream, answer

if TYPE_CHECKING:
    from inferd.keeping import OnProgress
    from inferd.line import Line
    from inferd.messages.reports import Preflight
    from inferd.messages.speech import Prefer, SpeechHealth, SpeechPolicy
    from inferd.speech_setup import OnPull


class _Calls(SpeechCalls):
    """The calls about speech that the smoke test makes."""

    def __init__(self, line: Line) -> None:
        self._line = line


class SpeechSet:
    """Who hears and who speaks when a request names none, and whether they can."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def health(self, *, timeout_s: float = CALL_TIMEOUT_S) -> SpeechHealth:
        """Return who would hear and speak, why they were chosen, and of each part what is missing and the next step."""
        return answer(self._line, setup.status_draft(timeout_s=timeout_s), SpeechReport).health

    def policy(self, *, timeout_s: float = CALL_TIMEOUT_S) -> SpeechPolicy:
        """Return by which rules models are chosen when a request names none; `health` tells what follows from them."""
        return self.health(timeout_s=timeout_s).policy

    def set_policy(
        self,
        *,
        language: str | None = None,
        prefer: Prefer | None = None,
        ear: str | None = None,
        voice: str | None = None,
        local_only: bool | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> SpeechHealth:
        """Change the policy, for all apps of this user, at once and over restarts; return who is chosen by it.

        None: as it was; "": no preference, chosen. `language`: as BCP 47 writes it, where a request does not say its own.
        `prefer`: "latency", the nearest and smallest; "quality", the largest that fits. `ear`, `voice`: these models,
        whatever else is known. `local_only`: no remote model. Raises InvalidRequest naming the field, ModelNotFound.
        """
        fields = {"language": language, "prefer": prefer, "ear": ear, "voice": voice, "local_only": local_only}
        request = setup.policy_draft(fields, timeout_s=timeout_s)
        return answer(self._line, request, SpeechReport).health

    def prepare(
        self, *, on_progress: OnProgress | None = None, timeout_s: float = STREAM_TIMEOUT_S
    ) -> setup.SpeechSetup:
        """Load the chosen ear and voice if all that they need is here; else do nothing and tell what is missing. Blocks.

        `needs` of the result: their memory. `on_progress`: told how far the loads are.
        """
        health = self.health()
        needs = self._needs(health)
        missing = setup.lacks(health, needs)
        if missing:
            return setup.SpeechSetup(ready=False, did=(), missing=missing, needs=needs, health=health)
        request = warm_up_draft(setup.chosen(health), timeout_s=timeout_s, priority="interactive")
        warmed = answer(self._line, request, WarmedUp, on_progress)
        return setup.prepared(self.health(), warmed.results, needs)

    def install(self, *, on_pull: OnPull | None = None, timeout_s: float = STREAM_TIMEOUT_S) -> setup.SpeechSetup:
        """Fetch the chosen ear and voice where they are not stored; tell what is missing yet. Blocks.

        Python packages are not installed by it: what is missing tells the line that does. The daemon owns the downloads:
        leaving does not stop them. `on_pull`: told how far they are. Nothing is loaded.
        """
        health = self.health()
        pulled, failed = [], []
        for name in setup.to_fetch(health):
            try:
                pulled.append(self._pull(name, on_pull, timeout_s))
            except PullFailed as error:
                failed.append(setup.failure(name, error, f"`inferd pull {name}` tries again"))
        health = self.health()
        return setup.installed(health, pulled, failed, self._needs(health))

    def smoke_test(
        self,
        text: str | None = None,
        *,
        local: bool = True,
        remote: bool = False,
        timeout_s: float = STREAM_TIMEOUT_S,
    ) -> setup.SmokeTest:
        """Speak a sentence with the chosen voice, have the chosen ear write it down, and compare. Blocks.

        `text`: what is said; None: a sentence in the voice's language. `local`, `remote`: which models are tested; this
        version has no remote ones, and says so. What fails is told in `missing` and not raised, but for what every call
        can raise. Passed: nothing is missing, and at most one word of four is wrong.
        """
        absent = (setup.no_remote(),) if remote else ()
        if not local:
            return setup.smoke("", None, None, absent)
        health = self.health()
        plan = setup.rehearsal(health, text, absent)
        if not plan.is_possible:
            return setup.smoke(plan.said, None, None, plan.missing)
        calls = _Calls(self._line)
        spoken = None
        try:
            spoken = calls.synthesize(plan.said, model=health.voice.model, timeout_s=timeout_s)
            transcript = calls.transcribe(
                spoken.pcm, spoken.rate_hz, language=plan.language, model=health.ear.model, timeout_s=timeout_s
            )
        except setup.FAILURES as error:
            return setup.smoke_failed(plan, spoken, error)
        return setup.smoke(plan.said, spoken, transcript, plan.missing)

    def _needs(self, health: SpeechHealth) -> tuple[Preflight, ...]:
        found = []
        for name in setup.chosen(health):
            request = preflight_draft(name, None, timeout_s=CALL_TIMEOUT_S)
            found.append(answer(self._line, request, PreflightReport).preflight)
        return tuple(found)

    def _pull(self, name: str, on_pull: OnPull | None, timeout_s: float) -> Pulled:
        view: Only[PullEvent] = Only(PullProgress, Pulled)
        with Stream(self._line, pull_draft(name, timeout_s=timeout_s), view) as stream:
            for event in stream:
                if on_pull is not None and isinstance(event, PullProgress | Pulled):
                    on_pull(name, event)
                if isinstance(event, Pulled):
                    return event
        raise endings.wrong_end()
