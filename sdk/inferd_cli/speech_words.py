"""What `inferd speech` prints for people: lines and tables.

Covers: words and columns. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from inferd_cli import amounts
from inferd_cli.tables import EMPTY, Column, Table

if TYPE_CHECKING:
    from inferd import Problem, SmokeTest, SpeechHealth, SpeechSetup, SpeechStage

PARTS = (Column("PART"), Column("MODEL"), Column("INSTALLED"), Column("STORED"), Column("LOADED"), Column("WHY"))
STEPS = (
    Column("PART"),
    Column("MODEL"),
    Column("SOUND", right=True),
    Column("LOAD", right=True),
    Column("FIRST", right=True),
    Column("COMPUTED", right=True),
    Column("IN ALL", right=True),
)


def _stages(found: SpeechHealth) -> tuple[tuple[str, SpeechStage], ...]:
    return ("ear", found.ear), ("voice", found.voice), ("vad", found.vad)


def health_lines(found: SpeechHealth) -> list[str]:
    """Return what is wrong, with the next step."""
    told = []
    for _, one in _stages(found):
        told += [f"missing: {one.problem}", f"next: {one.next}"] if one.problem else []
    return told or ["nothing is missing"]


def parts(found: SpeechHealth) -> Table:
    """Return one row per part."""
    return Table(
        PARTS,
        tuple(
            (name, one.model, _yes(one.available), _yes(one.weights_ready), _yes(one.loaded), one.reason)
            for name, one in _stages(found)
        ),
    )


def policy_lines(found: SpeechHealth) -> list[str]:
    """Return the policy, and who is chosen by it."""
    policy = found.policy
    return [
        f"language: {policy.language or 'no preference'}",
        f"prefer: {policy.prefer}",
        f"ear, {policy.ear or 'chosen'}: {_chosen(found.ear)}",
        f"voice, {policy.voice or 'chosen'}: {_chosen(found.voice)}",
        f"remote models: {'not used' if policy.local_only else 'allowed; this version serves none'}",
    ]


def setup_lines(done: SpeechSetup) -> list[str]:
    """Return what was done, what is missing, and the memory that is needed."""
    needs = (
        f"memory: {one.model} takes {amounts.size(one.estimate_bytes)} ({one.verdict.replace('_', ' ')})"
        for one in done.needs
    )
    return [*done.did, *(_missing(done.missing) or ["nothing is missing"]), *needs]


def smoke_lines(done: SmokeTest) -> list[str]:
    """Return what was said and heard, and whether it passed."""
    told = [f"said: {done.said}", f"heard: {done.heard}"] if done.steps else []
    verdict = "passed" if done.passed else "failed"
    rate = "" if done.wer is None else f", word error rate {done.wer:.2f}"
    return [*told, *_missing(done.missing), f"{verdict}{rate}"]


def smoke_table(done: SmokeTest) -> Table:
    """Return one row per half of the test."""
    return Table(
        STEPS,
        tuple(
            (
                one.stage,
                one.model,
                amounts.span(one.sound_s),
                amounts.span(one.load_s),
                EMPTY if one.first_event_s is None else amounts.span(one.first_event_s),
                amounts.span(one.compute_s),
                amounts.span(one.latency_s),
            )
            for one in done.steps
        ),
    )


def _missing(problems: Iterable[Problem]) -> list[str]:
    return [line for one in problems for line in (f"missing: {one.what}", f"next: {one.next}")]


def _chosen(stage: SpeechStage) -> str:
    return f"{stage.model} ({stage.reason})" if stage.model else stage.problem


def _yes(is_so: bool) -> str:  # noqa: FBT001 - a cell
    return "yes" if is_so else "no"
