"""Assets and balances in the state: the only place that knows their groups and items.

b/<account>   <asset>    Amount; no item where it is zero, so that a group proof lists all that an account owns
asset/<id>    ""         Asset
              supply     Amount: the sum of all balances
par/bank      ""         FeeSchedule
"""

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.ledger.fees import FeeSchedule
from cccnode.ledger.state import Overlay, Reader
from cccnode.types.scalars import Amount, AssetId

_BALANCES: Final = b"b/"
_ASSET: Final = b"asset/"
_SUPPLY: Final = b"supply"
_PARAMS: Final = b"par/bank"
_ONLY: Final = b""


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
    state.put(_ASSET + asset.id.encode(), _ONLY, asset)


def supply(state: Reader, asset: str) -> int:
    """The sum of all balances of an asset (BNK-1)."""
    return state.get(_ASSET + asset.encode(), _SUPPLY, int) or 0


def set_supply(state: Overlay, asset: str, amount: int) -> None:
    """Set the supply; only genesis and issuing rules do (BNK-3)."""
    state.put(_ASSET + asset.encode(), _SUPPLY, amount)


def read_schedule(state: Reader) -> FeeSchedule:
    """The rates of fees; genesis sets them always."""
    schedule = state.get(_PARAMS, _ONLY, FeeSchedule)
    assert schedule is not None, "genesis sets the fees"
    return schedule


def write_schedule(state: Overlay, schedule: FeeSchedule) -> None:
    """Set the rates of fees."""
    state.put(_PARAMS, _ONLY, schedule)
