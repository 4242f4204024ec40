"""How the city stands, asked with queries that anybody may ask, in the form of the expected tables."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from cccnode.city import CITY
from cccnode.city.registry.messages import RegistryAdmitValidator
from cccnode.types.addresses import account_text
from cccnode.types.units import DAY_MS
from cccnode.week.people import NEWCOMERS, PEOPLE, VALIDATORS, account_of, everybody
from cccnode.week.script import DAYS, START_MS

Json = Any
COMMODITY: Final = "rice-jasmine"
"""What the orders that were settled are about."""
_PERSONHOOD: Final = {"none": 0, "vouched": 1, "seen": 2}
_CHOICES: Final = {"Y": "yes", "N": "no", "A": "abstain", "V": "veto"}


class Missing(Exception):
    """There is no such record, or the city has no such query."""


class Ask(Protocol):
    """Asks one query.  Raises `Missing`."""

    def __call__(self, method: str, **params: Json) -> Awaitable[Json]:
        """The JSON answer."""


NAMES: Final[Mapping[str, str]] = {account_text(account_of(name)): name for name in everybody()}
"""Names by account, as answers write accounts."""


async def balances(ask: Ask) -> dict[str, dict[str, int]]:
    """Asset -> name -> amount, without what is zero."""
    found: dict[str, dict[str, int]] = {"thb": {}, "uccc": {}}
    for name in sorted(everybody()):
        for row in await ask("bank_balances", account=account_text(account_of(name))):
            if int(row["amount"]):
                found.setdefault(row["asset"], {})[name] = int(row["amount"])
    return found


async def _members(ask: Ask) -> Json:
    found = {}
    for name in sorted([one.name for one in PEOPLE if one.kind == "person"] + list(NEWCOMERS)):
        try:
            row = await ask("account_get", account=account_text(account_of(name)))
        except Missing:
            continue
        found[name] = {"status": row["status"], "personhood": _PERSONHOOD[row.get("personhood", "none")]}
    return found


async def _persons(ask: Ask) -> Json:
    return sum(row["status"] == "active" for row in (await _members(ask)).values())


async def _supply(ask: Ask) -> Json:
    return {asset: int(await ask("bank_supply", asset=asset)) for asset in ("thb", "uccc")}


async def _validators(ask: Ask) -> Json:
    rows = {row["organisation"]: int(row["tokens"]) for row in await ask("staking_validators")}
    return {name: rows.get(name, 0) for name in sorted(VALIDATORS)}


async def _numbered(ask: Ask, method: str, name: str) -> AsyncIterator[tuple[int, Json]]:
    """Records 1, 2, 3 ... until there is none."""
    number = 1
    while True:
        try:
            yield number, await ask(method, **{name: str(number)})
        except Missing:
            return
        number += 1


async def _lots(ask: Ask) -> Json:
    found = {}
    async for number, answer in _numbered(ask, "prv_trace", "lot"):
        lot = answer["lot"]
        found[str(number)] = {
            "origin": NAMES.get(lot["origin"]),
            "holder": NAMES.get(lot["holder"]),
            "quantity": int(lot["quantity"]),
            "lost": int(lot["lost"]),
        }
    return found


async def _listings(ask: Ask) -> Json:
    return {str(number): int(row["left"]) async for number, row in _numbered(ask, "market_listing", "listing")}


async def _orders(ask: Ask) -> Json:
    found = {}
    async for number, answer in _numbered(ask, "market_order", "order"):
        order, settled = answer["order"], answer["order"]["status"] == "settled"
        ended = settled or order["status"] == "refunded"
        found[str(number)] = {
            "status": order["status"].upper(),
            "goods": int(order["goods"]),
            "transport": int(order["transport"]),
            "fee_bps": int(order["fee_bps"]),
            "held": 0 if ended else int(order["escrow"]),
            "bond": 0 if ended else int(order["bond"]),
            "paid": _paid(order, answer["dispute"]) if settled else {},
        }
    return found


def _paid(order: Json, dispute: Json) -> dict[str, int]:
    """Who got what of an order, by name."""
    paid = {part: int(amount) for part, amount in order["paid"].items()}
    parts = {
        order["buyer"]: paid["buyer"],
        order["seller"]: paid["seller"],
        order["carrier"]: paid["carrier"],
        account_text(account_of("treasury")): paid["treasury"],
    }
    if dispute is not None:
        parts[dispute["arbitrator"]] = paid["arbitrators"]
        parts[dispute["by"]] += paid["bonds"]
    return {NAMES[account]: amount for account, amount in sorted(parts.items(), key=str) if amount}


async def _sandbox(ask: Ask) -> Json:
    try:
        experiment = await ask("sandbox_experiment", experiment="1")
        usage = await ask("sandbox_usage", experiment="1")
    except Missing:
        return {}
    return {"status": experiment["status"].upper(), "participants": usage["participants"]}


async def _grants(ask: Ask) -> Json:
    found = {}
    for name in NEWCOMERS:
        for row in await ask("bank_grants", grantee=account_text(account_of(name))):
            found[f"{NAMES[row['granter']]} -> {name}"] = _GRANT - int(row["grant"]["left"])
    return found


_GRANT: Final = 100_000
"""What each grant of the week begins with."""


_MARKET_FEE: Final = 50
"""Basis points, until the city sets another."""


async def _market_fee(ask: Ask) -> Json:
    settings = {(row["module"], row["name"]): row["value"] for row in await ask("gov_settings")}
    return int(settings.get(("market", "market_fee"), _MARKET_FEE))


async def _coming(ask: Ask) -> Json:
    """Organisations that validate later, and when, to the minute: a block comes some milliseconds after its instant."""
    found = {}
    async for _, row in _numbered(ask, "gov_proposal", "proposal"):
        if row["kind"] == "admit_validator" and int(row["effect_ms"]):
            message = CITY.decode_message(bytes.fromhex(row["messages"][0][2:]))
            assert isinstance(message, RegistryAdmitValidator), "this kind carries nothing else"
            found[message.change.organisation] = int(row["effect_ms"]) // 60_000 * 60_000
    return found


async def _proposals(ask: Ask) -> Json:
    found = {}
    async for number, row in _numbered(ask, "gov_proposal", "proposal"):
        found[str(number)] = {
            "kind": row["kind"],
            "status": row["status"].upper(),
            "tallies": {
                chamber["name"]: {short: int(chamber[long]) for short, long in _CHOICES.items()}
                | {"total": int(chamber["total"])}
                for chamber in row["tallies"]
            },
        }
    return found


READERS: Final[Mapping[str, Callable[[Ask], Awaitable[Json]]]] = {
    "persons": _persons,
    "members": _members,
    "supply": _supply,
    "validators": _validators,
    "coming_validators": _coming,
    "market_fee": _market_fee,
    "proposals": _proposals,
    "lots": _lots,
    "listings": _listings,
    "orders": _orders,
    "sandbox": _sandbox,
    "grants_used": _grants,
}
"""How each part of the expected states is read."""


async def farmer_share(ask: Ask) -> int:
    """What farmers got of what consumers paid for rice, over the week, in basis points."""
    first = START_MS // DAY_MS
    answer = await ask(
        "market_farmer_share", commodity=COMMODITY, asset="thb", first_day=first, last_day=first + DAYS - 1
    )
    return int(answer["share_bps"])


def comparable(part: str, expected: Json) -> Json:
    """The part of the expected states that queries can show."""
    if part == "lots":
        return {number: {key: row[key] for key in row if key != "events"} for number, row in expected.items()}
    if part == "proposals":
        return {number: {key: row[key] for key in row if key != "passed_chambers"} for number, row in expected.items()}
    return expected
