"""The daemon as a whole, in this process and without a keeper: taking its place, refusing a bad one, ending."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import inferd
from inferd import AsyncClient, address
from inferd_daemon import app, config
from inferd_daemon.catalogue import Catalogue, curated
from inferd_daemon.cluster import Cluster
from inferd_daemon.health import unknown_names
from inferd_daemon.ledger import RAM, Asked, Evict, Ledger, Loaded, Rested, Room, RoomRead, Ticked
from inferd_daemon.runtime import Occupied, taken

PATIENCE_S = 20.0
"""A hang is a failure; a loaded machine is not."""
LONG_S = 600.0


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ifa-") as folder:
        yield Path(folder)


def _settings(place: Path, **others: object) -> config.Settings:
    return config.Settings(
        **{  # type: ignore[arg-type]
            "socket": place / "run" / "inferd.sock",
            "state_dir": place / "state",
            "models_dir": place / "models",
            "keeper": "external",
            "log_level": "error",
            **others,
        }
    )


async def _asked_to_stop_twice(settings: config.Settings) -> None:
    daemon = asyncio.create_task(app.serve(settings, curated()))
    async with AsyncClient("test", socket=str(settings.socket), connect_timeout_s=PATIENCE_S) as client:
        stream = client.stream("hello", model="echo")
        async with stream:
            events = aiter(stream)
            assert isinstance(await anext(events), inferd.Queued | inferd.Loading)
            await client.daemon.stop(grace_s=LONG_S)
            await client.daemon.stop(grace_s=0)
            with pytest.raises(inferd.Cancelled) as cancelled:
                async for _ in events:
                    pass
        assert cancelled.value.details["reason"] == "shutdown"
    await asyncio.wait_for(daemon, PATIENCE_S)


def test_a_second_stop_with_less_patience_counts(place: Path) -> None:
    asyncio.run(_asked_to_stop_twice(_settings(place)))
    assert not (place / "run" / "inferd.sock").exists()


def test_a_folder_that_is_no_folder_is_named(place: Path) -> None:
    (place / "models").write_text("a file")
    with pytest.raises(config.Wrong, match="models"):
        asyncio.run(app.serve(_settings(place), curated()))


def test_a_folder_that_others_may_change_is_refused(place: Path) -> None:
    (place / "models").mkdir()
    (place / "models").chmod(0o777)
    with pytest.raises(config.Wrong, match="models"):
        asyncio.run(app.serve(_settings(place), curated()))


def test_a_socket_whose_directory_leaves_no_room_for_the_actors_socket_is_refused(place: Path) -> None:
    deep = place / ("d" * (address.PATH_BYTES["linux"] - len(str(place)) - 4))
    with pytest.raises(inferd.InvalidRequest, match=r"actors\.sock"):
        asyncio.run(app.serve(_settings(place, socket=deep / "s"), curated()))


def test_two_daemons_do_not_share_a_directory(place: Path) -> None:
    """They would share the actors' socket: the second would take it from the first."""
    place.chmod(0o700)
    with taken(place / "one.sock"), pytest.raises(Occupied, match="actors"), taken(place / "two.sock"):
        pass
    with taken(place / "two.sock"):
        pass


def test_a_keeper_that_cannot_be_started_does_not_end_the_daemon(place: Path) -> None:
    (place / "keeper.log").mkdir()

    async def live() -> None:
        cluster = Cluster(place, place, "child")
        running = asyncio.create_task(cluster.run())
        await asyncio.sleep(0)
        await cluster.leave()
        await asyncio.wait_for(running, PATIENCE_S)

    asyncio.run(live())


def test_the_settings_of_memory_become_the_ledgers_terms(place: Path) -> None:
    memory = config.Memory(budget_bytes=5_000, reserve_bytes=100, keep_alive_s=60.0, keep_alive={"smollm2": 5.0})
    catalogue = curated()
    ledger = _ledger(place, memory, catalogue)
    ledger.step(RoomRead(RAM, Room(20_000, 20_000, 0)), 0.0)
    for model in (catalogue.starter.id, catalogue.find("echo").id):
        ledger.step(Asked(model, 2_500, "app", 1, 1.0), 0.0)
        ledger.step(Loaded(model, 1.0), 0.0)
        ledger.step(Rested(model), 0.0)
    assert len(ledger.accounts.holdings) == 2
    assert ledger.step(Ticked(), 5.0) == [Evict(catalogue.starter.id)]
    assert ledger.next_timer_s() == 60.0


def test_a_pinned_model_stays(place: Path) -> None:
    memory = config.Memory(keep_alive_s=5.0, pinned=("smollm2",))
    catalogue = curated()
    ledger = _ledger(place, memory, catalogue)
    model = catalogue.starter.id
    for event in (
        RoomRead(RAM, Room(2**40, 2**40, 0)),
        Asked(model, 5, "app", 1, 1.0),
        Loaded(model, 1.0),
        Rested(model),
    ):
        ledger.step(event, 0.0)
    assert ledger.step(Ticked(), 1_000.0) == []


def test_names_of_no_model_in_the_settings_stop_nothing_and_are_told(place: Path) -> None:
    memory = config.Memory(keep_alive={"smollm": 5.0}, pinned=("smollm", "me/gone:x"))
    catalogue = curated()
    ledger = _ledger(place, memory, catalogue)
    assert {str(model) for model in ledger.accounts.pinned} == {"me/gone:x"}, "it counts again once it is registered"
    told = unknown_names(memory, catalogue.find)
    assert [(one.about, one.broken) for one in told] == [
        ("memory.pinned", False),
        ("memory.pinned", False),
        ("memory.keep_alive", False),
    ]
    assert "smollm2" in told[0].what


def _ledger(place: Path, memory: config.Memory, catalogue: Catalogue) -> Ledger:
    settings = _settings(place, memory=memory)
    return app.ledger_of(settings, catalogue, app.pins_of(settings, catalogue, place / "pins.json"))
