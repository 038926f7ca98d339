"""The tables behind the wires, as plain code: what has no need of sockets to be shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from house import House, house

from inferd_actors import messages as actors
from inferd_daemon import crossing
from inferd_daemon.session import Peer


@pytest.fixture
def home() -> Iterator[House]:
    with house() as built:
        built.connect()
        built.keeper_comes()
        built.settle()
        yield built


def test_a_keeper_that_connects_anew_before_its_old_line_is_seen_to_close_can_be_spoken_to(home: House) -> None:
    hello = actors.ActorHello("keeper", 0, 1, home.cluster.keeper_secret, 1)
    home.board.actor_said(b"again", _peer(), actors.encode_control(hello), 0.0)
    home.board.sends.clear()
    home.board.actor_gone(b"keeper")
    home.board.obey(crossing.ToActor(0, actors.Shutdown()))
    assert [act.peer_id for act in home.board.sends] == [b"again"]


def test_the_loop_hears_of_the_old_line_before_it_hears_of_the_new_one(home: House) -> None:
    hello = actors.ActorHello("keeper", 0, 1, home.cluster.keeper_secret, 1)
    home.board.actor_said(b"again", _peer(), actors.encode_control(hello), 0.0)
    home.board.actor_gone(b"keeper")
    assert [type(fact) for fact in home.board.facts] == [crossing.ActorLost, crossing.ActorCame]


def _peer() -> Peer:
    return Peer(1000, 1000, 0)
