"""Holds and warm-ups in a world of models that load, fail and fall: every claim is answered once, and what stands is wanted."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inferd.messages.events import Error
from inferd_daemon import claims as cl
from inferd_daemon.catalogue.names import ModelId

MODELS = tuple(ModelId("test", letter, "x") for letter in "abcd")
SETS = st.sets(st.sampled_from(MODELS), min_size=1, max_size=3).map(frozenset)
MODEL = st.sampled_from(MODELS)
FAILED = Error("load_failed", "it does not start")
HOLD_S = 60.0


class World(RuleBasedStateMachine):
    """Models and a ledger that do as they like; the claims' commands are carried out at once."""

    def __init__(self) -> None:
        super().__init__()
        self.claims = cl.Claims()
        self.now_s = 0.0
        self.numbers = 0
        self.ready: set[ModelId] = set()
        self.ever_ready: set[ModelId] = set()
        self.wanted: set[ModelId] = set()
        self.asked: dict[int, cl.Claim] = {}
        """All that were ever made."""
        self.reserving: set[int] = set()
        self.reserved: set[int] = set()
        self.answers: dict[int, str] = {}
        self.given_up: set[int] = set()

    def feed(self, event: cl.Event) -> None:
        for command in self.claims.step(event, self.now_s):
            match command:
                case cl.Reserve(claim):
                    self.reserving.add(claim.number)
                case cl.LetGo(number):
                    self.reserving.discard(number)
                    self.reserved.discard(number)
                case cl.Want(model):
                    assert model not in self.ready, "a model that is ready was wanted"
                    self.wanted.add(model)
                case cl.Unwant(model):
                    self.wanted.discard(model)
                case cl.Warm(model):
                    assert model in self.ready
                case cl.Answer(claim):
                    self.answer(claim.number, "done")
                    here = self.ready if claim.is_hold else self.ever_ready
                    assert claim.failed or claim.models <= here, "it was answered before its models were ready"
                    assert not (claim.failed and claim.is_hold), "a hold stands although a load of it failed"
                case cl.Refuse(number):
                    self.answer(number, "refused")

    def answer(self, number: int, how: str) -> None:
        assert number not in self.answers, "a claim was answered twice"
        assert number not in self.given_up, "a claim was answered after its end"
        self.answers[number] = how

    @rule(models=SETS, is_hold=st.booleans(), session=st.integers(1, 2))
    def ask(self, models: frozenset[ModelId], is_hold: bool, session: int) -> None:  # noqa: FBT001 - drawn
        self.numbers += 1
        claim = cl.Claim(self.numbers, session, "app", 1, models, HOLD_S if is_hold else None)
        self.asked[claim.number] = claim
        self.feed(cl.Asked(claim, frozenset(self.ready & models)))

    @precondition(lambda self: self.reserving)
    @rule(data=st.data(), fits=st.booleans())
    def decide(self, data: st.DataObject, fits: bool) -> None:  # noqa: FBT001 - drawn
        number = data.draw(st.sampled_from(sorted(self.reserving)))
        self.reserving.discard(number)
        if fits:
            self.reserved.add(number)
            self.feed(cl.Granted(number, frozenset(self.ready & self.asked[number].models)))
        else:
            self.feed(cl.Refused(number, FAILED))

    @precondition(lambda self: self.wanted)
    @rule(data=st.data(), works=st.booleans())
    def load(self, data: st.DataObject, works: bool) -> None:  # noqa: FBT001 - drawn
        model = data.draw(st.sampled_from(sorted(self.wanted)))
        self.wanted.discard(model)
        if works:
            self.ready.add(model)
            self.ever_ready.add(model)
            self.feed(cl.Ready(model))
        else:
            self.feed(cl.Failed(model, FAILED))
            self.feed(cl.NotReady(model))  # it rests after its pause: whoever stands wants it again

    @precondition(lambda self: self.ready)
    @rule(data=st.data())
    def fall(self, data: st.DataObject) -> None:
        model = data.draw(st.sampled_from(sorted(self.ready)))
        self.ready.discard(model)
        self.feed(cl.NotReady(model))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.asked)))
        if number not in self.answers:
            self.given_up.add(number)
        self.feed(cl.Ended(number))

    @rule(session=st.integers(1, 2))
    def leave(self, session: int) -> None:
        self.given_up |= {n for n, claim in self.asked.items() if claim.session == session and n not in self.answers}
        self.feed(cl.SessionEnded(session))

    @rule(by_s=st.sampled_from((1.0, 59.0, 61.0)))
    def wait(self, by_s: float) -> None:
        self.now_s += by_s
        due_s = self.claims.next_timer_s()
        if due_s is not None and due_s <= self.now_s:
            self.feed(cl.Ticked())

    @invariant()
    def every_claim_is_on_its_way_or_has_ended(self) -> None:
        for number in self.asked.keys() - self.answers.keys() - self.given_up:
            claim = self.claims.get(number)
            assert claim is not None, "a claim was forgotten without an answer"
            if claim.stage is cl.Stage.RESERVING:
                assert number in self.reserving
            else:
                assert claim.missing, "all is there, and nobody was told"
                assert claim.missing <= self.wanted, "it waits for a load that nobody makes"

    @invariant()
    def a_hold_that_stands_has_its_memory_and_wants_what_fell(self) -> None:
        for number in self.asked:
            claim = self.claims.get(number)
            if claim is not None and claim.stage is cl.Stage.STANDING:
                assert number in self.reserved
                assert claim.until_s > self.now_s or self.claims.next_timer_s() is not None
                assert claim.models - self.ready <= self.wanted

    @invariant()
    def memory_is_let_go_with_the_hold(self) -> None:
        for number in self.reserved | self.reserving:
            assert self.claims.get(number) is not None


TestClaims = World.TestCase
TestClaims.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("is_hold", [True, False])
def test_once_closed_nothing_is_wanted_again(is_hold: bool) -> None:  # noqa: FBT001 - a parameter
    claims = cl.Claims()
    claim = cl.Claim(1, 1, "app", 1, frozenset(MODELS[:1]), HOLD_S if is_hold else None)
    claims.step(cl.Asked(claim, frozenset()), 0.0)
    claims.step(cl.Granted(1, frozenset()), 0.0)
    assert claims.step(cl.Closed(), 0.0) == []
    assert claims.step(cl.NotReady(MODELS[0]), 0.0) == []


def test_models_of_a_warm_up_that_push_each_other_out_are_each_loaded_once() -> None:
    claims = cl.Claims()
    first, second = MODELS[:2]
    claims.step(cl.Asked(cl.Claim(1, 1, "app", 1, frozenset({first, second}), None), frozenset()), 0.0)
    claims.step(cl.Ready(first), 1.0)
    assert claims.step(cl.NotReady(first), 2.0) == [], "it is not wanted again: it would push the other out"
    assert any(isinstance(command, cl.Answer) for command in claims.step(cl.Ready(second), 3.0))
