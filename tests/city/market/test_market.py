"""Orders from listing to end: who may do what, and what every state does by itself (modules.md 3.6)."""

import pytest
from msgspec.structs import replace

from cccnode.city.bank.state import Freeze, balances, set_balance, write_asset, write_freeze
from cccnode.city.market import MktAccept, MktCancel, MktConfirm, MktDispute, MktList, MktReject, MktUnlist
from cccnode.city.market.state import ListingStatus, OrderStatus, Params, read_listing
from cccnode.city.members import MemLeave
from cccnode.city.provenance import PrvRecall
from cccnode.codec import Noun
from cccnode.types.errors import Fault
from cccnode.types.limits import AMOUNT_MAX, GROUP_ITEMS_MAX
from tests.city.market.fair import BAHT, DAY_MS, HOUR_MS, Fair

HASH = b"\x06" * 32


@pytest.fixture
def fair() -> Fair:
    return Fair()


@pytest.fixture
def open_fair(fair: Fair) -> Fair:
    """Half a tonne of rice for sale."""
    fair.good("farmer-1", fair.listing(fair.grow(), 500_000))
    return fair


def left(fair: Fair, number: int = 1) -> int:
    listing = read_listing(fair.overlay, number)
    assert listing is not None
    return listing.left


def listing(fair: Fair, **fields: object) -> MktList:
    return replace(fair.listing(1, 100), **fields)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"lot": 9}, "market/NOT_HOLDER"),
        ({"quantity": 500_001}, "market/NOT_HOLDER"),
        ({"expires_ms": 5}, "market/EXPIRY"),
        ({"min_quantity": 101}, "market/MINIMUM"),
        ({"asset": "gold"}, "bank/UNKNOWN_ASSET"),
    ],
)
def test_invalid_listing(fair: Fair, change: dict[str, object], error: str) -> None:
    """A listing is of goods that one holds, in money that there is, for a time that the city allows."""
    fair.grow()

    assert error == fair.do("farmer-1", listing(fair, **change))


def test_only_movable_money(fair: Fair) -> None:
    """Nobody sells for an asset that cannot be moved."""
    fair.grow()
    overlay = fair.overlay
    write_asset(overlay, replace(fair.asset(), transferable=False))
    fair.keep(overlay)

    assert "bank/NOT_TRANSFERABLE" == fair.do("farmer-1", listing(fair))


def test_a_listing_too_far_ahead(fair: Fair) -> None:
    """A year and not a millisecond more."""
    fair.grow()
    last = fair.now + 1_000 + Params().listing_ms

    assert "market/EXPIRY" == fair.do("farmer-1", listing(fair, expires_ms=last + 1))
    assert "ok" == fair.do("farmer-1", listing(fair, expires_ms=last + 1_000))


def test_who_does_not_hold_does_not_sell(fair: Fair) -> None:
    """Another one's goods, and goods that were called back, are not for sale."""
    fair.grow()
    assert "market/NOT_HOLDER" == fair.do("farmer-2", listing(fair))
    fair.good("farmer-1", PrvRecall(1, HASH))
    assert "market/NOT_HOLDER" == fair.do("farmer-1", listing(fair))


def test_unlist(open_fair: Fair) -> None:
    """Its seller takes goods off the market; open orders go on."""
    open_fair.good("consumer-1", open_fair.buy())
    assert "market/NOT_A_PARTY" == open_fair.do("farmer-2", MktUnlist(1))
    open_fair.good("farmer-1", MktUnlist(1))

    assert "market/UNKNOWN_LISTING" == open_fair.do("farmer-1", MktUnlist(1))
    assert "market/UNKNOWN_LISTING" == open_fair.do("consumer-1", open_fair.buy())
    open_fair.good("farmer-1", MktReject(1))
    assert 500_000 == left(open_fair)
    assert [] == open_fair.broken()


def test_listings_end(open_fair: Fair) -> None:
    """At its end a listing takes no order, at that millisecond, and is noted as ended."""
    expires = open_fair.ask("market_listing", 1).expires_ms
    assert "market/UNKNOWN_LISTING" == open_fair.do("consumer-1", open_fair.buy(), at_ms=expires)
    assert ListingStatus.ENDED is open_fair.ask("market_listing", 1).status


@pytest.mark.parametrize(
    ("who", "fields", "error"),
    [
        ("farmer-1", {}, "market/SELF"),
        ("company-2", {}, "market/SELF"),
        ("consumer-1", {"carrier": "farmer-1"}, "market/SELF"),
        ("consumer-1", {"quantity": 500_001}, "market/QTY_UNAVAILABLE"),
        ("consumer-1", {"listing": 2}, "market/UNKNOWN_LISTING"),
        ("consumer-1", {"carrier": None, "transport": 1}, "market/CARRIER"),
        ("consumer-1", {"carrier": "m:market"}, "market/CARRIER"),
        ("consumer-1", {"transport": BAHT}, "bank/INSUFFICIENT"),
        ("consumer-1", {"transport": AMOUNT_MAX}, "market/TOO_LARGE"),
    ],
)
def test_invalid_order(open_fair: Fair, who: str, fields: dict[str, object], error: str) -> None:
    """Buyer, seller and carrier are three; nobody orders what is not there, or more than he owns."""
    assert error == open_fair.do(who, open_fair.buy(**fields))  # type: ignore[arg-type]
    assert 500_000 == left(open_fair)


def test_terms_of_a_listing(fair: Fair) -> None:
    """The seller says the least he sells, and who may carry it."""
    fair.good("farmer-1", fair.listing(fair.grow(), 500_000, least=100, carriers=("company-2",)))

    assert "market/MINIMUM" == fair.do("consumer-1", fair.buy(99))
    assert "market/CARRIER" == fair.do("consumer-1", fair.buy(carrier="company-1"))
    assert "ok" == fair.do("consumer-1", fair.buy(100))


def test_prices_round_up(open_fair: Fair) -> None:
    """A price that is no whole unit costs the buyer the next one: nobody buys for nothing, one gram at a time."""
    open_fair.good("consumer-1", open_fair.buy(1, carrier=None, transport=0))

    assert 4 == open_fair.order(1).goods
    open_fair.good("farmer-1", open_fair.listing(1, 100, price=1))
    open_fair.good("consumer-1", open_fair.buy(1, listing=2, carrier=None, transport=0))
    assert 1 == open_fair.order(2).goods


@pytest.mark.parametrize("message", [MktAccept(9), MktReject(9), MktCancel(9), MktConfirm(9), MktDispute(9, HASH)])
def test_unknown_order(open_fair: Fair, message: Noun) -> None:
    """What there is not cannot be acted on."""
    assert "market/UNKNOWN_ORDER" == open_fair.do("consumer-1", message)


@pytest.mark.parametrize(
    ("who", "message"),
    [
        ("consumer-1", MktAccept(1)),
        ("company-2", MktReject(1)),
        ("farmer-1", MktCancel(1)),
        ("farmer-1", MktConfirm(1)),
    ],
)
def test_not_a_party(open_fair: Fair, who: str, message: Noun) -> None:
    """Each step has its party."""
    open_fair.good("consumer-1", open_fair.buy())

    assert "market/NOT_A_PARTY" == open_fair.do(who, message)


@pytest.mark.parametrize(("who", "message"), [("farmer-1", MktReject(1)), ("consumer-1", MktCancel(1))])
def test_money_back(open_fair: Fair, who: str, message: Noun) -> None:
    """Refused or taken back, everything returns, and the order is over for good."""
    open_fair.good("consumer-1", open_fair.buy())
    open_fair.good(who, message)

    assert (BAHT, 500_000, 0) == (open_fair.baht("consumer-1"), left(open_fair), open_fair.baht("m:market"))
    assert "market/STATUS" == open_fair.do(who, message)
    assert [] == open_fair.broken()


def test_each_step_has_its_place(open_fair: Fair) -> None:
    """Accepting twice, confirming what was not delivered, disputing what was not shipped: refused."""
    open_fair.good("consumer-1", open_fair.buy())
    open_fair.good("farmer-1", MktAccept(1))

    for who, message in (
        ("farmer-1", MktAccept(1)),
        ("farmer-1", MktReject(1)),
        ("consumer-1", MktCancel(1)),
        ("consumer-1", MktConfirm(1)),
        ("consumer-1", MktDispute(1, HASH)),
    ):
        assert "market/STATUS" == open_fair.do(who, message)


def test_not_accepted_in_time(open_fair: Fair) -> None:
    """From its deadline on an order is over for everybody, although the block's end has not come yet."""
    open_fair.good("consumer-1", open_fair.buy())
    deadline = open_fair.order(1).deadline_ms
    assert deadline == open_fair.now + 24 * HOUR_MS
    assert "market/EXPIRED" == open_fair.do("farmer-1", MktAccept(1), at_ms=deadline)

    assert OrderStatus.REFUNDED is open_fair.order(1).status
    assert BAHT == open_fair.baht("consumer-1")


def test_not_shipped_in_time(open_fair: Fair) -> None:
    """A seller who does not hand over gets nothing."""
    open_fair.good("consumer-1", open_fair.buy())
    open_fair.good("farmer-1", MktAccept(1))
    open_fair.wait(open_fair.now + 48 * HOUR_MS)

    assert (OrderStatus.REFUNDED, BAHT) == (open_fair.order(1).status, open_fair.baht("consumer-1"))


def test_a_listing_with_its_own_times(fair: Fair) -> None:
    """What a seller says about times goes before the city's parameters."""
    fair.good("farmer-1", replace(fair.listing(fair.grow(), 500_000), accept_ms=60_000))
    fair.good("consumer-1", fair.buy())

    assert fair.order(1).deadline_ms == fair.now + 60_000


def test_a_handover_must_fit(open_fair: Fair) -> None:
    """Goods of another kind, to another hand, or out of turn do not serve an order; the handover fails with it."""
    fair = open_fair
    fair.good("consumer-1", fair.buy())
    corn, rice = fair.grow(5, commodity="corn"), fair.part(1, 100_000)
    assert "market/STATUS" == fair.hand(rice, "farmer-1", "company-2", 1)
    fair.good("farmer-1", MktAccept(1))
    assert rice > corn
    for lot, target in ((corn, "company-2"), (fair.part(1, 5), "consumer-1")):
        assert "market/WRONG_HANDOVER" == fair.hand(lot, "farmer-1", target, 1)
        assert fair.address("farmer-1") == fair.lot(lot).holder
    strange = fair.grow(5, "farmer-2")
    assert "ok" == fair.hand(strange, "farmer-2", "farmer-1")
    assert "market/WRONG_HANDOVER" == fair.hand(strange, "farmer-1", "company-2", 1)
    assert "market/UNKNOWN_ORDER" == fair.hand(fair.part(1, 5), "farmer-1", "company-2", 9)


def test_another_lot_is_not_delivered(fair: Fair) -> None:
    """A carrier delivers what he took over, nothing else."""
    fair.shipped()
    other = fair.part(1, 5)
    assert "ok" == fair.hand(other, "farmer-1", "company-2")

    assert "market/WRONG_HANDOVER" == fair.hand(other, "company-2", "consumer-1", 1)


def test_pickup(open_fair: Fair) -> None:
    """Without a carrier the seller hands over to the buyer, and it is delivered at once."""
    open_fair.good("consumer-1", open_fair.buy(carrier=None, transport=0))
    open_fair.good("farmer-1", MktAccept(1))
    part = open_fair.part(1, 100_000)
    assert "ok" == open_fair.hand(part, "farmer-1", "consumer-1", 1)
    open_fair.good("consumer-1", MktConfirm(1))

    assert (398_000, 2_000) == (open_fair.baht("farmer-1") - BAHT, open_fair.baht("m:treasury"))
    assert [] == open_fair.broken()


def test_a_middleman_is_seen(fair: Fair) -> None:
    """Who buys and sells on shows what the producer got, and the city's share of farmers falls accordingly."""
    part = fair.shipped()
    assert "ok" == fair.hand(part, "company-2", "consumer-1", 1)
    fair.good("consumer-1", MktConfirm(1))
    fair.good("consumer-1", fair.listing(part, 100_000, price=10_000))
    fair.good("consumer-2", fair.buy(50_000, listing=2, carrier=None, transport=0))
    fair.good("consumer-1", MktAccept(2))
    half = fair.part(part, 50_000, "consumer-1")
    assert "ok" == fair.hand(half, "consumer-1", "consumer-2", 2)
    fair.good("consumer-2", MktConfirm(2))

    paid = fair.order(2).paid
    assert paid is not None
    assert (497_500, 199_000) == (paid.seller, paid.producer)
    assert [(1, 4_000, 3_980), (2, 10_000, 9_950)] == [
        (sale.order, sale.price, sale.received) for sale in fair.ask("market_price_trail", half).sales
    ]
    day = fair.now // DAY_MS
    share = fair.ask("market_farmer_share", "rice", "thb", day, day)
    assert (398_000 + 199_000) * 10_000 // 960_000 == share.share_bps
    assert [] == fair.broken()


def test_prices_before_and_after(fair: Fair) -> None:
    """The price that a buyer sees is what was agreed, and once it is over what was paid."""
    part = fair.shipped()
    price = fair.ask("market_consumer_price", 1)
    assert (4_600, 4_000, 600, 20) == (price.price, price.goods, price.transport, price.fee)
    assert "ok" == fair.hand(part, "company-2", "consumer-1", 1)
    fair.good("consumer-1", MktConfirm(1))

    assert 4_600 == fair.ask("market_consumer_price", 1).price


def test_pages(open_fair: Fair) -> None:
    """Listings come newest first, page by page."""
    for _ in range(4):
        open_fair.good("farmer-1", open_fair.listing(1, 5))
    page = open_fair.ask("market_listings", 2**63 - 1, 3)
    rest = open_fair.ask("market_listings", page.next_before, 3)

    assert [5, 4, 3] == [row.id for row in page.listings]
    assert ([2, 1], 0) == ([row.id for row in rest.listings], rest.next_before)


@pytest.mark.parametrize("method", ["market_listing", "market_order", "market_consumer_price"])
def test_unknown(fair: Fair, method: str) -> None:
    """What there is not is not found."""
    with pytest.raises(Fault, match="rpc/NOT_FOUND"):
        fair.ask(method, 9)


def test_no_sales_no_share(fair: Fair) -> None:
    """Where nothing was sold nobody has a share."""
    share = fair.ask("market_farmer_share", "rice", "thb", 0, 2**32 - 1)

    assert (0, 0, 0) == (share.share_bps, share.price, share.total.orders)


def test_frozen_money_buys_nothing(open_fair: Fair) -> None:
    """Who may not move his money may not order with it either."""
    overlay = open_fair.overlay
    write_asset(overlay, replace(open_fair.asset(), freezable=True))
    address = open_fair.address("consumer-1")
    write_freeze(overlay, "thb", address, Freeze(HASH, open_fair.address("regulator-1"), 1))
    open_fair.keep(overlay)

    assert "bank/FROZEN" == open_fair.do("consumer-1", open_fair.buy())
    assert "ok" == open_fair.do("consumer-2", open_fair.buy())


def test_nobody_leaves_an_open_order(open_fair: Fair) -> None:
    """A party of an order stays a member until it is over."""
    open_fair.good("consumer-1", open_fair.buy())
    for name in ("consumer-1", "farmer-1", "company-2"):
        assert "market/OPEN_ORDERS" == open_fair.do(name, MemLeave())
    open_fair.good("consumer-1", MktCancel(1))
    assert "ok" == open_fair.do("consumer-1", MemLeave())
    assert [] == [line for line in open_fair.broken() if line.startswith("MKT")]


def test_a_full_purse_stops_no_block(open_fair: Fair) -> None:
    """Who holds so many kinds of money that no more fits is paid later; the block and the orders of others go on."""
    open_fair.good("consumer-1", open_fair.buy())
    open_fair.good("consumer-2", open_fair.buy())
    overlay, address = open_fair.overlay, open_fair.address("consumer-1")
    set_balance(overlay, address, "thb", 0)
    for number in range(GROUP_ITEMS_MAX - len(balances(overlay, address))):
        set_balance(overlay, address, f"a{number}", 1)
    open_fair.keep(overlay)
    events = open_fair.wait(open_fair.order(2).deadline_ms)

    assert [("market", "postponed"), ("market", "refunded")] == [event[:2] for event in events if event[0] == "market"]
    assert OrderStatus.REFUNDED is open_fair.order(2).status
    overlay = open_fair.overlay
    set_balance(overlay, address, "a0", 0)
    open_fair.keep(overlay)
    open_fair.wait(open_fair.order(1).deadline_ms)
    assert (OrderStatus.REFUNDED, 460_000) == (open_fair.order(1).status, open_fair.baht("consumer-1"))
