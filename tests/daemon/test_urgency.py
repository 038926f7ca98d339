"""Who steps aside for whose voice work: against a model of the whole, and case by case."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from inferd_daemon.ids import Life
from inferd_daemon.urgency import Urgency, Word

LIVES = st.integers(1, 4).map(Life)
ONE, TWO, THREE = Life(1), Life(2), Life(3)


class Machine(RuleBasedStateMachine):
    """Whatever happens in whatever order: what every process was told last is true."""

    def __init__(self) -> None:
        super().__init__()
        self.urgency = Urgency()
        self.loaded: set[Life] = set()
        self.urgent: set[Life] = set()
        self.told: dict[Life, bool] = {}

    def hear(self, words: list[Word]) -> None:
        for life, is_aside in words:
            assert self.told.get(life, False) != is_aside, "that is no news"
            self.told[life] = is_aside

    @rule(life=LIVES)
    def loads(self, life: Life) -> None:
        self.loaded.add(life)
        self.hear(self.urgency.loaded(life))

    @rule(life=LIVES, is_urgent=st.booleans())
    def tells(self, life: Life, is_urgent: bool) -> None:  # noqa: FBT001 - drawn
        if life in self.loaded:
            (self.urgent.add if is_urgent else self.urgent.discard)(life)
        self.hear(self.urgency.told(life, is_urgent=is_urgent))

    @rule(life=LIVES)
    def goes(self, life: Life) -> None:
        self.loaded.discard(life)
        self.urgent.discard(life)
        self.told.pop(life, None)
        self.hear(self.urgency.gone(life))

    @invariant()
    def everybody_knows_the_truth(self) -> None:
        assert {life: self.told.get(life, False) for life in self.loaded} == {
            life: bool(self.urgent - {life}) for life in self.loaded
        }


TestUrgency = Machine.TestCase
TestUrgency.settings = settings(max_examples=200, stateful_step_count=30)


def test_a_process_does_not_step_aside_for_itself() -> None:
    urgency = Urgency()
    assert urgency.loaded(ONE) == urgency.loaded(TWO) == []
    assert urgency.told(ONE, is_urgent=True) == [Word(TWO, is_aside=True)]
    assert urgency.told(TWO, is_urgent=True) == [Word(ONE, is_aside=True)]
    assert urgency.told(ONE, is_urgent=False) == [Word(TWO, is_aside=False)]


def test_whoever_comes_later_is_told_and_the_end_of_a_process_ends_its_voice_work() -> None:
    urgency = Urgency()
    urgency.loaded(ONE)
    urgency.told(ONE, is_urgent=True)
    assert urgency.loaded(THREE) == [Word(THREE, is_aside=True)]
    assert urgency.gone(ONE) == [Word(THREE, is_aside=False)]
