"""What the city decides about money: new assets, caps, issuers, spending; and what regulators do: freezing."""

from msgspec.structs import replace

from cccnode.city.bank.errors import (
    ASSET_EXISTS,
    BELOW_SUPPLY,
    BLOCKED,
    INSUFFICIENT,
    NOT_FREEZABLE,
    NOT_FROZEN,
    NOT_ISSUABLE,
    NOT_REGULATOR,
    TOO_MANY_ASSETS,
    UNKNOWN_ACCOUNT,
    ZERO_AMOUNT,
)
from cccnode.city.bank.messages import (
    AssetCreate,
    AssetSetCap,
    AssetSetIssuer,
    BankFreeze,
    BankUnfreeze,
    TreasurySpend,
)
from cccnode.city.bank.rules import check_free, enter, known_asset, move
from cccnode.city.bank.state import (
    ASSETS_MAX,
    TREASURY,
    Asset,
    Freeze,
    Policy,
    asset_ids,
    balance,
    read_asset,
    read_freeze,
    set_supply,
    supply,
    write_asset,
    write_freeze,
)
from cccnode.city.members.state import account_exists, has_role
from cccnode.ledger.module import Context
from cccnode.types.errors import fault

REGULATOR = "regulator"
"""The role that freezes."""


def check_create(context: Context, message: AssetCreate) -> None:
    """A new asset has a name and an issuer of its own, and there is room for one."""
    if read_asset(context.state, message.asset) is not None:
        raise fault(ASSET_EXISTS, asset=message.asset)
    if len(asset_ids(context.state)) >= ASSETS_MAX:
        raise fault(TOO_MANY_ASSETS, limit=ASSETS_MAX)
    _check_account(context, message.issuer)


def create(context: Context, message: AssetCreate) -> None:
    """A new asset, of which there is nothing yet."""
    check_create(context, message)
    asset = Asset(
        id=message.asset,
        exponent=message.exponent,
        policy=Policy.ISSUER,
        cap=message.cap,
        transferable=message.transferable,
        issuer=message.issuer,
        backed=message.backed,
        freezable=message.freezable,
        sandbox_id=message.sandbox_id,
    )
    write_asset(context.state, asset)
    set_supply(context.state, asset.id, 0)
    context.emit("bank", "asset", asset.id, message.issuer, message.cap)


def check_cap(context: Context, message: AssetSetCap) -> None:
    """No cap below what there is."""
    asset = known_asset(context.state, message.asset)
    issued = supply(context.state, asset.id)
    if message.cap < issued:
        raise fault(BELOW_SUPPLY, asset=asset.id, supply=issued, cap=message.cap)


def set_cap(context: Context, message: AssetSetCap) -> None:
    """Another bound for the supply."""
    check_cap(context, message)
    changed: Asset = replace(known_asset(context.state, message.asset), cap=message.cap)
    write_asset(context.state, changed)
    context.emit("bank", "cap", changed.id, message.cap)


def check_issuer(context: Context, message: AssetSetIssuer) -> None:
    """Only an asset that is issued has an issuer."""
    asset = known_asset(context.state, message.asset)
    if asset.policy is not Policy.ISSUER:
        raise fault(NOT_ISSUABLE, asset=asset.id)
    _check_account(context, message.issuer)


def set_issuer(context: Context, message: AssetSetIssuer) -> None:
    """Another issuer; what there is stays."""
    check_issuer(context, message)
    changed: Asset = replace(known_asset(context.state, message.asset), issuer=message.issuer)
    write_asset(context.state, changed)
    context.emit("bank", "issuer", changed.id, message.issuer)


def check_spend(context: Context, message: TreasurySpend) -> None:
    """The purse holds the amount, and somebody receives it."""
    known_asset(context.state, message.asset)
    if message.amount == 0:
        raise fault(ZERO_AMOUNT)
    _check_account(context, message.to)
    owned = balance(context.state, TREASURY, message.asset)
    if owned < message.amount:
        raise fault(INSUFFICIENT, owned=owned, needed=message.amount, asset=message.asset)


def spend(context: Context, message: TreasurySpend) -> None:
    """Pay out of the city's purse."""
    check_spend(context, message)
    asset = known_asset(context.state, message.asset)
    if asset.freezable:
        check_free(context.state, asset.id, message.to)
    enter(context, asset, message.to, 0, "transfer")
    move(context.state, source=TREASURY, target=message.to, asset=asset.id, amount=message.amount)
    context.emit("bank", "spent", asset.id, message.to, message.amount)


def _check_account(context: Context, account: bytes) -> None:
    if account in context.module_accounts:
        raise fault(BLOCKED, to=account)
    if not account_exists(context.state, account):
        raise fault(UNKNOWN_ACCOUNT, to=account)


def freeze(context: Context, message: BankFreeze) -> None:
    """Let an account's amount of an asset rest, by order of a regulator."""
    _check_freezing(context, message.asset)
    _check_account(context, message.account)
    record = Freeze(message.order, context.account, context.time_ms)
    write_freeze(context.state, message.asset, message.account, record)
    context.emit("bank", "frozen", message.asset, message.account, context.account, message.order)


def unfreeze(context: Context, message: BankUnfreeze) -> None:
    """Let it move again."""
    _check_freezing(context, message.asset)
    if read_freeze(context.state, message.asset, message.account) is None:
        raise fault(NOT_FROZEN, asset=message.asset, account=message.account)
    write_freeze(context.state, message.asset, message.account, None)
    context.emit("bank", "unfrozen", message.asset, message.account, context.account, message.order)


def _check_freezing(context: Context, asset: str) -> None:
    if not has_role(context.state, context.account, REGULATOR):
        raise fault(NOT_REGULATOR, account=context.account)
    if not known_asset(context.state, asset).freezable:
        raise fault(NOT_FREEZABLE, asset=asset)
