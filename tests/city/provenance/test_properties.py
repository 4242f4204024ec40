"""Whatever producers, carriers, buyers and strangers do with goods, in whatever order: every invariant, every block."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.provenance import (
    PrvAccept,
    PrvConsume,
    PrvCorrect,
    PrvCreateLot,
    PrvEvent,
    PrvMerge,
    PrvOffer,
    PrvRecall,
    PrvReject,
    PrvSensor,
    PrvSplit,
    PrvTransform,
    PrvTripEnd,
    PrvTripStart,
    chain,
    custody,
    rules,
)
from cccnode.city.provenance.messages import Input, Observation, Output
from cccnode.city.provenance.state import Event, Lot, last_number
from cccnode.city.provenance.words import QUANTITY_MAX, Action, Disposition, Reason, Step, Unit
from cccnode.codec import Noun
from tests.city.market.fair import DAY_MS, Fair

HASH = b"\x05" * 32
PEOPLE = ("farmer-1", "farmer-2", "company-2", "consumer-1", "regulator-1", "auditor-1", "rangsit")
HOLDER = ""
"""Whoever holds the lot."""
who = st.sampled_from(PEOPLE)
whoever = st.sampled_from([HOLDER] * 21 + [*PEOPLE])
lots = st.integers(0, 30)
quantities = st.integers(1, 200) | st.sampled_from([1_000, QUANTITY_MAX])
shares = st.integers(1, 4)
units = st.sampled_from([Unit.GRAM, Unit.GRAM, Unit.GRAM, Unit.MILLILITRE, Unit.PIECE])


class Growers(RuleBasedStateMachine):
    """Seven people: mostly each deals with his own goods, and now and then with everybody's."""

    fair: Fair

    @initialize()
    def begin(self) -> None:
        self.fair = Fair()
        self.heads: dict[int, tuple[int, bytes]] = {}
        self.fair.grow(1_000)
        self.fair.grow(300, "farmer-2")

    def send(self, name: str, message: Noun) -> None:
        outcome = self.fair.do(name, message)
        assert outcome == "ok" or outcome.startswith("provenance/"), outcome

    def lot(self, pick: int) -> Lot:
        """One of the lots, the newest ones most."""
        count = last_number(self.fair.overlay, "lot")
        return self.fair.lot(count - pick % count)

    def by(self, name: str, lot: Lot) -> str:
        return name or self.fair.name[lot.holder]

    @rule(name=who, quantity=quantities, unit=units, age=st.integers(-400_000, 10_000_000))
    def create(self, name: str, quantity: int, unit: Unit, age: int) -> None:
        self.send(name, PrvCreateLot("rice", unit, quantity, "", self.fair.now - age, ()))

    @rule(name=whoever, pick=lots, ahead=st.integers(-500_000, 400_000))
    def observe(self, name: str, pick: int, ahead: int) -> None:
        lot = self.lot(pick)
        seen = Observation(Step.INSPECTING, Disposition.UNKNOWN, self.fair.now + ahead, 420, "w", None)
        self.send(self.by(name, lot), PrvEvent(lot.id, seen))

    @rule(name=whoever, pick=lots, parts=st.lists(shares, min_size=1, max_size=3), more=st.integers(0, 3))
    def split(self, name: str, pick: int, parts: list[int], more: int) -> None:
        lot = self.lot(pick)
        each = max(lot.quantity // sum(parts), 1)
        taken = (*(each * part for part in parts), *([1] if more == 3 else ()))
        self.send(self.by(name, lot), PrvSplit(lot.id, taken))

    @rule(name=whoever, picks=st.lists(lots, min_size=2, max_size=3), parts=st.booleans())
    def merge(self, name: str, picks: list[int], *, parts: bool) -> None:
        lot = self.lot(picks[0])
        numbers = tuple(self.lot(pick).id for pick in picks)
        if parts and lot.quantity > 2:
            self.send(self.by(name, lot), PrvSplit(lot.id, (1, 1)))
            last = last_number(self.fair.overlay, "lot")
            numbers = (last, last - 1)
        self.send(self.by(name, lot), PrvMerge(numbers))

    @rule(name=whoever, pick=lots, share=shares, extra=st.integers(-2, 1), unit=units)
    def transform(self, name: str, pick: int, share: int, extra: int, unit: Unit) -> None:
        lot = self.lot(pick)
        into = max(lot.quantity // share, 1)
        outputs = (Output("flour", unit, min(max(into + extra, 1), QUANTITY_MAX), 1_000),)
        self.send(self.by(name, lot), PrvTransform((Input(lot.id, into, 1_000),), outputs, HASH, ""))

    @rule(name=whoever, pick=lots, share=shares, destroyed=st.booleans())
    def consume(self, name: str, pick: int, share: int, *, destroyed: bool) -> None:
        lot = self.lot(pick)
        self.send(self.by(name, lot), PrvConsume(lot.id, max(lot.quantity // share, 1), destroyed))

    @rule(pick=lots, receiver=who, less=st.integers(0, 3), name=whoever)
    def hand(self, pick: int, receiver: str, less: int, name: str) -> None:
        """An offer by its holder, and an acceptance by whom it is meant for, or by somebody else."""
        lot = self.lot(pick)
        self.send(self.by("", lot), PrvOffer(lot.id, self.fair.address(receiver), 0))
        self.send(name or receiver, PrvAccept(lot.id, max(lot.quantity - less, 0), None))

    @rule(name=whoever, pick=lots, receiver=who)
    def offer(self, name: str, pick: int, receiver: str) -> None:
        lot = self.lot(pick)
        self.send(self.by(name, lot), PrvOffer(lot.id, self.fair.address(receiver), 0))

    @rule(name=who, pick=lots, observed=st.integers(0, 300))
    def accept(self, name: str, pick: int, observed: int) -> None:
        self.send(name, PrvAccept(self.lot(pick).id, observed, None))

    @rule(name=whoever, pick=lots)
    def reject(self, name: str, pick: int) -> None:
        lot = self.lot(pick)
        self.send(self.by(name, lot), PrvReject(lot.id))

    @rule(name=whoever, pick=lots, event=st.integers(0, 5))
    def correct(self, name: str, pick: int, event: int) -> None:
        lot = self.lot(pick)
        seen = Observation(Step.HOLDING, Disposition.DAMAGED, self.fair.now, 0, "", None)
        self.send(self.by(name, lot), PrvCorrect(lot.id, event, Reason.INCORRECT_DATA, seen if event % 2 else None))

    @rule(name=who, pick=lots, really=st.integers(0, 5))
    def recall(self, name: str, pick: int, really: int) -> None:
        lot = self.lot(pick)
        self.send(self.fair.name[lot.origin] if really == 5 else name, PrvRecall(lot.id, HASH))

    @rule(name=whoever, pick=lots, trip=st.integers(1, 4), end=st.booleans())
    def travel(self, name: str, pick: int, trip: int, *, end: bool) -> None:
        lot = self.lot(pick)
        carrier = self.by(name, lot)
        self.send(carrier, PrvTripStart((lot.id,)))
        number = last_number(self.fair.overlay, "trip") if end else trip
        self.send(carrier, PrvSensor(number, HASH))
        if end:
            self.send(carrier, PrvTripEnd(number))

    @rule(days=st.integers(1, 4))
    def wait(self, days: int) -> None:
        self.fair.wait(self.fair.now + days * DAY_MS)

    @invariant()
    def sound(self) -> None:
        """All invariants; chains only grow: what was an event stays one."""
        assert [] == self.fair.broken()
        for number in range(1, last_number(self.fair.overlay, "lot") + 1):
            lot = self.fair.lot(number)
            events, head = self.heads.get(number, (0, b""))
            assert events <= lot.events
            if events:
                told = self.fair.ask("prv_trace", number, events - 1, 1).events
                assert head == told[0].id
            self.heads[number] = (lot.events, lot.head)


Growers.TestCase.settings = settings(stateful_step_count=60)
TestGrowers = Growers.TestCase


def _busy() -> Iterator[list[str]]:
    """What every kind of step leaves broken, after each of them."""
    fair = Fair()
    lot = fair.grow(1_000)
    seen = Observation(Step.INSPECTING, Disposition.UNKNOWN, fair.now + 200_000, 0, "", None)
    for message in (PrvEvent(lot, seen), PrvSplit(lot, (100, 50))):
        fair.do("farmer-1", message)
        yield fair.broken()
    fair.do("farmer-1", PrvMerge((2, 3)))
    yield fair.broken()
    fair.hand(4, "farmer-1", "company-2", observed=140)
    yield fair.broken()
    outputs = (Output("flour", Unit.GRAM, 90, 1_000),)
    fair.do("company-2", PrvTransform((Input(4, 100, 1_000),), outputs, HASH, ""))
    yield fair.broken()
    fair.do("company-2", PrvConsume(4, 10, False))
    yield fair.broken()
    fair.do("farmer-1", PrvRecall(lot, HASH))
    yield fair.broken()


REAL: dict[str, Callable[..., Any]] = {
    "replace": replace,
    "add_event": chain.add_event,
    "write_event": chain.write_event,
}


def _found(context: Any, lot: Any, what: Any, *rest: Any, **fields: Any) -> Any:
    """A handover whose event forgets who gave."""
    if "source" in fields:
        fields["source"] = context.account
    return REAL["add_event"](context, lot, what, *rest, **fields)


def _nothing_lost(lot: Any, **fields: Any) -> Any:
    fields.pop("lost", None)
    return REAL["replace"](lot, **fields)


def _kept(lot: Any, **fields: Any) -> Any:
    """A split whose parts are a unit larger than what was taken."""
    if "initial" in fields and fields.get("made") is False and len(fields["parents"]) == 1:
        fields |= {"initial": fields["initial"] + 1, "quantity": fields["quantity"] + 1}
    return REAL["replace"](lot, **fields)


def _unchained(state: Any, event: Event) -> None:
    REAL["write_event"](state, replace(event, previous=bytes(32)))


def _ahead(state: Any, event: Event) -> None:
    REAL["write_event"](state, replace(event, at_ms=event.at_ms + 200_000))


def _half(context: Any, parent: int, first: int, by: bytes) -> None:
    """A recall that reaches nobody."""


def _other_holder(lot: Any, **fields: Any) -> Any:
    """A consumption after which somebody else holds the rest."""
    if "consumed" in fields and "holder" not in fields and fields.get("consumed"):
        fields["holder"] = bytes(20)
    return REAL["replace"](lot, **fields)


MUTANTS: list[tuple[str, Any, str, Any]] = [
    ("PRV-1", custody, "add_event", _found),
    ("PRV-1", rules, "replace", _other_holder),
    ("PRV-2", custody, "replace", _nothing_lost),
    ("PRV-3", rules, "replace", _kept),
    ("PRV-4", chain, "write_event", _unchained),
    ("PRV-5", custody, "_pass_on", _half),
    ("PRV-6", chain, "write_event", _ahead),
]


@pytest.mark.parametrize(("name", "where", "what", "mutant"), MUTANTS, ids=[f"{row[0]}-{row[2]}" for row in MUTANTS])
def test_each_invariant_catches_its_mutant(
    name: str, where: Any, what: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same steps break nothing by themselves, and break this invariant with one rule changed."""
    assert [] == [text for found in _busy() for text in found]
    monkeypatch.setattr(where, what, mutant)

    assert [text for found in _busy() for text in found if text.startswith(name)]


def test_every_invariant_has_a_mutant() -> None:
    """None of them is a check that nothing could fail."""
    module = CITY.by_name["provenance"]

    assert {row.name for row in module.invariants} == {row[0] for row in MUTANTS}


def test_actions_are_those_of_the_standard() -> None:
    """ADD, OBSERVE and DELETE, and nothing else."""
    assert ["ADD", "OBSERVE", "DELETE"] == [action.name for action in Action]
