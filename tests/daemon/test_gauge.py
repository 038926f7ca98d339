"""The task that measures models."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from inferd_daemon import gauge
from inferd_daemon.catalogue import ModelId
from inferd_daemon.ledger import Amount

MODEL = ModelId.parse("test/one:echo")


def test_a_reading_that_fails_ends_neither_the_task_nor_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauge, "EVERY_S", 0.0)
    asyncio.run(_measured_after_a_failure())


async def _measured_after_a_failure() -> None:
    told: asyncio.Future[Mapping[ModelId, Amount]] = asyncio.get_running_loop().create_future()
    answers: Iterator[Exception | Mapping[ModelId, Amount]] = iter([ZeroDivisionError(), {MODEL: Amount(5)}])

    def measure(_pids: Mapping[ModelId, int]) -> Mapping[ModelId, Amount]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def tell(used: Mapping[ModelId, Amount], _began_s: float) -> None:
        told.set_result(used)

    one = gauge.Gauge(lambda: {MODEL: 1}, measure, tell, lambda: None)
    one.wake()
    task = asyncio.create_task(one.run())
    ends: list[asyncio.Future[Any]] = [task, told]
    done, _ = await asyncio.wait(ends, timeout=60.0, return_when=asyncio.FIRST_COMPLETED)
    assert done == {told}
    assert told.result() == {MODEL: Amount(5)}
    task.cancel()
