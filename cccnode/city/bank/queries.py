"""What anyone may ask about money."""

from cccnode.city.bank.state import (
    TREASURY,
    Asset,
    Day,
    Float,
    Freeze,
    Grant,
    Quota,
    Resource,
    balance,
    balances,
    granters,
    read_asset,
    read_day,
    read_float,
    read_freeze,
    read_grant,
    read_quota,
    read_resource,
    supply,
)
from cccnode.codec import Noun
from cccnode.ledger.state import Reader
from cccnode.types.errors import NOT_FOUND, fault
from cccnode.types.scalars import U63, AccountId, Amount, AssetId, Name


class BalanceParams(Noun, frozen=True, array_like=True, gc=False):
    """Whose balance of what."""

    account: AccountId
    asset: AssetId = "uccc"


class BalancesParams(Noun, frozen=True, array_like=True, gc=False):
    """Whose balances."""

    account: AccountId


class AssetParams(Noun, frozen=True, array_like=True, gc=False):
    """Which asset."""

    asset: AssetId = "uccc"


class Balance(Noun, frozen=True, array_like=True, gc=False):
    """An amount of one asset, in base units."""

    account: AccountId
    asset: AssetId
    amount: Amount


class AssetAnswer(Noun, frozen=True, array_like=True, gc=False):
    """An asset and how much of it there is."""

    asset: Asset
    supply: Amount
    backing: Float | None
    """What an auditor saw behind it."""


class NoParams(Noun, frozen=True, array_like=True, gc=False):
    """Nothing."""


class GrantsParams(Noun, frozen=True, array_like=True, gc=False):
    """Whose fees."""

    grantee: AccountId


class GrantAnswer(Noun, frozen=True, array_like=True, gc=False):
    """Who pays, and within what bounds."""

    granter: AccountId
    grantee: AccountId
    grant: Grant


class FreezeParams(Noun, frozen=True, array_like=True, gc=False):
    """Which asset of which account."""

    account: AccountId
    asset: AssetId = "uccc"


class DayParams(Noun, frozen=True, array_like=True, gc=False):
    """Which day."""

    day: U63
    """Days since 1970-01-01 UTC."""


class DayAnswer(Noun, frozen=True, array_like=True, gc=False):
    """The fees of a day."""

    fees: Day
    average: Amount
    """Base units for each transaction that paid, rounded down."""


class QuotaParams(Noun, frozen=True, array_like=True, gc=False):
    """Whose quota."""

    account: AccountId


class ResourceParams(Noun, frozen=True, array_like=True, gc=False):
    """Which organisation."""

    organisation: Name


def bank_balance(state: Reader, params: BalanceParams) -> Balance:
    """What an account owns of one asset; zero for an account that owns nothing or does not exist."""
    if read_asset(state, params.asset) is None:
        raise fault(NOT_FOUND, asset=params.asset)
    return Balance(params.account, params.asset, balance(state, params.account, params.asset))


def bank_balances(state: Reader, params: BalancesParams) -> tuple[Balance, ...]:
    """Everything that an account owns, by asset."""
    owned = balances(state, params.account)
    return tuple(Balance(params.account, asset, amount) for asset, amount in owned.items())


def bank_asset(state: Reader, params: AssetParams) -> AssetAnswer:
    """An asset's record and supply; rpc/NOT_FOUND when there is none."""
    asset = read_asset(state, params.asset)
    if asset is None:
        raise fault(NOT_FOUND, asset=params.asset)
    return AssetAnswer(asset, supply(state, params.asset), read_float(state, params.asset))


def bank_supply(state: Reader, params: AssetParams) -> Amount:
    """How much of an asset there is, base units; rpc/NOT_FOUND when there is none."""
    return bank_asset(state, params).supply


def bank_float(state: Reader, params: AssetParams) -> Float:
    """What an auditor saw behind an asset; rpc/NOT_FOUND when nobody attested."""
    found = read_float(state, params.asset)
    if found is None:
        raise fault(NOT_FOUND, asset=params.asset)
    return found


def bank_treasury(state: Reader, params: NoParams) -> tuple[Balance, ...]:
    """What the city's purse holds, by asset."""
    del params
    return bank_balances(state, BalancesParams(TREASURY))


def bank_grants(state: Reader, params: GrantsParams) -> tuple[GrantAnswer, ...]:
    """Who pays an account's fees, and how much is left."""
    rows = ((granter, read_grant(state, granter, params.grantee)) for granter in granters(state, params.grantee))
    return tuple(GrantAnswer(granter, params.grantee, grant) for granter, grant in rows if grant is not None)


def bank_frozen(state: Reader, params: FreezeParams) -> Freeze:
    """By whose order an asset of an account rests; rpc/NOT_FOUND when it does not."""
    found = read_freeze(state, params.asset, params.account)
    if found is None:
        raise fault(NOT_FOUND, asset=params.asset, account=params.account)
    return found


def bank_fees(state: Reader, params: DayParams) -> DayAnswer:
    """The fees of one of the last 256 days, and their average; rpc/NOT_FOUND when nobody paid."""
    found = read_day(state, params.day)
    if found is None:
        raise fault(NOT_FOUND, day=params.day)
    return DayAnswer(found, found.fees // max(1, found.transactions))


def bank_quota(state: Reader, params: QuotaParams) -> Quota:
    """How many free transactions an account used on the last day on which it used one."""
    return read_quota(state, params.account) or Quota(0, 0)


def bank_resource(state: Reader, params: ResourceParams) -> Resource:
    """What an organisation has put aside for fees, and what its accounts used; rpc/NOT_FOUND when there is none."""
    found = read_resource(state, params.organisation)
    if found is None:
        raise fault(NOT_FOUND, organisation=params.organisation)
    return found
