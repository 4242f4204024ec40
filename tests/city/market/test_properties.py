"""Whatever sellers, buyers, carriers and arbitrators do, in whatever order: every invariant after every block."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.market import (
    MktAccept,
    MktAppeal,
    MktCancel,
    MktConfirm,
    MktDispute,
    MktList,
    MktOrder,
    MktReject,
    MktRule,
    MktUnlist,
    disputes,
    rules,
    settling,
)
from cccnode.city.market.messages import AtFault, Ruling
from cccnode.city.market.settling import Shares
from cccnode.city.market.state import ENDED, Order, OrderStatus, last_number, read_dispute, read_params
from cccnode.city.provenance import PrvAccept, PrvOffer, PrvReject, PrvSplit
from cccnode.city.provenance.state import last_number as last_of
from cccnode.codec import Noun
from cccnode.ledger.parameters import write_parameters
from cccnode.types.limits import AMOUNT_MAX
from tests.city.market.fair import DAY_MS, HOUR_MS, NAMES, ROLES, Fair

HASH = b"\x06" * 32
JUDGES = ("arbitrator-1", "arbitrator-2", "arbitrator-3", "arbitrator-4")
MANY = {**ROLES, **dict.fromkeys(JUDGES, ("arbitrator",)), "company-2": ("arbitrator",)}
BUYERS = ("consumer-1", "consumer-2", "company-1")
RIGHT = ""
"""Whoever may do it."""
whoever = st.sampled_from([RIGHT] * 42 + [*NAMES])
picks = st.integers(0, 20)
bps = st.sampled_from([0, 1, 3_333, 5_000, 10_000])
rulings = st.builds(Ruling, bps, bps, st.sampled_from(list(AtFault)))
KNOWN = ("ok", "bank/INSUFFICIENT")


class Traders(RuleBasedStateMachine):
    """A market of fourteen; most do what is theirs to do, some try what is not."""

    fair: Fair

    @initialize()
    def begin(self) -> None:
        self.fair = Fair(MANY)
        self.ended: dict[int, Order] = {}
        self.rates: dict[int, int] = {}
        for name in ("farmer-1", "farmer-2"):
            self.fair.good(name, self.fair.listing(self.fair.grow(100_000, name), 100_000, seller=name))
        self.fair.good("consumer-1", self.fair.buy(1_000))

    def send(self, name: str, message: Noun) -> None:
        outcome = self.fair.do(name, message)
        assert outcome in KNOWN or outcome.startswith(("market/", "provenance/")), outcome

    def order(self, pick: int, *wanted: OrderStatus) -> Order | None:
        """One of the orders that are in such a state; rarely, where there is none, another one."""
        every = [self.fair.order(number) for number in range(1, last_number(self.fair.overlay, "order") + 1)]
        fitting = [order for order in every if order.status in wanted]
        if not fitting:
            if wanted and pick < 19:
                return None
            fitting = every
        return fitting[-1 - pick % len(fitting)]

    def by(self, name: str, address: bytes) -> str:
        return name or self.fair.name[address]

    @rule(pick=picks, quantity=st.sampled_from([1, 7, 1_000]), price=st.sampled_from([1, 999, 4_000, 10**15]))
    def sell(self, pick: int, quantity: int, price: int) -> None:
        lot = self.fair.lot(1 + pick % last_of(self.fair.overlay, "lot"))
        until = self.fair.now + DAY_MS * (1 + pick)
        message = MktList(lot.id, quantity, price, "thb", 1, (), 0, 0, 0, 0, "", until)
        self.send(self.fair.name[lot.holder], message)

    @rule(pick=picks, name=whoever)
    def unlist(self, pick: int, name: str) -> None:
        if pick > 15:
            number = 1 + pick % last_number(self.fair.overlay, "listing")
            listing = self.fair.ask("market_listing", number)
            self.send(self.by(name, listing.seller), MktUnlist(number))

    @rule(
        name=st.sampled_from(BUYERS),
        pick=picks,
        quantity=st.sampled_from([1, 3, 999, 1_000, 60_000]),
        transport=st.sampled_from([0, 1, 777, AMOUNT_MAX]),
        carried=st.booleans(),
    )
    def buy(self, name: str, pick: int, quantity: int, transport: int, *, carried: bool) -> None:
        carrier = self.fair.address("company-2") if carried else None
        number = 1 + pick % last_number(self.fair.overlay, "listing")
        self.send(name, MktOrder(number, quantity, carrier, transport if carried else 0))

    @rule(pick=picks, name=whoever, yes=st.integers(0, 5))
    def answer(self, pick: int, name: str, yes: int) -> None:
        order = self.order(pick, OrderStatus.FUNDED)
        if order is None:
            return
        if yes == 5:
            self.send(self.by(name, order.buyer), MktCancel(order.id))
        else:
            self.send(self.by(name, order.seller), MktReject(order.id) if yes == 4 else MktAccept(order.id))

    @rule(pick=picks, less=st.integers(0, 2))
    def ship(self, pick: int, less: int) -> None:
        """The seller splits off what was ordered, and hands it to the carrier or the buyer."""
        order = self.order(pick, OrderStatus.ACCEPTED)
        if order is None:
            return
        seller, target = self.fair.name[order.seller], order.carrier or order.buyer
        lot = self.fair.ask("market_listing", order.listing).lot
        self.send(seller, PrvSplit(lot, (order.quantity,)))
        self._hand(seller, last_of(self.fair.overlay, "lot"), target, order, less)

    @rule(pick=picks, less=st.integers(0, 2))
    def deliver(self, pick: int, less: int) -> None:
        order = self.order(pick, OrderStatus.SHIPPED)
        if order is None:
            return
        if order.carrier is not None and order.lot:
            self._hand(self.fair.name[order.carrier], order.lot, order.buyer, order, less)

    def _hand(self, name: str, lot: int, target: bytes, order: Order, less: int) -> None:
        self.send(name, PrvOffer(lot, target, order.id))
        quantity = max(self.fair.lot(lot).quantity - less, 0)
        self.send(self.fair.name[target], PrvAccept(lot, quantity, None))

    @rule(pick=picks, lot=picks, receiver=st.sampled_from(NAMES))
    def mislead(self, pick: int, lot: int, receiver: str) -> None:
        """A handover of anything to anybody that claims to serve an order."""
        goods = self.fair.lot(1 + lot % last_of(self.fair.overlay, "lot"))
        target, order = self.fair.address(receiver), self.order(pick)
        if order is not None:
            self._hand(self.fair.name[goods.holder], goods.id, target, order, 0)
            self.send(self.fair.name[goods.holder], PrvReject(goods.id))

    @rule(pick=picks, steps=st.integers(1, 5), peaceful=st.booleans(), ruling=rulings)
    def go_on(self, pick: int, steps: int, ruling: Ruling, *, peaceful: bool) -> None:
        """The next steps of an order, as those whose turn it is would take them."""
        open_ones = [status for status in OrderStatus if status not in ENDED]
        order = self.order(pick, *open_ones)
        if order is None:
            return
        number = order.id
        for step in range(steps):
            match self.fair.order(number).status:
                case OrderStatus.FUNDED:
                    self.send(self.fair.name[self.fair.order(number).seller], MktAccept(number))
                case OrderStatus.ACCEPTED:
                    self.ship(self._pick_of(number, OrderStatus.ACCEPTED), step % 3)
                case OrderStatus.SHIPPED:
                    self.deliver(self._pick_of(number, OrderStatus.SHIPPED), step % 3)
                case OrderStatus.DELIVERED:
                    buyer = self.fair.name[self.fair.order(number).buyer]
                    self.send(buyer, MktConfirm(number) if peaceful else MktDispute(number, HASH))
                case OrderStatus.DISPUTED:
                    self.rule_on(self._pick_of(number, OrderStatus.DISPUTED), RIGHT, ruling)
                case OrderStatus.RULED:
                    self.appeal(self._pick_of(number, OrderStatus.RULED), RIGHT, seller=peaceful)
                case OrderStatus.SETTLED | OrderStatus.REFUNDED:
                    return

    def _pick_of(self, number: int, status: OrderStatus) -> int:
        """What `order` must be asked with to give this one."""
        count = last_number(self.fair.overlay, "order")
        fitting = [one for one in range(1, count + 1) if self.fair.order(one).status is status]
        return len(fitting) - 1 - fitting.index(number)

    @rule(pick=picks, name=whoever)
    def confirm(self, pick: int, name: str) -> None:
        order = self.order(pick, OrderStatus.DELIVERED)
        if order is None:
            return
        self.send(self.by(name, order.buyer), MktConfirm(order.id))

    @rule(pick=picks, name=whoever, seller=st.booleans())
    def dispute(self, pick: int, name: str, *, seller: bool) -> None:
        order = self.order(pick, OrderStatus.DELIVERED, OrderStatus.SHIPPED)
        if order is None:
            return
        self.send(self.by(name, order.seller if seller else order.buyer), MktDispute(order.id, HASH))

    @rule(pick=picks, name=whoever, ruling=rulings)
    def rule_on(self, pick: int, name: str, ruling: Ruling) -> None:
        order = self.order(pick, OrderStatus.DISPUTED)
        if order is None:
            return
        quarrel = read_dispute(self.fair.overlay, order.id)
        if quarrel is None:
            return
        asked = [seat.arbitrator for seat in quarrel.panel if seat.ruling is None] or [quarrel.arbitrator]
        if asked[0] is not None:
            self.send(self.by(name, asked[0]), MktRule(order.id, ruling))

    @rule(pick=picks, name=whoever, seller=st.booleans())
    def appeal(self, pick: int, name: str, *, seller: bool) -> None:
        order = self.order(pick, OrderStatus.RULED)
        if order is None:
            return
        self.send(self.by(name, order.seller if seller else order.buyer), MktAppeal(order.id))

    @rule(fee=st.sampled_from([0, 30, 50, 1_000]), arb=st.sampled_from([0, 100, 1_000]), bond=st.sampled_from([0, 999]))
    def vote(self, fee: int, arb: int, bond: int) -> None:
        """The city changes its parameters in the middle."""
        overlay = self.fair.overlay
        params = replace(read_params(overlay), market_fee=fee, arb_bps=arb, dispute_bond=bond)
        write_parameters(overlay, "market", params)
        self.fair.keep(overlay)

    @rule(hours=st.sampled_from([1, 5, 25, 49, 80]))
    def wait(self, hours: int) -> None:
        self.fair.wait(self.fair.now + hours * HOUR_MS)

    @invariant()
    def sound(self) -> None:
        """All invariants; what has ended never changes (MKT-2); a fee is the one of its order (MKT-5)."""
        assert [] == self.fair.broken()
        for number in range(1, last_number(self.fair.overlay, "order") + 1):
            order = self.fair.order(number)
            assert self.ended.get(number, order) == order
            assert self.rates.setdefault(number, order.fee_bps) == order.fee_bps
            if order.status in ENDED:
                self.ended[number] = order

    def teardown(self) -> None:
        """Whatever was left open ends by itself, with nobody doing anything (MKT-8)."""
        if not hasattr(self, "ended"):
            return
        for _ in range(8):
            self.fair.wait(self.fair.now + 4 * DAY_MS)
        count = last_number(self.fair.overlay, "order")
        assert {self.fair.order(number).status for number in range(1, count + 1)} <= ENDED
        assert 0 == self.fair.baht("m:market")


Traders.TestCase.settings = settings(stateful_step_count=60)
TestTraders = Traders.TestCase


def _busy() -> Iterator[list[str]]:
    """What every kind of ending leaves broken, after each of them."""
    fair = Fair(MANY)
    fair.shipped()
    yield fair.broken()
    overlay = fair.overlay
    write_parameters(overlay, "market", replace(read_params(overlay), market_fee=30))
    fair.keep(overlay)
    fair.hand(2, "company-2", "consumer-1", 1)
    fair.do("consumer-1", MktConfirm(1))
    yield fair.broken()
    fair.do("consumer-2", fair.buy(7, carrier=None, transport=0))
    fair.do("consumer-2", MktCancel(2))
    yield fair.broken()
    fair.do("consumer-2", fair.buy(777, transport=33))
    fair.do("farmer-1", MktAccept(3))
    fair.hand(fair.part(1, 777), "farmer-1", "company-2", 3)
    fair.do("consumer-2", MktDispute(3, HASH))
    yield fair.broken()
    quarrel = read_dispute(fair.overlay, 3)
    assert quarrel is not None
    if quarrel.arbitrator is not None:
        fair.do(fair.name[quarrel.arbitrator], MktRule(3, Ruling(3_333, 5_000, AtFault.CARRIER)))
    yield fair.broken()
    fair.wait(fair.now + 7 * HOUR_MS)
    yield fair.broken()
    fair.do("consumer-2", fair.buy(7, carrier=None, transport=0))
    fair.wait(fair.now + 30 * HOUR_MS)
    yield fair.broken()


REAL: dict[str, Callable[..., Any]] = {
    "share": settling.share,
    "pay": settling.pay,
    "go": rules.go,
    "added": settling.added,
}


def _unpaid(state: Any, order: Order, target: bytes, amount: int) -> None:
    """A settlement that forgets the carrier."""
    if target != order.carrier:
        REAL["pay"](state, order, target, amount)


def _rounded_away(order: Order, ruling: Ruling, arb: int) -> Shares:
    parts = REAL["share"](order, ruling, arb)
    return parts._replace(buyer=parts.buyer + 1)  # type: ignore[no-any-return]


def _fee_of_today(order: Order, ruling: Ruling, arb: int) -> Shares:
    return REAL["share"](replace(order, fee_bps=30), ruling, arb)  # type: ignore[no-any-return]


def _no_limit(context: Any, order: Order, status: OrderStatus, after_ms: int) -> None:
    """A dispute that forgets itself: an order in quarrel without one."""
    REAL["go"](context, order, OrderStatus.DISPUTED if status is OrderStatus.SHIPPED else status, after_ms)


def _anybody(context: Any, order: Order, before: tuple[bytes, ...], draw: int) -> bytes:
    return order.seller


def _of_the_house(context: Any, order: Order, before: tuple[bytes, ...], draw: int) -> bytes | None:
    return order.carrier


def _twice(day: Any, order: Order, paid: Any, fee: int) -> Any:
    return REAL["added"](REAL["added"](day, order, paid, fee), order, paid, fee)


MUTANTS: list[tuple[str, Any, str, Any]] = [
    ("MKT-1", settling, "pay", _unpaid),
    ("MKT-2", settling, "share", _rounded_away),
    ("MKT-3", settling, "write_listing", lambda *_: None),
    ("MKT-4", rules, "schedule", lambda *_: None),
    ("MKT-5", settling, "share", _fee_of_today),
    ("MKT-6", disputes, "drawn", _anybody),
    ("MKT-6", disputes, "drawn", _of_the_house),
    ("MKT-7", settling, "write_day", lambda *_: None),
    ("MKT-8", rules, "go", _no_limit),
]


@pytest.mark.parametrize(
    ("name", "where", "what", "mutant"), MUTANTS, ids=[f"{row[0]}-{row[3].__name__}" for row in MUTANTS]
)
def test_each_invariant_catches_its_mutant(
    name: str, where: Any, what: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same steps break nothing by themselves, and break this invariant with one rule changed."""
    assert [] == [text for found in _busy() for text in found]
    monkeypatch.setattr(where, what, mutant)

    with pytest.raises(KeyboardInterrupt):
        _until_broken(name)


def _until_broken(name: str) -> None:
    """Go on until an invariant is broken: a mutant may trip over itself later."""
    for found in _busy():
        if any(text.startswith(name) for text in found):
            raise KeyboardInterrupt(name)


def test_every_invariant_has_a_mutant() -> None:
    """None of them is a check that nothing could fail."""
    assert {row.name for row in CITY.by_name["market"].invariants} == {row[0] for row in MUTANTS}
