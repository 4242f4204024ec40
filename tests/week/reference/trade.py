"""Lots and who holds them, listings, orders and how they end."""

from hashlib import sha256

from tests.week.reference.people import enter
from tests.week.reference.world import BPS, HOUR, World, need

ACCEPT, SHIP, DELIVER, INSPECT, RULE, APPEAL = 24 * HOUR, 48 * HOUR, 72 * HOUR, 24 * HOUR, 48 * HOUR, 6 * HOUR
BOND = 1_000
ARBITER_BPS = 100


# Provenance -----------------------------------------------------------------------------------------------------------


def prv_create_lot(world: World, who: str, *, quantity: int) -> None:
    """A producer brings a lot into the world."""
    need(world.has_role(who, "producer"), "provenance/NOT_PRODUCER")
    _lot(world, origin=who, holder=who, quantity=quantity, parent=None)


def _lot(world: World, *, origin: str, holder: str, quantity: int, parent: int | None) -> int:
    number = len(world.lots) + 1
    row = {"origin": origin, "holder": holder, "quantity": quantity, "initial": quantity, "lost": 0, "parent": parent}
    world.lots[number] = {**row, "offer": None, "events": ["created"]}
    world.trails[number] = []
    return number


def prv_split(world: World, who: str, *, lot: int, quantities: tuple) -> None:
    """Parts of a lot become lots of their own; the rest stays."""
    row = world.lots[lot]
    need(row["holder"] == who, "provenance/NOT_HOLDER")
    need(sum(quantities) <= row["quantity"], "provenance/MASS")
    row["quantity"] -= sum(quantities)
    for quantity in quantities:
        _lot(world, origin=row["origin"], holder=who, quantity=quantity, parent=lot)


def prv_offer(world: World, who: str, *, lot: int, to: str, order: int) -> None:
    """Offer a lot to the next holder."""
    row = world.lots[lot]
    need(row["holder"] == who, "provenance/NOT_HOLDER")
    need(row["offer"] is None, "provenance/OFFERED")
    row["offer"] = {"to": to, "order": order}


def prv_accept(world: World, who: str, *, lot: int, observed: int) -> None:
    """Take a lot over, with what is really there; the market hears of it."""
    row = world.lots[lot]
    need(row["offer"] is not None and row["offer"]["to"] == who, "provenance/NOT_OFFERED")
    need(observed <= row["quantity"], "provenance/MASS")
    source, order = row["holder"], row["offer"]["order"]
    if observed < row["quantity"]:
        row["lost"] += row["quantity"] - observed
        row["events"].append("mismatch_quantity")
    row.update(quantity=observed, holder=who, offer=None)
    row["events"].append("handed over")
    _handed_over(world, order, lot, source, who)


# Market ---------------------------------------------------------------------------------------------------------------


def mkt_list(world: World, who: str, *, lot: int, price: int) -> None:
    """Offer what one holds for sale, at a price for 1000 units."""
    need(world.lots[lot]["holder"] == who, "market/NOT_HOLDER")
    enter(world, who, 0, "list")
    number = len(world.listings) + 1
    left = world.lots[lot]["quantity"]
    world.listings[number] = {"seller": who, "lot": lot, "price": price, "left": left, "listed": left}


def mkt_order(world: World, who: str, *, listing: int, quantity: int, carrier: str | None, transport: int) -> None:
    """Buy: the price of goods and transport is held until the end."""
    offer = world.listings[listing]
    need(offer["seller"] != who, "market/OWN_LISTING")
    goods = -(-quantity * offer["price"] // 1_000)
    enter(world, who, goods + transport, "order")
    need(quantity <= offer["left"], "market/QTY_UNAVAILABLE")
    world.move("thb", who, "m:market", goods + transport)
    offer["left"] -= quantity
    number = len(world.orders) + 1
    world.orders[number] = {
        "listing": listing,
        "buyer": who,
        "seller": offer["seller"],
        "carrier": carrier,
        "quantity": quantity,
        "goods": goods,
        "transport": transport,
        "fee_bps": world.market_fee,
        "bond": 0,
        "bond_by": None,
        "held": goods + transport,
        "status": "",
        "lot": None,
        "paid": {},
    }
    _stage(world, number, "FUNDED", ACCEPT)


def _stage(world: World, number: int, status: str, lasts: int) -> None:
    row = world.orders[number]
    row.update(status=status, deadline=world.now + lasts)
    world.later(row["deadline"], "order_due", number=number, deadline=row["deadline"])


def mkt_accept(world: World, who: str, *, order: int) -> None:
    """The seller takes the order."""
    row = world.orders[order]
    need(row["seller"] == who, "market/NOT_PARTY")
    need(row["status"] == "FUNDED", "market/STATE")
    _stage(world, order, "ACCEPTED", SHIP)


def _handed_over(world: World, order: int, lot: int, source: str, target: str) -> None:
    row = world.orders[order]
    if (source, target) == (row["seller"], row["carrier"]) and row["status"] == "ACCEPTED":
        row["lot"] = lot
        world.trails[lot].append((order, world.listings[row["listing"]]["price"]))
        _stage(world, order, "SHIPPED", DELIVER)
    elif target == row["buyer"] and row["status"] == "SHIPPED":
        _stage(world, order, "DELIVERED", INSPECT)


def mkt_confirm(world: World, who: str, *, order: int) -> None:
    """The buyer has looked at the goods."""
    row = world.orders[order]
    need(row["buyer"] == who, "market/NOT_PARTY")
    need(row["status"] == "DELIVERED", "market/STATE")
    _settle(world, order, to_buyer=0, to_carrier=BPS, fault=None)


def mkt_dispute(world: World, who: str, *, order: int) -> None:
    """Buyer or seller asks for a ruling, and puts a bond down."""
    row = world.orders[order]
    need(who in (row["buyer"], row["seller"]), "market/NOT_PARTY")
    need(row["status"] in ("SHIPPED", "DELIVERED"), "market/STATE")
    world.move("thb", who, "m:market", BOND)
    row.update(bond=BOND, bond_by=who, arbiter=_arbiter(world, order))
    _stage(world, order, "DISPUTED", RULE)


def _arbiter(world: World, order: int) -> str:
    """Drawn among arbitrators who are no party.  With one candidate the draw does not depend on the block's hash."""
    row = world.orders[order]
    parties = {row["buyer"], row["seller"], row["carrier"]}
    candidates = sorted(name for name in world.accounts if world.has_role(name, "arbitrator") and name not in parties)
    need(candidates != [], "market/NO_ARBITER")
    return candidates[int.from_bytes(sha256(order.to_bytes(8, "big")).digest()) % len(candidates)]


def mkt_rule(world: World, who: str, *, order: int, buyer_goods_bps: int, carrier_bps: int, fault: str) -> None:
    """The arbiter's ruling; it is carried out when nobody can appeal any more."""
    row = world.orders[order]
    need(row["status"] == "DISPUTED", "market/STATE")
    need(row["arbiter"] == who, "market/NOT_ARBITER")
    row["ruling"] = (buyer_goods_bps, carrier_bps, fault)
    _stage(world, order, "RULED", APPEAL)


def order_due(world: World, *, number: int, deadline: int) -> None:
    """A stage's time is over; what the order has left behind meanwhile does not count."""
    row = world.orders[number]
    if row.get("deadline") != deadline:
        return
    match row["status"]:
        case "FUNDED" | "ACCEPTED":
            _refund(world, number)
        case "DELIVERED":
            _settle(world, number, to_buyer=0, to_carrier=BPS, fault=None)
        case "RULED":
            buyer_goods, carrier, fault = row["ruling"]
            _settle(world, number, to_buyer=buyer_goods, to_carrier=carrier, fault=fault)


def _refund(world: World, number: int) -> None:
    row = world.orders[number]
    world.move("thb", "m:market", row["buyer"], row["held"])
    world.listings[row["listing"]]["left"] += row["quantity"]
    row.update(status="REFUNDED", held=0, deadline=None)


def _settle(world: World, number: int, *, to_buyer: int, to_carrier: int, fault: str | None) -> None:
    """Pay out everything that is held, to the last unit."""
    row = world.orders[number]
    goods_back = row["goods"] * to_buyer // BPS
    goods = row["goods"] - goods_back
    fee = goods * row["fee_bps"] // BPS
    carried = row["transport"] * to_carrier // BPS
    transport_back = row["transport"] - carried
    parts = {"buyer": goods_back + transport_back, "seller": goods - fee, "carrier": carried}
    reward = 0
    if fault is not None:
        reward = min(row["held"] * ARBITER_BPS // BPS, parts[fault])
        parts[fault] -= reward
    if row["bond"]:
        parts["buyer" if row["bond_by"] == row["buyer"] else "seller"] += row["bond"]
    paid = {row[party]: amount for party, amount in parts.items() if amount}
    paid |= {"treasury": fee} if fee else {}
    paid |= {row["arbiter"]: reward} if reward else {}
    assert sum(paid.values()) == row["held"] + row["bond"], (number, paid)
    for name, amount in paid.items():
        world.move("thb", "m:market", name, amount)
    world.sold["consumer paid"] += row["goods"] + row["transport"] - goods_back - transport_back
    world.sold["producer got"] += goods - fee
    row.update(status="SETTLED", held=0, bond=0, deadline=None, paid=paid)
