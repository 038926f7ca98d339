"""GPUs are looked at off the loop, once for all who ask meanwhile; a look that fails keeps nobody waiting."""

from __future__ import annotations

import asyncio
import threading

from inferd_daemon.cards import Cards


def test_who_asks_during_a_look_shares_it_and_who_asks_later_has_another() -> None:
    asyncio.run(_shared())


async def _shared() -> None:
    looked, goes_on, told = [], threading.Event(), []

    def look() -> None:
        assert goes_on.wait(60.0)
        looked.append(threading.current_thread())

    async with asyncio.TaskGroup() as tasks:
        cards = Cards(tasks, look)
        cards.ask(lambda: told.append("one"))
        cards.ask(lambda: told.append("two"))
        await asyncio.sleep(0)
        assert not told
        goes_on.set()
    assert (told, len(looked)) == (["one", "two"], 1)
    assert looked != [threading.main_thread()]
    async with asyncio.TaskGroup() as tasks:
        Cards(tasks, look).ask(lambda: told.append("three"))
    assert (told[2:], len(looked)) == (["three"], 2)


def test_a_look_that_fails_is_no_reason_to_wait() -> None:
    asyncio.run(_failed())


async def _failed() -> None:
    told: list[str] = []

    def look() -> None:
        raise OSError

    async with asyncio.TaskGroup() as tasks:
        Cards(tasks, look).ask(lambda: told.append("went on"))
    assert told == ["went on"]
