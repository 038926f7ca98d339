"""Threads beside a loop: every request put in comes out, and time that is spent for nobody is seen."""

from __future__ import annotations

import threading

from inferd.messages.events import Cancelled, Terminal
from inferd.messages.operations import ListModels
from inferd_actors.engine import StreamId, Submission
from inferd_actors.workers import Workers

PATIENCE_S = 30.0


def submission(number: int) -> Submission:
    return Submission(StreamId(number), "me/model:1", ListModels(), "interactive", "salt", 0.0, 0.0)


class Held:
    """Two workers whose work takes until a test says so."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.goes_on = threading.Semaphore(0)
        self.rung = threading.Semaphore(0)
        self.workers = Workers(2, self.compute, self.rung.release)
        self.workers.start()

    def compute(self, asked: Submission) -> Terminal | None:
        self.begun.release()
        assert self.goes_on.acquire(timeout=PATIENCE_S)
        return Cancelled("app") if asked.stream % 2 else None

    def let_go(self, number: int) -> None:
        for _ in range(number):
            self.goes_on.release()
        for _ in range(number):
            assert self.rung.acquire(timeout=PATIENCE_S)

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.workers.put(submission(number))

    def await_begun(self, number: int) -> None:
        for _ in range(number):
            assert self.begun.acquire(timeout=PATIENCE_S)


def test_whatever_is_put_in_comes_out() -> None:
    held = Held()
    held.put(*range(6))
    held.let_go(6)
    results = dict(held.workers.taken())
    assert results == {StreamId(number): Cancelled("app") if number % 2 else None for number in range(6)}
    assert held.workers.taken() == []
    held.workers.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "worker"]


def test_only_time_that_all_of_them_spend_for_nobody_is_wasted() -> None:
    held = Held()
    workers = held.workers
    held.put(1, 2, 3)
    held.await_begun(2)
    workers.abandon(StreamId(1), 10.0)
    workers.abandon(StreamId(3), 10.0)
    assert workers.wasted_s(100.0) == 0.0, "one still computes for somebody, and the third has not begun"
    workers.abandon(StreamId(2), 20.0)
    assert workers.wasted_s(100.0) == 80.0
    held.let_go(1)
    workers.taken()
    assert workers.wasted_s(100.0) == 0.0
    held.let_go(2)
    workers.taken()
    workers.stop()


def test_a_result_clears_what_was_abandoned_on_its_way() -> None:
    held = Held()
    workers = held.workers
    held.put(1, 2)
    held.await_begun(2)
    for stream in (StreamId(1), StreamId(2)):
        workers.abandon(stream, 0.0)
    held.let_go(2)
    workers.taken()
    for stream in (StreamId(1), StreamId(2)):
        workers.abandon(stream, 0.0)
    assert workers.wasted_s(100.0) == 0.0
    workers.stop()
