"""The goods and orders of the acceptance week (modules.md part 4), to the unit: orders 1 to 4, lots 1 to 5."""

from typing import Final

import pytest
from msgspec.structs import replace

from cccnode.city.market import MktAccept, MktConfirm, MktDispute, MktRule
from cccnode.city.market.messages import AtFault, Ruling
from cccnode.city.market.state import OrderStatus, read_params
from cccnode.city.provenance import PrvAccept, PrvCreateLot, PrvOffer, PrvSplit
from cccnode.city.provenance.words import LotStatus, Unit
from cccnode.ledger.parameters import write_parameters
from cccnode.types.limits import AMOUNT_MAX
from tests.city.market.fair import BAHT, DAY_MS, HOUR_MS, Fair
from tests.support.city import START_MS

BEGIN: Final = START_MS - START_MS % DAY_MS + DAY_MS
"""Midnight before day 1; the days of the tests begin at a midnight like those of the week."""


def at(day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return BEGIN + (day - 1) * DAY_MS + hour * HOUR_MS + minute * 60_000 + second * 1_000


class Week(Fair):
    """Day 1 to 5 of the market, as the script has them."""

    def day2(self) -> None:
        good = self.good
        good("farmer-1", PrvCreateLot("rice", Unit.GRAM, 500_000, "w4rqe", at(2, 7), ()), at_ms=at(2, 8))
        good("farmer-1", self.listing(1, 500_000), at_ms=at(2, 8, 10))
        good("farmer-2", PrvCreateLot("rice", Unit.GRAM, 20_000, "w4rqe", at(2, 7), ()), at_ms=at(2, 8, 15))
        good("farmer-2", self.listing(2, 20_000, 4_500, "farmer-2"), at_ms=at(2, 8, 20))
        good("consumer-1", self.buy(), at_ms=at(2, 10))
        good("consumer-2", self.buy(50_000, transport=30_000), at_ms=at(2, 10, 10))
        good("consumer-1", self.buy(20_000, listing=2, carrier=None, transport=0), at_ms=at(2, 10, 20))
        assert [460_000, 230_000, 90_000] == [self.order(number).escrow for number in (1, 2, 3)]
        too_much = self.buy(400_000, carrier=None, transport=0)
        assert "market/QTY_UNAVAILABLE" == self.do("consumer-2", too_much, at_ms=at(2, 10, 25))
        good("farmer-1", MktAccept(1), at_ms=at(2, 11))
        good("farmer-1", MktAccept(2), at_ms=at(2, 11, 5))
        good("farmer-1", PrvSplit(1, (100_000, 50_000)), at_ms=at(2, 11, 10))
        good("farmer-1", PrvOffer(3, self.address("company-2"), 1), at_ms=at(2, 11, 20))
        good("farmer-1", PrvOffer(4, self.address("company-2"), 2), at_ms=at(2, 11, 21))
        good("company-2", PrvAccept(3, 100_000, None), at_ms=at(2, 11, 30))
        good("company-2", PrvAccept(4, 50_000, None), at_ms=at(2, 11, 31))
        assert 350_000 == self.lot(1).quantity
        assert OrderStatus.SHIPPED is self.order(1).status is self.order(2).status
        good("company-2", PrvOffer(3, self.address("consumer-1"), 1), at_ms=at(2, 16))
        good("company-2", PrvOffer(4, self.address("consumer-2"), 2), at_ms=at(2, 16, 1))
        good("consumer-1", PrvAccept(3, 100_000, None), at_ms=at(2, 16, 10))
        good("consumer-2", PrvAccept(4, 40_000, None), at_ms=at(2, 16, 11))
        good("consumer-1", MktConfirm(1), at_ms=at(2, 17))
        good("consumer-2", MktDispute(2, bytes(32)), at_ms=at(2, 17, 10))

    def day3(self) -> None:
        self.good("arbitrator-1", MktRule(2, Ruling(2_000, 5_000, AtFault.CARRIER)), at_ms=at(3, 9))
        self.wait(at(3, 10, 20))
        self.wait(at(3, 15))

    def day4(self) -> None:
        overlay = self.overlay
        write_parameters(overlay, "market", replace(read_params(overlay), market_fee=30))
        self.keep(overlay)
        good = self.good
        good("consumer-1", self.buy(10_000, transport=6_000), at_ms=at(4, 13, 30))
        good("farmer-1", MktAccept(4), at_ms=at(4, 14))
        good("farmer-1", PrvSplit(1, (10_000,)), at_ms=at(4, 14, 5))
        good("farmer-1", PrvOffer(5, self.address("company-2"), 4), at_ms=at(4, 14, 10))
        good("company-2", PrvAccept(5, 10_000, None), at_ms=at(4, 14, 20))
        good("company-2", PrvOffer(5, self.address("consumer-1"), 4), at_ms=at(4, 17))
        good("consumer-1", PrvAccept(5, 10_000, None), at_ms=at(4, 17, 10))

    def gains(self) -> dict[str, int]:
        names = ("farmer-1", "consumer-1", "consumer-2", "company-2", "arbitrator-1")
        return {name: self.baht(name) - BAHT for name in names} | {
            name: self.baht(name) for name in ("m:treasury", "m:market")
        }


@pytest.fixture
def week() -> Week:
    return Week()


def test_day_2(week: Week) -> None:
    """Order 1 is settled with its price, order 2 waits in dispute, order 3 for its seller."""
    week.day2()

    assert (398_000, 2_000, 60_000) == (
        week.gains()["farmer-1"],
        week.gains()["m:treasury"],
        week.gains()["company-2"],
    )
    assert 321_000 == week.gains()["m:market"]
    assert (10_000, 40_000) == (week.lot(4).lost, week.lot(4).quantity)
    assert OrderStatus.SETTLED is week.order(1).status
    assert OrderStatus.DISPUTED is week.order(2).status
    assert [] == week.broken()


def test_day_3(week: Week) -> None:
    """The ruling shares order 2, order 3 goes back by itself, nothing is left in escrow."""
    week.day2()
    before = week.gains()
    week.day3()
    after = week.gains()

    changes = {name: after[name] - before[name] for name in after}
    assert {
        "farmer-1": 159_200,
        "consumer-1": 90_000,
        "consumer-2": 56_000,
        "company-2": 12_700,
        "arbitrator-1": 2_300,
        "m:treasury": 800,
        "m:market": -321_000,
    } == changes
    assert [OrderStatus.SETTLED, OrderStatus.SETTLED, OrderStatus.REFUNDED] == [week.order(n).status for n in (1, 2, 3)]
    assert [350_000, 20_000] == [week.ask("market_listing", number).left for number in (1, 2)]
    assert [] == week.broken()


def test_the_appeal_time_is_whole(week: Week) -> None:
    """A millisecond before its six hours are over the ruling is not carried out."""
    week.day2()
    week.good("arbitrator-1", MktRule(2, Ruling(2_000, 5_000, AtFault.CARRIER)), at_ms=at(3, 9))
    week.wait(at(3, 15) - 1)
    assert OrderStatus.RULED is week.order(2).status
    week.wait(at(3, 15))
    assert OrderStatus.SETTLED is week.order(2).status


def test_days_4_and_5(week: Week) -> None:
    """Order 4 has the fee of its day and settles by itself; the city knows what reached the farmer."""
    week.day2()
    week.day3()
    before = week.gains()
    week.day4()
    assert (46_000, 30, OrderStatus.DELIVERED) == (week.order(4).escrow, week.order(4).fee_bps, week.order(4).status)
    week.wait(at(5, 17, 10) - 1)
    assert OrderStatus.DELIVERED is week.order(4).status
    week.wait(at(5, 17, 10))
    after = week.gains()

    assert (39_880, 120, 6_000) == tuple(after[name] - before[name] for name in ("farmer-1", "m:treasury", "company-2"))
    assert 0 == after["m:market"]
    assert [340_000, 20_000, 100_000, 40_000, 10_000] == [week.lot(number).quantity for number in range(1, 6)]
    assert [LotStatus.ACTIVE] * 5 == [week.lot(number).status for number in range(1, 6)]
    share = week.ask("market_farmer_share", "rice", "thb", BEGIN // DAY_MS, BEGIN // DAY_MS + 6)
    assert (681_000, 597_080, 8_767) == (share.total.consumer_paid, share.total.producer_got, share.share_bps)
    assert 4_600 == week.ask("market_consumer_price", 1).price
    assert [] == week.broken()


def test_the_trail_names_every_price(week: Week) -> None:
    """Each sold lot knows its order, its price, and what its seller got of it."""
    week.day2()
    week.day3()
    sales = week.ask("market_price_trail", 4).sales

    assert [(2, 4_000, 3_184)] == [(sale.order, sale.price, sale.received) for sale in sales]
    assert AMOUNT_MAX > sales[0].received
