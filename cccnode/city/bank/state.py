"""Assets and balances in the state: the only place that knows their groups and items.

b/<account>             <asset>    Amount; no item where it is zero, so that a group proof lists all that it owns
assets                  <id>       True: every asset
asset/<id>              ""         Asset
                        supply     Amount: the sum of all balances
                        float      Float: what backs it, as an auditor saw it last
                        issued     Issued: how its supply came about
fz/<asset>/<account>    ""         Freeze
fg/<granter><grantee>   ""         Grant
fgi/<grantee>           <granter>  True: who pays for it
quota/<account>         ""         Quota: what it has used of its free transactions today
res/<organisation>      ""         Resource: its resource account
days                    <day mod 256>  Day: transactions that paid, and their fees
par/bank                ""         Params
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.city.bank.messages import MESSAGES_MAX, MessageName
from cccnode.codec import Noun
from cccnode.ledger.fees import Base, FeeSchedule, PerByte
from cccnode.ledger.parameters import read_parameters
from cccnode.ledger.state import Overlay, Reader, Scan, module_account
from cccnode.types.limits import GROUP_ITEMS_MAX
from cccnode.types.scalars import U32, U63, AccountId, Amount, AssetId, Hash, Millis
from cccnode.types.units import DAY_MS, YEAR_MS

_BALANCES: Final = b"b/"
_ASSETS: Final = b"assets"
_ASSET: Final = b"asset/"
ASSETS_MAX: Final = GROUP_ITEMS_MAX
"""Kinds of money.  No account can own more kinds than a group holds items, so whoever is owed money can be paid."""
_SUPPLY: Final = b"supply"
_FLOAT: Final = b"float"
_ISSUED: Final = b"issued"
_FROZEN: Final = b"fz/"
_GRANT: Final = b"fg/"
_GRANTERS: Final = b"fgi/"
_QUOTA: Final = b"quota/"
_RESOURCE: Final = b"res/"
_DAYS: Final = b"days"
_ONLY: Final = b""

FEES: Final = module_account("fees")
"""Holds what a block charged while its end-of-block rules run; empty between blocks (BNK-6)."""
TREASURY: Final = module_account("treasury")
"""The city's purse; spent by vote."""
PREPAID: Final = module_account("prepaid")
"""Holds what organisations have put aside for fees."""
WRAP: Final = 2**63
"""What is counted of all time is counted modulo this."""
DAYS_KEPT: Final = 256
FREE_MAX: Final = 100_000


class Policy(IntEnum):
    """Who may change an asset's supply."""

    FIXED = 0
    ISSUER = 1
    MODULE = 2


class Asset(Noun, frozen=True, array_like=True, gc=False):
    """A kind of money."""

    id: AssetId
    exponent: Annotated[int, Meta(ge=0, le=18)]
    """Decimal places between the base unit and what people say: uccc 6, one CCC = 1,000,000."""
    policy: Policy
    cap: Amount
    """The supply never exceeds it."""
    transferable: bool
    issuer: AccountId | None = None
    """Who mints and redeems it; None: the city alone, by vote."""
    backed: bool = False
    """Whether an auditor attests what it stands for, and nobody mints beyond that."""
    freezable: bool = False
    """Whether a regulator may freeze it on an account."""
    sandbox_id: U63 = 0
    """Number of the experiment that bounds its use; 0: none."""


class Issued(Noun, frozen=True, array_like=True, gc=False):
    """How a supply came about, base units of all time."""

    founded: Amount
    """In genesis."""
    minted: U63
    """Modulo 2**63: of all time it may be more than there can be at once."""
    burnt: U63
    """Redeemed or destroyed, likewise."""


class Float(Noun, frozen=True, array_like=True, gc=False):
    """What stands behind an asset, as an auditor saw it."""

    amount: Amount
    at_ms: Millis
    document: Hash
    """Of the auditor's report, which stays off the ledger."""
    attestor: AccountId
    supply: Amount
    """The supply then: what was minted before stays, even where less stands behind it."""


class Freeze(Noun, frozen=True, array_like=True, gc=False):
    """An asset of an account that does not move."""

    order: Hash
    """Of the regulator's order, which stays off the ledger."""
    by: AccountId
    at_ms: Millis


class Grant(Noun, frozen=True, array_like=True, gc=False):
    """A sponsor pays another account's fees, within bounds."""

    left: Amount
    """What it still pays, base units."""
    per: Amount
    """What it pays within one period; 0: no such bound."""
    period_ms: Millis
    period_start_ms: Millis
    used: Amount
    """Within the period that began then."""
    expires_ms: Millis
    budget: Amount
    """What it was to pay in all."""
    spent: Amount
    """What it paid so far."""
    used_ms: Millis
    """When it paid last; 0: never."""
    messages: Annotated[tuple[MessageName, ...], Meta(min_length=1, max_length=MESSAGES_MAX)]
    """What it pays for, sorted."""


class Quota(Noun, frozen=True, array_like=True, gc=False):
    """Free transactions of an account on one day."""

    day: U63
    used: U32


class Resource(Noun, frozen=True, array_like=True, gc=False):
    """What an organisation has put aside for the fees of its accounts, and what they have used."""

    asset: AssetId
    """The fee asset when it was put aside."""
    left: Amount
    per_day: U32
    """Transactions a day that it pays for; 0: none."""
    day: U63
    used: U32
    """Transactions of that day."""
    transactions: U63
    """Paid for, of all time."""
    fees: Amount
    """Paid, of all time."""


class Day(Noun, frozen=True, array_like=True, gc=False):
    """The fees of one day."""

    day: U63
    """Days since 1970-01-01 UTC."""
    transactions: U63
    fees: Amount


class Params(Noun, frozen=True, array_like=True, gc=False):
    """Numbers that genesis sets, and the city by vote (modules.md 3.2)."""

    fee_asset: AssetId = "uccc"
    """In what fees are paid."""
    fee_base: Base = 1_000
    """Fee of a transaction of up to 512 bytes, base units."""
    fee_byte: PerByte = 0
    """For each further byte, base units."""
    fee_validators: Annotated[int, Meta(ge=0, le=10_000)] = 7_000
    """Validators' share of the fees, in hundredths of a percent; the treasury has the rest."""
    float_max_age_ms: Annotated[int, Meta(ge=1, le=YEAR_MS)] = DAY_MS
    """How old what an auditor saw may be when more is minted."""
    free_per_day: Annotated[int, Meta(ge=0, le=FREE_MAX)] = 0
    """Transactions a day for which a vouched member pays no base fee."""
    resource_per_day: Annotated[int, Meta(ge=0, le=FREE_MAX)] = 0
    """Transactions a day, at most, that an organisation's resource account pays for; 0: there are none."""


def balance(state: Reader, account: bytes, asset: str) -> int:
    """What an account owns of an asset, in base units."""
    return state.get(_BALANCES + account, asset.encode(), int) or 0


def set_balance(state: Overlay, account: bytes, asset: str, amount: int) -> None:
    """Set what an account owns; zero leaves no trace."""
    assert amount >= 0, "money is never owed"
    state.put(_BALANCES + account, asset.encode(), amount or None)


def debit(state: Overlay, account: bytes, asset: str, amount: int) -> int:
    """Take an amount from what an account owns, if that is enough; return what it owned before."""
    return state.take(_BALANCES + account, asset.encode(), amount)


def credit(state: Overlay, account: bytes, asset: str, amount: int, limit: int) -> int:
    """Add an amount to what an account owns, and return the sum; nothing is changed if that is above the limit."""
    return state.give(_BALANCES + account, asset.encode(), amount, limit)


def balances(state: Reader, account: bytes) -> dict[str, int]:
    """Everything that an account owns, by asset."""
    return {item.decode(): amount for item, amount in state.group(_BALANCES + account, int).items()}


def balances_group(account: bytes) -> bytes:
    """The group whose proof lists everything that an account owns."""
    return _BALANCES + account


def read_asset(state: Reader, asset: str) -> Asset | None:
    """The record of an asset, or None."""
    return state.get(_ASSET + asset.encode(), _ONLY, Asset)


def write_asset(state: Overlay, asset: Asset) -> None:
    """Set the record of an asset."""
    if read_asset(state, asset.id) is None:
        state.put(_ASSETS, asset.id.encode(), True)
    state.put(_ASSET + asset.id.encode(), _ONLY, asset)


def asset_ids(state: Reader) -> tuple[str, ...]:
    """The ids of all assets, sorted."""
    return tuple(item.decode() for item in state.group(_ASSETS, bool))


def supply(state: Reader, asset: str) -> int:
    """The sum of all balances of an asset (BNK-1)."""
    return state.get(_ASSET + asset.encode(), _SUPPLY, int) or 0


def set_supply(state: Overlay, asset: str, amount: int) -> None:
    """Set the supply; only genesis and issuing rules do (BNK-3)."""
    state.put(_ASSET + asset.encode(), _SUPPLY, amount)


def read_float(state: Reader, asset: str) -> Float | None:
    """What stands behind an asset, or None."""
    return state.get(_ASSET + asset.encode(), _FLOAT, Float)


def write_float(state: Overlay, asset: str, record: Float) -> None:
    """Set what stands behind an asset."""
    state.put(_ASSET + asset.encode(), _FLOAT, record)


def read_issued(state: Reader, asset: str) -> Issued:
    """How a supply came about."""
    return state.get(_ASSET + asset.encode(), _ISSUED, Issued) or Issued(0, 0, 0)


def write_issued(state: Overlay, asset: str, record: Issued) -> None:
    """Set how a supply came about."""
    state.put(_ASSET + asset.encode(), _ISSUED, record)


def read_freeze(state: Reader, asset: str, account: bytes) -> Freeze | None:
    """Why an asset of an account does not move, or None."""
    return state.get(_FROZEN + asset.encode() + b"/" + account, _ONLY, Freeze)


def write_freeze(state: Overlay, asset: str, account: bytes, record: Freeze | None) -> None:
    """Set whether an asset of an account moves."""
    state.put(_FROZEN + asset.encode() + b"/" + account, _ONLY, record)


def read_grant(state: Reader, granter: bytes, grantee: bytes) -> Grant | None:
    """What one account pays for another, or None."""
    return state.get(_GRANT + granter + grantee, _ONLY, Grant)


def write_grant(state: Overlay, granter: bytes, grantee: bytes, grant: Grant | None) -> None:
    """Set what one account pays for another."""
    state.put(_GRANT + granter + grantee, _ONLY, grant)
    state.put(_GRANTERS + grantee, granter, None if grant is None else True)


def granters(state: Reader, grantee: bytes) -> tuple[bytes, ...]:
    """Who pays for an account."""
    return tuple(state.group(_GRANTERS + grantee, bool))


def read_quota(state: Reader, account: bytes) -> Quota | None:
    """What an account has used of its free transactions, or None."""
    return state.get(_QUOTA + account, _ONLY, Quota)


def write_quota(state: Overlay, account: bytes, quota: Quota) -> None:
    """Set what an account has used of its free transactions."""
    state.put(_QUOTA + account, _ONLY, quota)


def read_resource(state: Reader, organisation: str) -> Resource | None:
    """The resource account of an organisation, or None."""
    return state.get(_RESOURCE + organisation.encode(), _ONLY, Resource)


def write_resource(state: Overlay, organisation: str, resource: Resource) -> None:
    """Set the resource account of an organisation."""
    state.put(_RESOURCE + organisation.encode(), _ONLY, resource)


def read_day(state: Reader, day: int) -> Day | None:
    """The fees of a day, or None where nobody paid or it is long ago."""
    found = state.get(_DAYS, bytes((day % DAYS_KEPT,)), Day)
    return found if found is not None and found.day == day else None


def write_day(state: Overlay, day: Day) -> None:
    """Set the fees of a day; that of 256 days before goes."""
    state.put(_DAYS, bytes((day.day % DAYS_KEPT,)), day)


def every_asset(scan: Scan) -> Iterator[Asset]:
    """Every asset: for invariants."""
    for group in scan.groups(_ASSET):
        record = scan.get(group, _ONLY, Asset)
        if record is not None:
            yield record


def every_balance(scan: Scan) -> Iterator[tuple[bytes, str, int]]:
    """(account, asset, amount) of every balance: for invariants."""
    for group in scan.groups(_BALANCES):
        for asset, amount in scan.group(group, int).items():
            yield group[len(_BALANCES) :], asset.decode(), amount


def every_grant(scan: Scan) -> Iterator[tuple[bytes, bytes, Grant]]:
    """(granter, grantee, grant): for invariants."""
    for group in scan.groups(_GRANT):
        grant = scan.get(group, _ONLY, Grant)
        if grant is not None:
            yield group[len(_GRANT) : -20], group[-20:], grant


def every_resource(scan: Scan) -> Iterator[Resource]:
    """Every resource account: for invariants."""
    for group in scan.groups(_RESOURCE):
        record = scan.get(group, _ONLY, Resource)
        if record is not None:
            yield record


def read_params(state: Reader) -> Params:
    """The module's parameters."""
    return read_parameters(state, "bank", Params)


def read_schedule(state: Reader) -> FeeSchedule:
    """The rates of fees."""
    params = read_params(state)
    relief = params.free_per_day > 0 or params.resource_per_day > 0
    return FeeSchedule(params.fee_asset, params.fee_base, params.fee_byte, relief)
