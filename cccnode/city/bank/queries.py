"""What anyone may ask about money."""

from cccnode.city.bank.state import Asset, balance, balances, read_asset, supply
from cccnode.codec import Noun
from cccnode.ledger.state import Reader
from cccnode.types.errors import NOT_FOUND, fault
from cccnode.types.scalars import AccountId, Amount, AssetId


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
    return AssetAnswer(asset, supply(state, params.asset))
