"""Quarrels: who is drawn, what a ruling does, and that silence holds no money (modules.md 3.6)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cccnode.city.market import MktAccept, MktAppeal, MktConfirm, MktDispute, MktRule
from cccnode.city.market.disputes import candidates, decision
from cccnode.city.market.messages import AtFault, Ruling
from cccnode.city.market.settling import share
from cccnode.city.market.state import Dispute, Order, OrderStatus, Seat, read_dispute
from cccnode.city.provenance import PrvOffer
from cccnode.types.limits import AMOUNT_MAX
from tests.city.market.fair import BAHT, DAY_MS, HOUR_MS, ROLES, Fair

HASH = b"\x06" * 32
JUDGES = ("arbitrator-1", "arbitrator-2", "arbitrator-3", "arbitrator-4")
MANY = {**ROLES, **dict.fromkeys(JUDGES, ("arbitrator",))}


def quarrel(fair: Fair, number: int = 1) -> Dispute:
    dispute = read_dispute(fair.overlay, number)
    assert dispute is not None
    return dispute


def judge(fair: Fair) -> str:
    """Who was drawn."""
    arbitrator = quarrel(fair).arbitrator
    assert arbitrator is not None
    return fair.name[arbitrator]


def disputed(**fields: Any) -> Fair:
    """A delivered order about which the buyer quarrels."""
    fair = Fair(fields.pop("roles", MANY))
    part = fair.shipped()
    assert "ok" == fair.hand(part, "company-2", "consumer-1", 1)
    fair.good("consumer-1", MktDispute(1, HASH))
    return fair


def gains(fair: Fair, *names: str) -> list[int]:
    return [fair.baht(name) - (0 if name.startswith("m:") else BAHT) for name in names]


def test_the_draw() -> None:
    """Only active arbitrators that are no party and of no party's house are drawn (MKT-6)."""
    fair = Fair({**MANY, "company-2": ("arbitrator",), "regulator-1": ("arbitrator",)})
    overlay = fair.overlay
    fair.dress(overlay, "arbitrator-2", ("arbitrator",), "company-2")
    fair.keep(overlay)
    fair.shipped()
    able = [fair.name[address] for address in candidates(fair.overlay, fair.order(1))]

    assert sorted(["arbitrator-1", "arbitrator-3", "arbitrator-4", "regulator-1"]) == sorted(able)


@pytest.mark.parametrize(("who", "error"), [("company-2", "NOT_A_PARTY"), ("farmer-2", "NOT_A_PARTY")])
def test_who_may_quarrel(who: str, error: str) -> None:
    """Buyer and seller begin a dispute."""
    fair = Fair(MANY)
    fair.shipped()

    assert f"market/{error}" == fair.do(who, MktDispute(1, HASH))
    assert "ok" == fair.do("farmer-1", MktDispute(1, HASH))


def test_who_may_rule() -> None:
    """Only whoever was drawn rules, once, and blames no carrier where there is none."""
    fair = disputed()
    ruling = Ruling(0, 10_000, AtFault.NONE)
    others = [name for name in JUDGES if name != judge(fair)]
    assert "market/NOT_THE_ARBITRATOR" == fair.do(others[0], MktRule(1, ruling))
    fair.good(judge(fair), MktRule(1, ruling))
    assert "market/STATUS" == fair.do(judge(fair), MktRule(1, ruling))

    pickup = Fair(MANY)
    pickup.good("farmer-1", pickup.listing(pickup.grow(), 500_000))
    pickup.good("consumer-1", pickup.buy(carrier=None, transport=0))
    pickup.good("farmer-1", MktAccept(1))
    assert "ok" == pickup.hand(pickup.part(1, 100_000), "farmer-1", "consumer-1", 1)
    pickup.good("consumer-1", MktDispute(1, HASH))
    assert "market/RULING" == pickup.do(judge(pickup), MktRule(1, Ruling(0, 0, AtFault.CARRIER)))


@pytest.mark.parametrize(
    ("ruling", "expected"),
    [
        (Ruling(10_000, 0, AtFault.SELLER), (460_000, 0, 0, 0, 0)),
        (Ruling(0, 10_000, AtFault.BUYER), (-1_000, 398_000, 60_000, 3_000, 0)),
        (Ruling(5_000, 10_000, AtFault.SELLER), (200_000, 194_400, 60_000, 1_000, 4_600)),
    ],
)
def test_rulings(ruling: Ruling, expected: tuple[int, ...]) -> None:
    """A faulty party pays the arbitrator from its part and never more; a faulty giver loses his bond."""
    fair = disputed()
    name = judge(fair)
    before = fair.baht("consumer-1") + 1_000
    fair.good(name, MktRule(1, ruling))
    fair.wait(fair.now + 6 * HOUR_MS)

    buyer = fair.baht("consumer-1") - before
    assert expected == (buyer, *gains(fair, "farmer-1", "company-2", "m:treasury", name))
    assert 0 == fair.baht("m:market")
    assert [] == fair.broken()


def test_silent_arbitrators() -> None:
    """Who misses his time is replaced by another; after the third the goods are shared and the carrier is paid."""
    fair = disputed()
    drawn = []
    for draws in (1, 2, 3):
        assert draws == quarrel(fair).draws
        drawn.append(judge(fair))
        fair.wait(fair.order(1).deadline_ms)

    assert 3 == len(set(drawn))
    assert OrderStatus.SETTLED is fair.order(1).status
    assert [199_000, 60_000, 1_000] == gains(fair, "farmer-1", "company-2", "m:treasury")
    assert -260_000 == fair.baht("consumer-1") - BAHT
    assert "market/STATUS" == fair.do(drawn[0], MktRule(1, Ruling(0, 0, AtFault.NONE)))
    assert [] == fair.broken()


def test_nobody_to_draw() -> None:
    """Without any arbitrator an order ends too."""
    fair = disputed(roles={name: roles for name, roles in ROLES.items() if "arbitrator" not in roles})
    assert quarrel(fair).arbitrator is None
    for _ in range(3):
        fair.wait(fair.order(1).deadline_ms)

    assert OrderStatus.SETTLED is fair.order(1).status
    assert [] == fair.broken()


def test_goods_that_never_arrive() -> None:
    """A carrier who falls silent brings the order to an arbitrator by itself, without a bond."""
    fair = Fair(MANY)
    fair.shipped()
    fair.wait(fair.order(1).deadline_ms)

    assert (OrderStatus.DISPUTED, None, 0) == (fair.order(1).status, quarrel(fair).by, fair.order(1).bond)
    fair.good(judge(fair), MktRule(1, Ruling(10_000, 0, AtFault.CARRIER)))
    fair.wait(fair.now + 6 * HOUR_MS)
    assert [0, 0, 0] == gains(fair, "farmer-1", "company-2", "consumer-1")
    assert [] == fair.broken()


def test_a_ruling_after_its_time() -> None:
    """An arbitrator who is late is too late, in that very millisecond."""
    fair = disputed()
    name = judge(fair)

    late = MktRule(1, Ruling(0, 0, AtFault.NONE))
    assert "market/EXPIRED" == fair.do(name, late, at_ms=fair.order(1).deadline_ms)


def test_no_delivery_during_a_quarrel() -> None:
    """Once it is disputed an order does not move by handovers."""
    fair = Fair(MANY)
    part = fair.shipped()
    fair.good("company-2", PrvOffer(part, fair.address("consumer-1"), 1))
    fair.good("consumer-1", MktDispute(1, HASH))

    assert "market/STATUS" == fair.hand_over(part, "consumer-1")
    assert "market/STATUS" == fair.do("consumer-1", MktConfirm(1))


def appealed(first: Ruling, by: str = "consumer-1") -> Fair:
    fair = disputed()
    fair.good(judge(fair), MktRule(1, first))
    fair.good(by, MktAppeal(1))
    return fair


def panel(fair: Fair) -> list[str]:
    return [fair.name[seat.arbitrator] for seat in quarrel(fair).panel]


FIRST = Ruling(0, 10_000, AtFault.BUYER)
OTHER = Ruling(10_000, 10_000, AtFault.SELLER)


def test_appeal() -> None:
    """A panel of three others decides, two that agree suffice; who was right gets his bonds back."""
    fair = appealed(FIRST)
    assert (3, 3_000) == (len(panel(fair)), fair.order(1).bond)
    assert judge(fair) not in panel(fair)
    assert "market/APPEALED" == fair.do("farmer-1", MktAppeal(1))
    one, two, _ = panel(fair)
    fair.good(one, MktRule(1, OTHER))
    assert "market/NOT_THE_ARBITRATOR" == fair.do(one, MktRule(1, OTHER))
    assert "market/NOT_THE_ARBITRATOR" == fair.do(judge(fair), MktRule(1, OTHER))
    fair.good(two, MktRule(1, OTHER))

    assert OrderStatus.SETTLED is fair.order(1).status
    assert [-60_000, 0, 60_000, 0] == gains(fair, "consumer-1", "farmer-1", "company-2", "m:treasury")
    assert [] == fair.broken()


def test_a_vain_appeal_costs_its_bond() -> None:
    """Who appeals and changes nothing leaves the double bond to the city."""
    fair = appealed(Ruling(5_000, 10_000, AtFault.SELLER), by="company-2")
    for name in panel(fair)[:2]:
        fair.good(name, MktRule(1, Ruling(5_000, 10_000, AtFault.SELLER)))

    assert [58_000, 3_000] == gains(fair, "company-2", "m:treasury")
    assert [2_300, 2_300] == gains(fair, *panel(fair)[:2])
    assert [] == fair.broken()


@pytest.mark.parametrize(("words", "expected"), [(0, FIRST), (1, FIRST), (2, Ruling(5_000, 10_000, AtFault.NONE))])
def test_a_silent_panel(words: int, expected: Ruling) -> None:
    """Seats that stay silent leave the first ruling; two words and it make the middle."""
    fair = appealed(FIRST)
    for name, ruling in zip(panel(fair)[:words], (OTHER, Ruling(5_000, 9_000, AtFault.CARRIER)), strict=False):
        fair.good(name, MktRule(1, ruling))
    fair.wait(fair.order(1).deadline_ms)

    assert expected == quarrel(fair).final
    assert [] == fair.broken()


def test_when_to_appeal() -> None:
    """Within six hours of the ruling, by a party of the order."""
    fair = disputed()
    assert "market/STATUS" == fair.do("consumer-1", MktAppeal(1))
    fair.good(judge(fair), MktRule(1, FIRST))
    assert fair.order(1).deadline_ms == fair.now + 6 * HOUR_MS
    assert "market/NOT_A_PARTY" == fair.do("farmer-2", MktAppeal(1))
    assert "market/EXPIRED" == fair.do("consumer-1", MktAppeal(1), at_ms=fair.order(1).deadline_ms)
    assert OrderStatus.SETTLED is fair.order(1).status


def test_open_disputes() -> None:
    """Arbitrators find what waits for them."""
    fair = disputed()

    assert [1] == [row.order.id for row in fair.ask("market_disputes").disputes]
    fair.wait(fair.now + 30 * DAY_MS)
    for _ in range(3):
        fair.wait(fair.now + 3 * DAY_MS)
    assert () == fair.ask("market_disputes").disputes


AMOUNTS = st.integers(0, AMOUNT_MAX // 2) | st.integers(0, 30)
BPS = st.integers(0, 10_000)


def _order(goods: int, transport: int, fee_bps: int, carrier: bytes | None) -> Order:
    return Order(
        1, 1, 0, bytes(20), b"\x01" * 20, b"\x01" * 20, carrier, "rice", "thb", 1, 1, goods, transport, fee_bps,
        goods + transport, 0, OrderStatus.RULED, 1, 1, 0, None,
    )  # fmt: skip


@given(AMOUNTS, AMOUNTS, BPS, BPS, BPS, st.integers(0, 1_000), st.sampled_from(list(AtFault)), st.booleans())
def test_nothing_is_lost_or_made(
    goods: int, transport: int, fee: int, back: int, carried: int, arb: int, fault: AtFault, carrier: bool
) -> None:
    """Whatever is ruled, the parts are not negative and add up to what lies in escrow (rounding theft)."""
    order = _order(goods, transport, fee, b"\x02" * 20 if carrier else None)
    if fault is AtFault.CARRIER and not carrier:
        fault = AtFault.NONE
    parts = share(order, Ruling(back, carried, fault), arb)

    assert goods + transport == sum(parts)
    assert 0 <= min(parts)


RULINGS = st.builds(Ruling, BPS, BPS, st.sampled_from(list(AtFault)))


@given(RULINGS, st.lists(RULINGS | st.none(), max_size=3))
def test_one_of_a_panel_decides_nothing(first: Ruling, words: list[Ruling | None]) -> None:
    """Each number of a decision lies between two of the three rulings: a single bribed seat moves none beyond."""
    base = quarrel(disputed_once())
    seats = tuple(Seat(bytes(20), word) for word in words)
    result = decision(replace(base, ruling=first, panel=seats))
    three = ([word or first for word in words] + 3 * [first])[:3]

    assert sorted(row.buyer_goods for row in three)[1] == result.buyer_goods
    assert sorted(row.carrier for row in three)[1] == result.carrier


def disputed_once(known: list[Fair] = []) -> Fair:  # noqa: B006 - made once for all examples
    if not known:
        known.append(disputed())
    return known[0]
