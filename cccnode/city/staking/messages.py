"""Bonding tokens with validators.  Tags 0x06nn; a number is never used again."""

from typing import Annotated, Final

from msgspec import Meta

from cccnode.codec import Noun
from cccnode.types.scalars import AccountId, Amount
from cccnode.types.units import BPS

NUMBER: Final = 6

ASSET: Final = "uccc"
"""What is bonded, and what rewards are paid in."""
CommissionBps = Annotated[int, Meta(ge=0, le=BPS)]


class StkDelegate(Noun, tag=0x0601, frozen=True, array_like=True, gc=False):
    """Bond tokens with a validator: they earn a part of the fees, carry votes, and may be slashed."""

    validator: AccountId
    """The account of its organisation."""
    amount: Amount


class StkUndelegate(Noun, tag=0x0602, frozen=True, array_like=True, gc=False):
    """Take bonded tokens back; they are free after the unbonding time."""

    validator: AccountId
    amount: Amount


class StkClaim(Noun, tag=0x0603, frozen=True, array_like=True, gc=False):
    """Take the rewards that were earned with a validator."""

    validator: AccountId


class StkClaimCommission(Noun, tag=0x0604, frozen=True, array_like=True, gc=False):
    """A validator's organisation takes its commission."""


class StkSetCommission(Noun, tag=0x0605, frozen=True, array_like=True, gc=False):
    """A validator's organisation sets what part of the rewards it keeps."""

    commission_bps: CommissionBps


class StkUnjail(Noun, tag=0x0606, frozen=True, array_like=True, gc=False):
    """A jailed validator earns again, once its time is over."""
