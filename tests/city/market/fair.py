"""A market place in memory: a city whose accounts have names, roles, organisations and baht."""

from typing import Any

from msgspec.structs import replace

from cccnode.city import CITY
from cccnode.city.bank.rules import mint
from cccnode.city.bank.state import Asset, Policy, read_asset, set_supply, write_asset
from cccnode.city.market import MktAccept, MktList, MktOrder
from cccnode.city.market.state import Order, read_order
from cccnode.city.members.roles import drop, hold
from cccnode.city.members.state import Holding, read_account, write_account
from cccnode.city.provenance import PrvAccept, PrvCreateLot, PrvOffer, PrvSplit
from cccnode.city.provenance.state import Lot, read_lot
from cccnode.city.provenance.words import Unit
from cccnode.codec import Noun
from cccnode.ledger.state import Overlay, module_account, writes_of
from cccnode.types.receipt import Receipt
from tests.support.city import City, receipts

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
BAHT = 10_000_000
NAMES = (
    "farmer-1",
    "farmer-2",
    "consumer-1",
    "consumer-2",
    "company-2",
    "arbitrator-1",
    "arbitrator-2",
    "arbitrator-3",
    "arbitrator-4",
    "regulator-1",
    "regulator-2",
    "auditor-1",
    "company-1",
    "rangsit",
)
ROLES = {
    "farmer-1": ("producer",),
    "farmer-2": ("producer",),
    "arbitrator-1": ("arbitrator",),
    "regulator-1": ("regulator",),
    "regulator-2": ("regulator",),
    "auditor-1": ("auditor",),
}
ORGANISATIONS = {"regulator-1": "depa", "regulator-2": "rangsit", "company-1": "company-1", "company-2": "company-2"}
MARKET = module_account("market")
TREASURY = module_account("treasury")


class Fair(City):
    """Everybody has fees and baht; names stand for accounts."""

    def __init__(self, roles: dict[str, tuple[str, ...]] | None = None, **fields: Any) -> None:
        super().__init__(accounts=len(NAMES), **fields)
        self.number = {name: number for number, name in enumerate(NAMES)}
        self.name = {self.account(number): name for name, number in self.number.items()}
        self.sandbox = 0
        with_roles = ROLES if roles is None else roles
        overlay = Overlay(self.state)
        write_asset(overlay, Asset("thb", 2, Policy.ISSUER, 10**15, transferable=True))
        set_supply(overlay, "thb", 0)
        for name in NAMES:
            self.dress(overlay, name, with_roles.get(name, ()), ORGANISATIONS.get(name))
            mint(overlay, target=self.address(name), asset="thb", amount=BAHT)
        self.keep(overlay)

    def dress(self, overlay: Overlay, name: str, roles: tuple[str, ...], organisation: str | None) -> None:
        """Give an account its roles and its organisation."""
        address = self.address(name)
        record = read_account(overlay, address)
        assert record is not None
        for role in record.roles:
            drop(overlay, address, role)
        write_account(overlay, address, replace(record, roles=(), organisation=organisation))
        for role in roles:
            hold(overlay, address, role, Holding(None, 0))

    def keep(self, overlay: Overlay) -> None:
        overlay.commit()
        self.state.apply(writes_of(overlay))

    @property
    def overlay(self) -> Overlay:
        return Overlay(self.state)

    def address(self, name: str) -> bytes:
        return module_account(name.removeprefix("m:")) if name.startswith("m:") else self.account(self.number[name])

    def baht(self, name: str) -> int:
        return self.balance(self.address(name), "thb")

    def do(self, name: str, *messages: Noun, at_ms: int | None = None) -> str:
        """One transaction in a block of its own; the name of its error, or ok."""
        return self.told(name, *messages, at_ms=at_ms)[0]

    def told(self, name: str, *messages: Noun, at_ms: int | None = None) -> tuple[str, tuple[Any, ...]]:
        """The same, with the events of the whole block."""
        self._time(at_ms)
        when = at_ms or self.now + 1_000
        raw = self.sign(*messages, by=self.number[name], valid_until_ms=when + 60_000)
        rows: list[Receipt] = receipts(self.run(raw, time_ms=when))
        code = rows[0].code
        return (CITY.errors[code].name if code else "ok"), tuple(event for row in rows for event in row.events)

    def _time(self, at_ms: int | None) -> None:
        assert at_ms is None or at_ms > self.now, (at_ms, self.now)

    def wait(self, at_ms: int) -> tuple[Any, ...]:
        """An empty block of that time; its events."""
        return tuple(event for row in receipts(self.run(time_ms=at_ms)) for event in row.events)

    def good(self, name: str, *messages: Noun, at_ms: int | None = None) -> tuple[Any, ...]:
        """A transaction that must succeed; the events of its block."""
        code, events = self.told(name, *messages, at_ms=at_ms)
        assert code == "ok", code
        return events

    def lot(self, number: int) -> Lot:
        lot = read_lot(self.overlay, number)
        assert lot is not None
        return lot

    def order(self, number: int) -> Order:
        order = read_order(self.overlay, number)
        assert order is not None
        return order

    def asset(self) -> Asset:
        asset = read_asset(self.overlay, "thb")
        assert asset is not None
        return asset

    def ask(self, method: str, *fields: Any) -> Any:
        """A query's answer."""
        return CITY.answer(method, self.state, CITY.queries[method].params(*fields))

    def broken(self) -> list[str]:
        return CITY.broken(self.state)

    # What tests say most often.

    def grow(self, quantity: int = 500_000, name: str = "farmer-1", commodity: str = "rice") -> int:
        """A new lot; its number."""
        events = self.good(name, PrvCreateLot(commodity, Unit.GRAM, quantity, "w4rqe", self.now, ()))
        return int(next(event[2] for event in events if event[:2] == ("provenance", "created")))

    def hand(self, lot: int, source: str, target: str, order: int = 0, observed: int | None = None) -> str:
        """Offer and acceptance; the outcome of the acceptance."""
        self.good(source, PrvOffer(lot, self.address(target), order))
        return self.do(target, PrvAccept(lot, self.lot(lot).quantity if observed is None else observed, None))

    def hand_over(self, lot: int, target: str) -> str:
        """Accept what is offered already."""
        return self.do(target, PrvAccept(lot, self.lot(lot).quantity, None))

    def listing(
        self,
        lot: int,
        quantity: int,
        price: int = 4_000,
        seller: str = "farmer-1",
        least: int = 1,
        carriers: tuple[str, ...] = (),
        expires_ms: int | None = None,
        asset: str = "thb",
    ) -> MktList:
        named = tuple(self.address(name) for name in carriers)
        until = expires_ms or self.now + 30 * DAY_MS
        return MktList(lot, quantity, price, asset, least, named, 0, 0, 0, 0, "", until)

    def buy(
        self,
        quantity: int = 100_000,
        listing: int = 1,
        buyer: str = "consumer-1",
        carrier: str | None = "company-2",
        transport: int = 60_000,
    ) -> MktOrder:
        return MktOrder(listing, quantity, None if carrier is None else self.address(carrier), transport)

    def shipped(self, quantity: int = 100_000, **fields: Any) -> int:
        """A market with one order that is on its way; the lot that travels."""
        lot = self.grow()
        self.good("farmer-1", self.listing(lot, 500_000))
        self.good("consumer-1", self.buy(quantity, **fields))
        self.good("farmer-1", MktAccept(1))
        part = self.part(lot, quantity)
        assert self.hand(part, "farmer-1", "company-2", 1) == "ok"
        return part

    def part(self, lot: int, quantity: int, name: str = "farmer-1") -> int:
        """Split one part off; its number."""
        events = self.good(name, PrvSplit(lot, (quantity,)))
        return int(next(event[3] for event in events if event[:2] == ("provenance", "split")))


__all__ = ["BAHT", "DAY_MS", "HOUR_MS", "MARKET", "NAMES", "TREASURY", "Fair"]
